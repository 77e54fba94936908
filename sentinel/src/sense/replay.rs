//! Reads a recording back. Comes in: JSON lines as [`super::record`] writes them. Goes out: the header and the samples,
//! checked. It never guesses: what is cut off, damaged or foreign is named with its line.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use serde::Deserialize;
use thiserror::Error;

use super::{
    record::{Header, RosterLine, SCHEMA, Trailer},
    sample::{Sample, Scope},
};

/// Longest line that is read, bytes. A sample of 1,024 busy cgroups is about 1 MiB.
pub const MAX_LINE_BYTES: u64 = 64 << 20;

/// Why a recording cannot be read (further).
#[derive(Debug, Error)]
pub enum ReplayError {
    /// Nothing in it.
    #[error("the file is empty: make a recording with `sentinel record FILE`")]
    Empty,
    /// Not a recording at all.
    #[error(
        "line 1 is not the header of a recording ({reason}): sentinel replays only files that `sentinel record` wrote"
    )]
    Foreign {
        /// What was wrong with it.
        reason: String,
    },
    /// A recording, but of another schema.
    #[error(
        "line 1: the recording has schema {actual:?}, this sentinel reads {expected:?}: replay it with the version that wrote it"
    )]
    Schema {
        /// The one found.
        actual: String,
        /// The one this version reads.
        expected: &'static str,
    },
    /// The end is missing.
    #[error(
        "line {line}: the recording is cut off after {samples} whole samples: what came before was replayed, record again for the rest"
    )]
    Truncated {
        /// The line that is torn or missing.
        line: u64,
        /// Whole samples before it.
        samples: u64,
    },
    /// A line that is no sample.
    #[error("line {line} is not a sample ({reason}): the file was damaged or edited; remove that line or record again")]
    Garbage {
        /// The line.
        line: u64,
        /// What was wrong with it.
        reason: String,
    },
    /// A line without end.
    #[error("line {line} is longer than {limit} bytes: this is no recording, or a damaged one")]
    LineTooLong {
        /// The line.
        line: u64,
        /// The limit.
        limit: u64,
    },
    /// Time does not go on.
    #[error(
        "line {line}: time goes from {before_ns} to {after_ns} ns: the file was put together from several recordings; replay them one by one"
    )]
    TimeNotRising {
        /// The line.
        line: u64,
        /// `monotonic_ns` of the sample before.
        before_ns: u64,
        /// `monotonic_ns` of this one.
        after_ns: u64,
    },
    /// The last line promises another number of samples.
    #[error(
        "line {line}: the recording ends after {actual} samples and says it has {promised}: lines were removed or added"
    )]
    Count {
        /// The line.
        line: u64,
        /// Samples read.
        actual: u64,
        /// Samples promised.
        promised: u64,
    },
    /// Something follows the last line.
    #[error("line {line} follows the end of the recording: two files were joined; replay them one by one")]
    AfterEnd {
        /// The line.
        line: u64,
    },
    /// Reading failed.
    #[error("line {line} could not be read: {source}")]
    Read {
        /// The line.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

/// The samples of a recording, in order. After an error there is nothing more.
#[derive(Debug)]
pub struct Replay<R> {
    from: R,
    header: Header,
    line: u64,
    text: Vec<u8>,
    samples: u64,
    last_ns: Option<u64>,
    roster: Arc<Vec<Arc<Scope>>>,
    done: bool,
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

/// One whole line, or why there is none.
enum Line {
    Whole,
    Torn,
    None,
}

impl<R: BufRead> Replay<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When this is not the beginning of a recording that this version reads.
    pub fn new(from: R) -> Result<Self, ReplayError> {
        let header = Header {
            schema: String::new(),
            origin: Default::default(),
            interval_ms: 0,
            network_interval_ms: 0,
        };
        let mut replay = Self {
            from,
            header,
            line: 0,
            text: Vec::new(),
            samples: 0,
            last_ns: None,
            roster: Arc::default(),
            done: false,
        };
        if matches!(replay.next_line()?, Line::None) {
            return Err(ReplayError::Empty);
        }
        replay.header = header_of(&replay.text)?;
        Ok(replay)
    }

    /// Where, and at which intervals, it was recorded.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    fn next_line(&mut self) -> Result<Line, ReplayError> {
        self.line += 1;
        self.text.clear();
        let line = self.line;
        let read = (&mut self.from)
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut self.text)
            .map_err(|source| ReplayError::Read { line, source })?;
        match self.text.last() {
            None => Ok(Line::None),
            Some(b'\n') => Ok(Line::Whole),
            Some(_) if read as u64 > MAX_LINE_BYTES => Err(ReplayError::LineTooLong {
                line,
                limit: MAX_LINE_BYTES,
            }),
            Some(_) => Ok(Line::Torn),
        }
    }

    fn next_sample(&mut self) -> Result<Option<Sample>, ReplayError> {
        self.whole_line()?;
        if self.text.starts_with(b"{\"roster\"")
            && let Ok(line) = serde_json::from_slice::<RosterLine<Vec<Arc<Scope>>>>(&self.text)
        {
            self.roster = Arc::new(line.roster);
            self.whole_line()?;
        }
        match serde_json::from_slice::<Sample>(&self.text) {
            Ok(sample) => self.checked(sample).map(Some),
            Err(error) => self.end_or(&error),
        }
    }

    fn whole_line(&mut self) -> Result<(), ReplayError> {
        match self.next_line()? {
            Line::Whole => Ok(()),
            Line::Torn | Line::None => Err(ReplayError::Truncated {
                line: self.line,
                samples: self.samples,
            }),
        }
    }

    fn checked(&mut self, mut sample: Sample) -> Result<Sample, ReplayError> {
        let after_ns = sample.now.monotonic_ns;
        match self.last_ns {
            Some(before_ns) if after_ns <= before_ns => Err(ReplayError::TimeNotRising {
                line: self.line,
                before_ns,
                after_ns,
            }),
            _ => {
                self.last_ns = Some(after_ns);
                self.samples += 1;
                sample.roster = Arc::clone(&self.roster);
                Ok(sample)
            }
        }
    }

    fn end_or(&mut self, error: &serde_json::Error) -> Result<Option<Sample>, ReplayError> {
        let Ok(trailer) = serde_json::from_slice::<Trailer>(&self.text) else {
            return Err(ReplayError::Garbage {
                line: self.line,
                reason: error.to_string(),
            });
        };
        if trailer.end.samples != self.samples {
            return Err(ReplayError::Count {
                line: self.line,
                actual: self.samples,
                promised: trailer.end.samples,
            });
        }
        match self.next_line()? {
            Line::None => Ok(None),
            Line::Whole | Line::Torn => Err(ReplayError::AfterEnd { line: self.line }),
        }
    }
}

