//! The other end of the socket: asks the running agent one thing and waits for its answer.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Reply, Request, protocol::Envelope, server::encode};

/// How long the agent may take to answer; it gives up by itself before that.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest reply, bytes: 64 leases and 64 plans, with room.
const MAX_REPLY_BYTES: u64 = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there.
    #[error("no agent answers at {}; start one with `sentinel run`, or name its socket with `--control FILE`", .0.display())]
    NoAgent(PathBuf),
    /// Not allowed.
    #[error("{} is for root alone; run it as root", .0.display())]
    NotAllowed(PathBuf),
    /// The socket failed.
    #[error("the agent at {} cannot be asked: {source}", path.display())]
    Failed {
        /// Where.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// What came is no answer.
    #[error("the agent at {} answers what is not understood: {reason}; use the same version on both sides", path.display())]
    Odd {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Asks.
///
/// # Errors
/// See [`AskError`].
pub fn ask(path: &Path, request: &Request) -> Result<Reply, AskError> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NoAgent(path.to_owned()),
        ErrorKind::PermissionDenied => AskError::NotAllowed(path.to_owned()),
        _ => AskError::Failed {
            path: path.to_owned(),
            source,
        },
    };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(&encode(request)).map_err(failed)?;
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    let mut text = Vec::new();
    stream.take(MAX_REPLY_BYTES).read_to_end(&mut text).map_err(failed)?;
    let reply: Result<Envelope<Reply>, _> = serde_json::from_slice(&text);
    reply.map(|envelope| envelope.message).map_err(|error| AskError::Odd {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
