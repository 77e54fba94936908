//! CSV: what the columns mean, and the points of a line. A record is one line.

use super::{Complaint, Point, number, time::Clock};

const SERIES: [&str; 5] = ["series", "metric", "name", "id", "key"];
const TIME: [&str; 7] = ["timestamp", "time", "date", "datetime", "ts", "epoch", "unix"];
const VALUE: [&str; 2] = ["value", "val"];

/// What the columns mean.
#[derive(Debug)]
pub(super) enum Columns {
    /// Times in one, a series in each other.
    Wide {
        /// Column of times.
        time: usize,
        /// Names of the others, in order.
        names: Vec<String>,
    },
    /// One point on each line.
    Long {
        series: usize,
        time: usize,
        value: usize,
        /// Columns in all.
        width: usize,
    },
}

/// Place of the first column with one of these names.
fn find(fields: &[String], names: &[&str]) -> Option<usize> {
    fields
        .iter()
        .position(|field| names.iter().any(|name| field.eq_ignore_ascii_case(name)))
}

impl Columns {
    /// True when a line is the header of points on a line each.
    pub(super) fn is_long(line: &str) -> bool {
        fields(line).is_ok_and(|fields| {
            find(&fields, &SERIES).is_some() && find(&fields, &TIME).is_some() && find(&fields, &VALUE).is_some()
        })
    }

    /// What the first line says, and whether it is a header.
    pub(super) fn from_first(line: &str, long: bool) -> Result<(Self, bool), Complaint> {
        let fields = fields(line)?;
        let mut clock = Clock::default();
        let mut is_time = |field: &String| clock.read(field).is_ok();
        if long {
            let named = find(&fields, &SERIES)
                .zip(find(&fields, &TIME))
                .zip(find(&fields, &VALUE));
            let ((series, time), value) = named.unwrap_or(((0, 1), 2));
            let header = named.is_some() || !fields.get(1).is_some_and(&mut is_time);
            if fields.len() < 3 {
                return Err(Complaint::Header {
                    wanted: "`series,timestamp,value`",
                });
            }
            let width = fields.len();
            return Ok((
                Self::Long {
                    series,
                    time,
                    value,
                    width,
                },
                header,
            ));
        }
        if fields.len() < 2 {
            return Err(Complaint::Header {
                wanted: "`timestamp,value`, `timestamp,a,b,c`, `series,timestamp,value` or JSON object",
            });
        }
        let header = !is_time(&fields[0]) && fields.iter().skip(1).any(|field| number::value(field).is_err());
        let time = if header { find(&fields, &TIME).unwrap_or(0) } else { 0 };
        let values = fields.len() - 1;
        let names = fields.into_iter().enumerate().filter(|(column, _)| *column != time);
        let names = names.enumerate().map(|(index, (_, name))| match (header, values) {
            (true, _) => name,
            (false, 1) => "value".to_owned(),
            (false, _) => format!("value_{}", index + 1),
        });
        Ok((
            Self::Wide {
                time,
                names: names.collect(),
            },
            header,
        ))
    }

    /// The points of a line.
    pub(super) fn points(
        &self,
        line: &str,
        clock: &mut Clock,
        take: &mut dyn FnMut(&Point<'_>),
    ) -> Result<(), Complaint> {
        if line.contains('"') {
            let fields = fields(line)?;
            return self.take(fields.len(), |column| &fields[column], clock, take);
        }
        // Without quotes a comma separates, and the usual two columns need no list of fields.
        if let (Self::Wide { time: 0, names }, Some((time, value))) = (self, line.split_once(','))
            && names.len() == 1
            && !value.contains(',')
        {
            return self.take(2, |column| if column == 0 { time } else { value }, clock, take);
        }
        let mut fields = [""; FEW];
        let mut count = 0;
        for field in line.split(',') {
            if count < FEW {
                fields[count] = field;
            }
            count += 1;
        }
        if count <= FEW {
            return self.take(count, |column| fields[column], clock, take);
        }
        let fields: Vec<&str> = line.split(',').collect();
        self.take(count, |column| fields[column], clock, take)
    }

    fn take<'a>(
        &self,
        count: usize,
        field: impl Fn(usize) -> &'a str,
        clock: &mut Clock,
        take: &mut dyn FnMut(&Point<'_>),
    ) -> Result<(), Complaint> {
        let (expected, time_column) = match self {
            Self::Wide { time, names } => (names.len() + 1, *time),
            Self::Long { time, width, .. } => (*width, *time),
        };
        if count != expected {
            return Err(Complaint::Fields { found: count, expected });
        }
        let time = field(time_column).trim_ascii();
        let (unix_s, time_is_number) = clock.read(time)?;
        let mut point = |series: &str, column, value| {
            take(&Point {
                series,
                column,
                time,
                time_is_number,
                unix_s,
                value,
            });
        };
        match self {
            Self::Long { series, value, .. } => {
                point(field(*series).trim_ascii(), None, number::value(field(*value))?);
                Ok(())
            }
            Self::Wide { names, .. } => {
                let mut wrong = Ok(());
                for (index, name) in names.iter().enumerate() {
                    let column = index + usize::from(index >= time_column);
                    match number::value(field(column)) {
                        Ok(value) => point(name, Some(index), value),
                        // The other series of the line are judged all the same.
                        Err(complaint) => wrong = wrong.and(Err(complaint)),
                    }
                }
                wrong
            }
        }
    }
}

/// Columns that need no list on the heap.
const FEW: usize = 16;

/// The fields of a line, without their quotes.
fn fields(line: &str) -> Result<Vec<String>, Complaint> {
    let mut reader = csv_core::Reader::new();
    let (mut output, mut ends) = (vec![0; line.len() + 1], vec![0; line.len() + 2]);
    let (_, _, written, count) = reader.read_record(line.as_bytes(), &mut output, &mut ends);
    // The end of the input ends the record.
    let (result, _, more, last) = reader.read_record(&[], &mut output[written..], &mut ends[count..]);
    if result != csv_core::ReadRecordResult::Record || line.matches('"').count() % 2 == 1 {
        return Err(Complaint::Quote);
    }
    let text = String::from_utf8_lossy(&output[..written + more]);
    let mut start = 0;
    Ok(ends[..count + last]
        .iter()
        .map(|end| {
            let field = text.get(start..*end).unwrap_or_default().trim_ascii().to_owned();
            start = *end;
            field
        })
        .collect())
}
