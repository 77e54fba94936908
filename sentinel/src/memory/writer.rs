//! The thread that writes pictures. Holds one that waits at the most; says once that it cannot write, and once that it can again.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use super::{
    Picture,
    file::{self, MAX_BYTES},
    folder::Folder,
};

/// How often somebody who waits looks again.
const LOOK: Duration = Duration::from_millis(10);

/// The near end.
#[derive(Debug)]
pub(super) struct Writer {
    pictures: SyncSender<Picture>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system refuses one.
    pub(super) fn start(folder: Folder) -> io::Result<Self> {
        let (pictures, waiting) = sync_channel(1);
        let (alive, ended) = sync_channel(0);
        thread::Builder::new().name("sentinel-memory".into()).spawn(move || {
            let _alive: SyncSender<()> = alive;
            write_all(&folder, &waiting);
        })?;
        Ok(Self { pictures, ended })
    }

    /// Hands a picture over, or drops it where the disk has not even taken the last: the next one is newer.
    pub(super) fn offer(&self, picture: Picture) {
        if self.pictures.try_send(picture).is_err() {
            tracing::debug!("what was learned is not written this time: the disk is still busy with the last");
        }
    }

    /// The same, and waits a while for its turn.
    pub(super) fn offer_patiently(&self, mut picture: Picture, patience: Duration) {
        let tries = patience.as_millis() / LOOK.as_millis();
        for _ in 0..=tries {
            match self.pictures.try_send(picture) {
                Err(TrySendError::Full(back)) => picture = back,
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(LOOK);
        }
        tracing::warn!("what was learned last is not written: the disk takes too long");
    }

    /// Waits until all is written, at most so long.
    pub(super) fn finish(self, patience: Duration) {
        drop(self.pictures);
        if self.ended.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("what was learned last is perhaps not written: the disk takes too long");
        }
    }
}

fn write_all(folder: &Folder, waiting: &Receiver<Picture>) {
    let (mut failing, mut crowded) = (false, false);
    for picture in waiting {
        let count = picture.scopes.len();
        let (text, left_out) = file::text(picture, MAX_BYTES);
        let written = folder.write(&text);
        match &written {
            Ok(()) if failing => tracing::info!("{} is written again", folder.file().display()),
            Err(error) if !failing => tracing::warn!("{error}"),
            _ => {}
        }
        failing = written.is_err();
        if left_out > 0 && !crowded {
            tracing::warn!(
                "{} keeps {} scopes and leaves out {left_out}, those with the least history: it is never longer than {} MiB",
                folder.file().display(),
                count - left_out,
                MAX_BYTES >> 20
            );
        }
        crowded = left_out > 0;
    }
}