fn header_of(text: &[u8]) -> Result<Header, ReplayError> {
    let foreign = |error: serde_json::Error| ReplayError::Foreign {
        reason: error.to_string(),
    };
    let found = serde_json::from_slice::<SchemaOnly>(text).map_err(foreign)?;
    if !found.schema.starts_with("sentinel.recording/") {
        return Err(ReplayError::Foreign {
            reason: format!("its schema is {:?}", found.schema),
        });
    }
    if found.schema != SCHEMA {
        return Err(ReplayError::Schema {
            actual: found.schema,
            expected: SCHEMA,
        });
    }
    serde_json::from_slice(text).map_err(foreign)
}

impl<R: BufRead> Iterator for Replay<R> {
    type Item = Result<Sample, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_sample().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{sense::record::Recorder, time::Now};

    fn sample(second: u64) -> Sample {
        Sample {
            seq: second,
            now: Now {
                unix_ms: 0,
                monotonic_ns: second * 1_000_000_000,
            },
            ..Sample::default()
        }
    }

    fn recording(seconds: &[u64]) -> Vec<u8> {
        let header = Header::new(Default::default(), Duration::from_secs(1), Duration::from_millis(200));
        let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
        for second in seconds {
            recorder.record(&sample(*second)).unwrap();
        }
        recorder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> (usize, Option<ReplayError>) {
        let mut whole = 0;
        for sample in Replay::new(bytes).unwrap() {
            match sample {
                Ok(_) => whole += 1,
                Err(error) => return (whole, Some(error)),
            }
        }
        (whole, None)
    }

    #[test]
    fn cgroups_are_written_when_they_change_and_every_sample_has_them() {
        let header = Header::new(Default::default(), Duration::from_secs(1), Duration::from_millis(200));
        let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
        let rosters: Vec<Arc<Vec<Arc<Scope>>>> = ["/a", "/a", "/b"]
            .map(|path| {
                let scope = Scope {
                    path: path.to_owned(),
                    ..Scope::default()
                };
                Arc::new(vec![Arc::new(scope)])
            })
            .to_vec();
        for (second, roster) in (1..).zip(&rosters) {
            let roster = Arc::clone(roster);
            recorder
                .record(&Sample {
                    roster,
                    ..sample(second)
                })
                .unwrap();
        }
        let bytes = recorder.finish().unwrap();
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| line.starts_with(b"{\"roster"));
        assert_eq!(lines.count(), 2, "the second is equal to the first");
        let found: Vec<_> = Replay::new(&bytes[..])
            .unwrap()
            .map(|sample| sample.unwrap().roster)
            .collect();
        assert_eq!(found, rosters);
        let cut = bytes.len() - bytes.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap() - 1;
        let (_, error) = read(&bytes[..cut]);
        assert!(matches!(error, Some(ReplayError::Truncated { .. })), "{error:?}");
    }

