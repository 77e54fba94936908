//! One end of a socket between two of our processes: whole messages, or none. Never blocks longer than it was told to.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, getsockopt, recv, send, setsockopt, socketpair,
            sockopt::{ReceiveTimeout, SendTimeout, SockType as TypeOf},
        },
        time::TimeVal,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::act::message::{MAX_BYTES, MessageError, decode, encode};

/// Why no message came or went.
#[derive(Debug, thiserror::Error)]
pub(in crate::act) enum WireError {
    /// The other side is gone.
    #[error("has ended")]
    Closed,
    /// The other side did not read or answer in time.
    #[error("did not answer in time")]
    Late,
    /// What came is no message.
    #[error("said what is not understood: {0}")]
    Message(#[from] MessageError),
    /// The socket failed.
    #[error("cannot be reached: {0}")]
    Socket(io::Error),
}

impl From<Errno> for WireError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EPIPE | Errno::ECONNRESET => Self::Closed,
            Errno::EAGAIN => Self::Late,
            error => Self::Socket(error.into()),
        }
    }
}

/// Two ends of a socket that keeps messages apart.
pub(in crate::act) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Whether this is an end of such a socket.
pub(in crate::act) fn is_end(socket: &impl AsFd) -> bool {
    matches!(getsockopt(&socket.as_fd(), TypeOf), Ok(SockType::SeqPacket))
}

/// How long sending and receiving may take.
pub(in crate::act) fn limit(socket: &OwnedFd, patience: Duration) -> io::Result<()> {
    let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    let limit = TimeVal::new(seconds, i64::from(patience.subsec_micros()));
    setsockopt(socket, ReceiveTimeout, &limit)?;
    setsockopt(socket, SendTimeout, &limit)?;
    Ok(())
}

/// Sends one message.
pub(in crate::act) fn say<T: Serialize>(socket: &OwnedFd, message: &T) -> Result<(), WireError> {
    let bytes = encode(message)?;
    retried(|| send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL)).map(drop)
}

/// Receives one message.
pub(in crate::act) fn hear<T: DeserializeOwned>(socket: &OwnedFd) -> Result<T, WireError> {
    // One byte more than may come: what is longer is cut by the kernel, and seen to be too long.
    let mut bytes = vec![0; MAX_BYTES + 1];
    match retried(|| recv(socket.as_raw_fd(), &mut bytes, MsgFlags::empty()))? {
        0 => Err(WireError::Closed),
        length => Ok(decode(&bytes[..length])?),
    }
}

fn retried(mut call: impl FnMut() -> nix::Result<usize>) -> Result<usize, WireError> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return Ok(done?),
        }
    }
}
