//! What every request says besides, from a file: a key of the collector, for example. Never printed.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hyper::{HeaderMap, header::HeaderName, http::HeaderValue};

/// Bytes of the file.
const MOST: u64 = 16 * 1024;

/// Names and values.
#[derive(Clone, Default)]
pub(super) struct Headers(pub(super) HeaderMap);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers(..)")
    }
}

/// A file holds no usable headers.
#[derive(Debug, thiserror::Error)]
pub enum HeadersError {
    /// It cannot be read.
    #[error("the headers in {path} cannot be read: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is none.
    #[error("{path}:{line} is no header: write a name, a colon and a value in each line, as `api-key: 0123`, in at most 16 KiB", path = .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Everybody on this host could read it.
    #[error("every user of this host may read the headers in {path}; run `chmod o-rwx` on it", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
}

impl Headers {
    /// The headers in a file, one a line.
    pub(super) fn read(path: &Path) -> Result<Self, HeadersError> {
        let failed = |source| HeadersError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o007 != 0 {
            return Err(HeadersError::Open { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
        let unfit = |line| HeadersError::Unfit {
            path: path.to_owned(),
            line,
        };
        if bytes.len() as u64 > MOST {
            return Err(unfit(1 + bytes.iter().filter(|byte| **byte == b'\n').count()));
        }
        let mut headers = HeaderMap::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let (name, mut value) = header(line).ok_or_else(|| unfit(number))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(Self(headers))
    }
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn each_line_is_a_header_and_none_is_ever_printed() {
        let file = file("api-key: 0123:45\n\n x-tenant:  a b \r\n", 0o600);
        let headers = Headers::read(file.path()).unwrap();
        assert_eq!(headers.0["api-key"], "0123:45");
        assert_eq!(headers.0["x-tenant"], "a b");
        assert_eq!(headers.0.len(), 2);
        assert!(!format!("{headers:?} {:?}", headers.0).contains("0123"));
    }

    #[test]
    fn what_is_no_header_is_refused_with_its_line_and_without_its_text() {
        for text in [
            "a: b\nsecret",
            "a: b\n: secret",
            "a: b\nse cret: x",
            "a: b\nc: \u{7}secret",
        ] {
            let error = Headers::read(file(text, 0o600).path()).unwrap_err().to_string();
            assert!(
                error.contains(":2 is no header") && !error.contains("secret"),
                "{error}"
            );
        }
        assert!(Headers::read(file(&"x".repeat(20_000), 0o600).path()).is_err());
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused() {
        let error = Headers::read(file("a: b", 0o644).path()).unwrap_err().to_string();
        assert!(error.contains("chmod o-rwx"), "{error}");
        assert!(Headers::read(Path::new("/nowhere")).is_err());
    }
}
