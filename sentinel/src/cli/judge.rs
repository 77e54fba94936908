//! `sentinel judge`: the score of every point of metric series from a file or standard input, as they come.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};

use super::{Failure, exit, options::FailOn, say};
use crate::{
    config::Config,
    judge::{series::Scores, verdict::Level},
    sense::series::{Format, Place, Point, Reader},
    show::score,
    time,
};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
/// A line longer than this is no line.
const LONGEST: usize = 16 * 1024 * 1024;
/// Bad lines that are named one by one.
const NAMED: u64 = 20;

/// Options of `judge`.
#[derive(Debug, Args)]
pub struct Options {
    /// CSV or JSON lines; standard input without it, or for `-`
    file: Option<PathBuf>,
    /// How points are written
    #[arg(long, value_enum, default_value_t = Written::Auto)]
    format: Written,
    /// Print only points of this level and above; all without it
    #[arg(long, value_enum, value_name = "LEVEL")]
    only: Option<FailOn>,
    /// End with exit code 4 when a point reached this level
    #[arg(long, value_enum, value_name = "LEVEL")]
    fail_on: Option<FailOn>,
    /// False alarms that are accepted in a week, all series together; 0.001 to 1000
    #[arg(long, value_name = "NUMBER", value_parser = per_week)]
    false_alarms_per_week: Option<f64>,
    /// Stop at the first line that cannot be read or is out of order
    #[arg(long)]
    strict: bool,
    /// Series that may be judged; each takes about 22 KiB
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    max_series: usize,
    /// Say on standard error how many points were judged, and how fast
    #[arg(long)]
    stats: bool,
}

/// How points are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Written {
    /// Found out from the first line
    Auto,
    /// `timestamp,value` or `timestamp,a,b,c`, with or without a header
    Csv,
    /// `series,timestamp,value`, with or without a header
    Long,
    /// One {"series":..,"time":..,"value":..} on each line
    Json,
}

fn per_week(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.001..=1000.0).contains(&number) => Ok(number),
        _ => Err("has to be a number from 0.001 to 1000".to_owned()),
    }
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let (name, mut input) = open(options.file.as_deref())?;
    let began_ns = time::monotonic_ns();
    let mut desk = Desk::new(options, &name)?;
    let ended = desk.read(&mut *input);
    let seconds = (time::monotonic_ns() - began_ns) as f64 / 1e9;
    if options.stats {
        desk.say_stats(seconds);
    }
    desk.say_bad();
    match ended? {
        Stop::Reader => Ok(exit::DONE),
        Stop::Strict => Ok(exit::FAILED),
        Stop::End if desk.judging.reached => Ok(exit::REACHED),
        Stop::End if desk.bad > 0 => Ok(exit::FAILED),
        Stop::End => Ok(exit::DONE),
    }
}

fn open(file: Option<&Path>) -> Result<(String, Box<dyn Read>), Failure> {
    match file {
        Some(path) if path != Path::new("-") => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| anyhow!("{name} cannot be read: {error}"))?;
            Ok((name, Box::new(file)))
        }
        _ => Ok(("standard input".to_owned(), Box::new(io::stdin().lock()))),
    }
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The input did.
    End,
    /// Nobody reads what is written.
    Reader,
    /// A bad line, with `--strict`.
    Strict,
}

/// What is known while lines are read.
struct Desk<'a> {
    options: &'a Options,
    source: &'a str,
    reader: Reader,
    judging: Judging<'a>,
    stdout: File,
    line: u64,
    bad: u64,
}

/// What happens to points.
struct Judging<'a> {
    options: &'a Options,
    scores: Scores,
    /// Names as JSON, by series.
    quoted: Vec<String>,
    /// The series of each column.
    columns: Vec<Option<usize>>,
    out: Vec<u8>,
    points: u64,
    alarms: u64,
    late: u64,
    reached: bool,
    /// There was a series too many.
    full: bool,
}

impl<'a> Desk<'a> {
    fn new(options: &'a Options, source: &'a str) -> Result<Self, Failure> {
        let format = match options.format {
            Written::Auto => Format::Auto,
            Written::Csv => Format::Csv,
            Written::Long => Format::Long,
            Written::Json => Format::Json,
        };
        let per_week = options
            .false_alarms_per_week
            .unwrap_or_else(|| Config::default().false_alarms_per_week);
        Ok(Self {
            options,
            source,
            reader: Reader::new(format),
            judging: Judging {
                options,
                scores: Scores::new(per_week, options.max_series),
                quoted: Vec::new(),
                columns: Vec::new(),
                out: Vec::with_capacity(4 * CHUNK),
                points: 0,
                alarms: 0,
                late: 0,
                reached: false,
                full: false,
            },
            // Without the buffer of lines that the library puts around it.
            stdout: io::stdout()
                .as_fd()
                .try_clone_to_owned()
                .context("standard output")?
                .into(),
            line: 0,
            bad: 0,
        })
    }

