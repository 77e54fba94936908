//! The file's content: one JSON object, a header and then a line for each scope. Written within a limit, the scopes with the longest
//! history first; read only as a whole, and only what this version wrote itself.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use super::{MemoryError, Picture, folder::Folder};
use crate::{judge::learned::ScopeLearned, time::Now};

/// The schema name in the file.
pub const SCHEMA: &str = "sentinel.learned/1";
/// It is never longer, bytes: as many scopes as are told apart by default have room after weeks, and several times as many after hours.
pub const MAX_BYTES: usize = 24 << 20;

/// What comes before the scopes.
#[derive(Serialize)]
struct Header<'a> {
    schema: &'a str,
    version: &'a str,
    boot_id: &'a str,
    time: String,
    taken: Now,
    /// Scopes that found no room.
    left_out: usize,
}

/// What tells whether the rest can be read.
#[derive(Deserialize)]
struct Schema {
    schema: String,
}

/// All of it.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// The boot of the host in which it was written.
    pub boot_id: String,
    /// As of when, by both clocks.
    pub taken: Now,
    /// What was learned.
    pub scopes: Vec<ScopeLearned>,
}

/// A picture as text, and how many scopes found no room in `limit` bytes.
pub(super) fn text(mut picture: Picture, limit: usize) -> (Vec<u8>, usize) {
    // By how long each was followed, longest first; then by path, so that the order does not depend on chance.
    picture
        .scopes
        .sort_by(|a, b| b.lived_s().total_cmp(&a.lived_s()).then_with(|| a.path.cmp(&b.path)));
    let header = |left_out| Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        boot_id: &picture.boot_id,
        time: picture.taken.rfc3339(),
        taken: picture.taken,
        left_out,
    };
    let mut head = serde_json::to_vec(&header(picture.scopes.len())).unwrap_or_default();
    // The head cannot grow by telling a smaller number; four bytes end the list.
    let room = limit.saturating_sub(head.len() + OPEN.len() + CLOSE.len());
    let (mut list, mut kept) = (Vec::new(), 0);
    for scope in &picture.scopes {
        let Ok(line) = serde_json::to_vec(scope) else { continue };
        if list.len() + line.len() + BETWEEN.len() > room {
            break;
        }
        if kept > 0 {
            list.extend_from_slice(BETWEEN);
        }
        list.extend_from_slice(&line);
        kept += 1;
    }
    let left_out = picture.scopes.len() - kept;
    head = serde_json::to_vec(&header(left_out)).unwrap_or_default();
    head.pop();
    head.extend_from_slice(OPEN);
    head.append(&mut list);
    head.extend_from_slice(CLOSE);
    (head, left_out)
}

const OPEN: &[u8] = b",\"scopes\":[\n";
const BETWEEN: &[u8] = b",\n";
const CLOSE: &[u8] = b"\n]}\n";

/// What an earlier run wrote; `None`: there is no file.
///
/// # Errors
/// There is one that cannot be used.
pub(super) fn read(folder: &Folder) -> Result<Option<Found>, MemoryError> {
    let Some(mut file) = folder.read()? else {
        return Ok(None);
    };
    let path = folder.file().display().to_string();
    let mut bytes = Vec::new();
    let read = (&mut file).take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| MemoryError::Unreadable {
        path: path.clone(),
        source,
    })?;
    understood(&bytes, &path).map(Some)
}

/// What bytes say that an earlier run may have written; `path` is for messages.
///
/// # Errors
/// They are another version's, or broken.
pub fn understood(bytes: &[u8], path: &str) -> Result<Found, MemoryError> {
    let path = || path.to_owned();
    let broken = |reason: String| MemoryError::Broken { path: path(), reason };
    if bytes.len() > MAX_BYTES {
        return Err(broken(format!("longer than {MAX_BYTES} bytes")));
    }
    let schema: Schema = serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))?;
    if schema.schema != SCHEMA {
        return Err(MemoryError::Version {
            path: path(),
            found: schema.schema.chars().take(64).collect(),
        });
    }
    serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))
}
