//! Bytes to standard output from a thread that may wait for its reader.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use super::outbox::Delivery;

/// What may wait for a slow reader of standard output.
pub(super) const BOUNDS: super::outbox::Bounds = super::outbox::Bounds {
    records: 65_536,
    bytes: 16 * 1024 * 1024,
};

/// Time after which a full disk or a busy descriptor is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Writes records completely, also over several attempts.
pub(super) struct Output {
    file: File,
    /// Bytes of the record in hand that are already out.
    written: usize,
}

impl Output {
    pub(super) fn new(file: File) -> Self {
        Self { file, written: 0 }
    }

    /// A descriptor of its own for standard output, without a buffer.
    pub(super) fn stdout() -> io::Result<File> {
        Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    /// Writes what is left of `record`. Asked again with the same record after [`Delivery::Later`].
    pub(super) fn deliver(&mut self, record: &[u8]) -> Delivery {
        while self.written < record.len() {
            match self.file.write(&record[self.written..]) {
                Ok(0) => return Delivery::Later("takes no bytes".to_owned()),
                Ok(count) => self.written += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    // Whoever started us made it non-blocking.
                    ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
                    ErrorKind::BrokenPipe => return Delivery::Closed,
                    // The terminal hung up.
                    _ if error.raw_os_error() == Some(libc::EIO) => return Delivery::Closed,
                    _ => return Delivery::Later(error.to_string()),
                },
            }
        }
        self.written = 0;
        Delivery::Done
    }
}
