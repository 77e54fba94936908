//! What is wrong with a line, and how it should be.

use std::fmt;

/// What cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    /// Bytes that are no text.
    #[error("is not UTF-8; convert the file, as with iconv")]
    NotText,
    /// Not the number of fields that the first line had.
    #[error("has {found} fields instead of {expected}; give every line the columns of the first")]
    Fields {
        /// Fields in this line.
        found: usize,
        /// Fields in the first.
        expected: usize,
    },
    /// A time that is none.
    #[error("{0:?} is no time; use RFC 3339, `YYYY-MM-DD HH:MM:SS`, or Unix seconds, ms or ns")]
    Time(String),
    /// A value that is none.
    #[error("{0:?} is no number; leave it empty if it is missing")]
    Value(String),
    /// A line that is no such object.
    #[error("is not {{\"series\":..,\"time\":..,\"value\":..}}: {0}")]
    Json(String),
    /// A first line without what is needed.
    #[error("is no {wanted}; name the format with --format csv, long or json")]
    Header {
        /// What a first line has to be.
        wanted: &'static str,
    },
    /// A quote that is not closed.
    #[error("has a quote that is not closed; a record must be on one line")]
    Quote,
}

/// Where it is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// File, or `standard input`.
    pub source: &'a str,
    /// Line, counted from 1.
    pub line: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}
