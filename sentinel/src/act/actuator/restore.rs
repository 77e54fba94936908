//! Putting back what was found: one change, or all that a journal says nobody undid. Writes only where the file still
//! says what the change wrote; whatever somebody else wrote meanwhile is left, and said.

use super::{
    ActuatorError, CgroupOptions, Knob,
    directory::{Directory, Hierarchy},
    journal::{Change, Journal, Left},
};
use crate::{
    act::message::{Ending, PutBack, Why},
    time::Now,
};

/// Puts back everything a journal says nobody undid, and tells what was undone without anybody being told.
///
/// # Errors
/// No hierarchy, or a journal that cannot be used; nothing was touched then.
pub fn put_back_all(options: &CgroupOptions, why: Why, now: Now) -> Result<Vec<PutBack>, ActuatorError> {
    let hierarchy = Hierarchy::open(&options.mount)?;
    let (mut journal, left) = Journal::open(&options.journal, &options.boot_id)?;
    Ok(all(&hierarchy, &mut journal, left, why, now).0)
}

/// The same with what is open already; also returns what could not be undone yet.
pub(super) fn all(
    hierarchy: &Hierarchy,
    journal: &mut Journal,
    left: Left,
    why: Why,
    now: Now,
) -> (Vec<PutBack>, Vec<Change>) {
    let mut told = left.undone;
    let rebooted = left.rebooted.iter();
    told.extend(rebooted.map(|change| change.put_back(why, Ending::Rebooted, now.unix_ms)));
    let mut not_yet = Vec::new();
    for change in left.pending {
        let put_back = one(hierarchy, journal, &change, why, now);
        if !put_back.is_over() {
            not_yet.push(change);
        }
        told.push(put_back);
    }
    journal.clear();
    (told, not_yet)
}

/// Undoes one change and writes down what came of it.
pub(super) fn one(hierarchy: &Hierarchy, journal: &mut Journal, change: &Change, why: Why, now: Now) -> PutBack {
    let ending = undo(hierarchy, change);
    let put_back = change.put_back(why, ending, now.unix_ms);
    if put_back.is_over() {
        // Without this line the next start looks once more and finds it undone.
        let _ = journal.undone(&put_back);
    }
    put_back
}

fn undo(hierarchy: &Hierarchy, change: &Change) -> Ending {
    let directory = match hierarchy.cgroup(&change.target) {
        Ok(directory) => directory,
        Err(ActuatorError::Vanished { .. } | ActuatorError::Recreated { .. }) => return Ending::Gone,
        Err(error) => {
            return Ending::NotYet {
                reason: error.to_string(),
            };
        }
    };
    let file = change.knob.file();
    match directory.read(file) {
        Ok(None) => Ending::Gone,
        Ok(Some(now)) if now == change.found => Ending::AlreadyBack,
        Ok(Some(now)) if now != change.wrote => Ending::Left { now },
        Ok(Some(_)) => write(&directory, change.knob, &change.found),
        Err(error) => Ending::NotYet {
            reason: format!("{file} cannot be read: {error}"),
        },
    }
}

/// Writes what was found, and looks whether it is there.
pub(super) fn write(directory: &Directory, knob: Knob, found: &str) -> Ending {
    let file = knob.file();
    match directory.write(file, found).and_then(|_| directory.read(file)) {
        Ok(None) => Ending::Gone,
        Ok(Some(now)) if now == found => Ending::Restored,
        Ok(Some(now)) => Ending::NotYet {
            reason: format!("{found:?} was written to {file}, and it says {now:?}"),
        },
        Err(error) => Ending::NotYet {
            reason: format!("{found:?} cannot be written to {file}: {error}"),
        },
    }
}