    /// Reads until the end. What a read brought is judged and written before the next one, which may wait.
    fn read(&mut self, input: &mut dyn Read) -> Result<Stop, Failure> {
        let mut buffer = vec![0; CHUNK];
        let mut held = 0;
        loop {
            if held == buffer.len() {
                if held >= LONGEST {
                    self.line += 1;
                    return Err(anyhow!("{} has no end within 16 MiB; write one point on a line", self.place()).into());
                }
                buffer.resize(2 * held, 0);
            }
            let count = match input.read(&mut buffer[held..]) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(anyhow!("{} cannot be read: {error}", self.source).into()),
            };
            let filled = held + count;
            let mut start = 0;
            let mut stop = None;
            for end in memchr::memchr_iter(b'\n', &buffer[..filled]) {
                stop = self.take(&buffer[start..end])?;
                start = end + 1;
                if stop.is_some() {
                    break;
                }
            }
            if count == 0 && stop.is_none() {
                let rest = &buffer[start..filled];
                stop = if rest.is_empty() { None } else { self.take(rest)? };
                stop = stop.or(Some(Stop::End));
            }
            if !self.flush()? {
                return Ok(Stop::Reader);
            }
            if let Some(stop) = stop {
                return Ok(stop);
            }
            buffer.copy_within(start..filled, 0);
            held = filled - start;
        }
    }

    /// Judges the points of a line.
    fn take(&mut self, line: &[u8]) -> Result<Option<Stop>, Failure> {
        self.line += 1;
        let (judging, reader) = (&mut self.judging, &mut self.reader);
        let late_before = judging.late;
        let result = reader.line(line, &mut |point| judging.point(point));
        if judging.full {
            let most = self.options.max_series;
            let remedy = "a larger --max-series, or fewer series";
            return Err(anyhow!("{}: more than {most} series; use {remedy}", self.place()).into());
        }
        let late = self.judging.late > late_before;
        let said = match result {
            Err(complaint) => {
                self.bad += 1;
                (self.bad <= NAMED).then(|| complaint.to_string())
            }
            Ok(()) if late => (self.judging.late <= NAMED).then(|| {
                "is not later than the point before it and was not judged; sort the points by time".to_owned()
            }),
            Ok(()) => return Ok(None),
        };
        if let Some(said) = said {
            say(&format!("{}: {said}", self.place()));
        }
        Ok(self.options.strict.then_some(Stop::Strict))
    }

    fn place(&self) -> Place<'a> {
        Place {
            source: self.source,
            line: self.line,
        }
    }

    /// Writes what was judged; false when nobody reads it any more.
    fn flush(&mut self) -> Result<bool, Failure> {
        let out = &mut self.judging.out;
        let written = self.stdout.write_all(out).and_then(|()| self.stdout.flush());
        out.clear();
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(anyhow!("standard output cannot be written: {error}").into()),
        }
    }

    fn say_bad(&self) {
        if self.bad > 0 {
            say(&format!("{} of {} lines could not be read", self.bad, self.line));
        }
        if self.judging.late > 0 {
            let late = self.judging.late;
            say(&format!(
                "{late} points were not later than the one before and were not judged"
            ));
        }
    }

    fn say_stats(&self, seconds: f64) {
        let Judging {
            points, alarms, scores, ..
        } = &self.judging;
        let (series, rate) = (scores.len(), *points as f64 / seconds.max(1e-9));
        say(&format!(
            "{points} points of {series} series in {seconds:.3} s: {rate:.0} points per second; {alarms} at watch or above"
        ));
    }
}

impl Judging<'_> {
    fn point(&mut self, point: &Point<'_>) {
        let known = match point.column {
            Some(column) => self.columns.get(column).copied().flatten(),
            None => self.scores.find(point.series),
        };
        let Some(index) = known.or_else(|| self.add(point)) else {
            self.full = true;
            return;
        };
        let judged = self.scores.observe(index, point.unix_s, point.value);
        self.points += 1;
        self.late += u64::from(judged.late);
        self.alarms += u64::from(judged.level >= Level::Watch);
        let reaches = |wanted: Option<FailOn>| wanted.map(|level| judged.level >= level.into());
        self.reached |= reaches(self.options.fail_on).unwrap_or(false);
        if reaches(self.options.only).unwrap_or(true)
            && let Some(series) = self.quoted.get(index)
        {
            let time = (point.time, point.time_is_number);
            score::append(&mut self.out, series, time, point.value, judged.score, judged.level);
        }
    }

    /// A series that is new; `None` when there are too many. Columns of one name are series of their own.
    fn add(&mut self, point: &Point<'_>) -> Option<usize> {
        let index = match point.column {
            Some(column) => {
                let index = self.scores.add(&format!("{column},{}", point.series))?;
                self.columns.resize(self.columns.len().max(column + 1), None);
                self.columns[column] = Some(index);
                index
            }
            None => self.scores.add(point.series)?,
        };
        self.quoted.push(score::quoted(point.series));
        Some(index)
    }
}
