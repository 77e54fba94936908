//! Metric series from text: CSV, wide or long, and JSON lines. In: lines. Out: points, each with its series, its time as
//! it stands there and in seconds, and its value or that it is missing. Which format it is the first line tells. Never
//! reads a file by itself, and keeps nothing of a line once its points are taken.

mod csv;
mod error;
mod json;
mod number;
mod time;

pub use error::{Complaint, Place};

use self::csv::Columns;

/// A format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What the first line looks like.
    Auto,
    /// `timestamp,a,b,c`: a column of times and one column for each series, with or without a header.
    Csv,
    /// `series,timestamp,value`: a point on each line, with or without a header.
    Long,
    /// `{"series":..,"time":..,"value":..}`, one object on each line.
    Json,
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point<'a> {
    /// Name of its series.
    pub series: &'a str,
    /// Where each series has a column of its own, which one, counted from 0.
    pub column: Option<usize>,
    /// Its time as it stands in the line, without quotes.
    pub time: &'a str,
    /// True when that is a number.
    pub time_is_number: bool,
    /// Its time, seconds since the epoch; without a zone it is UTC. Numbers are seconds, milliseconds, microseconds or
    /// nanoseconds by their size.
    pub unix_s: f64,
    /// Its value; `None` where it is missing: empty, null, not a number, infinite.
    pub value: Option<f64>,
}

/// Reads lines of one format.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    columns: Option<Columns>,
    time: time::Clock,
}

impl Reader {
    /// Of this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            columns: None,
            time: time::Clock::default(),
        }
    }

    /// The points of a line, each given to `take`. A header has none.
    ///
    /// # Errors
    /// What cannot be read in it, and how it should be. Points before that were taken.
    pub fn line(&mut self, line: &[u8], take: &mut dyn FnMut(&Point<'_>)) -> Result<(), Complaint> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| Complaint::NotText)?;
        if self.format == Format::Auto {
            self.format = if line.starts_with('{') {
                Format::Json
            } else {
                Format::Csv
            };
            if self.format == Format::Csv && Columns::is_long(line) {
                self.format = Format::Long;
            }
        }
        if self.format == Format::Json {
            return json::point(line, &mut self.time, take);
        }
        match &self.columns {
            Some(columns) => columns.points(line, &mut self.time, take),
            None => {
                let (columns, header) = Columns::from_first(line, self.format == Format::Long)?;
                let columns = self.columns.insert(columns);
                if header {
                    Ok(())
                } else {
                    columns.points(line, &mut self.time, take)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