    #[test]
    fn what_was_recorded_is_read_back() {
        let bytes = recording(&[1, 2, 3]);
        let replay = Replay::new(&bytes[..]).unwrap();
        assert_eq!(replay.header().interval_ms, 1000);
        assert_eq!(replay.header().network_interval_ms, 200);
        let samples: Result<Vec<_>, _> = replay.collect();
        assert_eq!(samples.unwrap(), [sample(1), sample(2), sample(3)]);
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_samples_and_then_says_so() {
        let bytes = recording(&[1, 2, 3]);
        let first_line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        for cut in first_line + 1..bytes.len() {
            let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count() - 1;
            let (read, error) = read(&bytes[..cut]);
            assert_eq!(read, whole, "cut at {cut}");
            assert!(
                matches!(error, Some(ReplayError::Truncated { .. })),
                "cut at {cut}: {error:?}"
            );
        }
    }

    #[test]
    fn an_empty_a_foreign_and_a_newer_file_are_told_apart() {
        assert!(matches!(Replay::new(&b""[..]), Err(ReplayError::Empty)));
        for foreign in [
            "\x7fELF\0\n",
            "{}\n",
            "{\"schema\":\"other/1\"}\n",
            "timestamp,value\n1,2\n",
        ] {
            let error = Replay::new(foreign.as_bytes()).unwrap_err();
            assert!(matches!(error, ReplayError::Foreign { .. }), "{foreign:?}: {error}");
        }
        let newer = Replay::new(&b"{\"schema\":\"sentinel.recording/3\",\"new\":1}\n"[..]).unwrap_err();
        assert!(matches!(newer, ReplayError::Schema { .. }), "{newer}");
    }

    #[test]
    fn a_damaged_line_is_named() {
        let mut lines: Vec<_> = recording(&[1, 2, 3])
            .split_inclusive(|b| *b == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        lines[2] = b"{\"seq\":oops}\n".to_vec();
        let (whole, error) = read(&lines.concat());
        assert_eq!(whole, 1);
        assert!(error.unwrap().to_string().starts_with("line 3 is not a sample"));
    }

    #[test]
    fn time_that_goes_back_removed_lines_and_joined_files_are_refused() {
        assert!(matches!(
            read(&recording(&[1, 3, 2])),
            (2, Some(ReplayError::TimeNotRising { line: 4, .. }))
        ));
        let mut lines: Vec<_> = recording(&[1, 2, 3])
            .split_inclusive(|b| *b == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        lines.remove(2);
        assert!(matches!(read(&lines.concat()), (2, Some(ReplayError::Count { .. }))));
        let joined = [recording(&[1]), recording(&[2])].concat();
        assert!(matches!(read(&joined), (1, Some(ReplayError::AfterEnd { line: 4 }))));
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(
            Replay::new(endless),
            Err(ReplayError::LineTooLong { line: 1, .. })
        ));
    }
}
