//! The journal: what was written before is read after, and what cannot be trusted stops everything.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::{lease, target};
use crate::act::{
    action::Target,
    actuator::{
        JournalError, Knob,
        journal::{Change, Journal, Left},
    },
    message::{Ending, Why},
};

const BOOT: &str = "9f0c2f2e-0000-4000-8000-000000000001";

fn change(id: &str) -> Change {
    Change {
        lease: lease(id),
        target: target(),
        knob: Knob::Freeze,
        found: "0".into(),
        wrote: "1".into(),
        unix_ms: 1_767_225_600_000,
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = dir.path().join("state/leases.jsonl");
    (dir, path)
}

fn open(path: &Path) -> Result<Left, JournalError> {
    Journal::open(path, BOOT).map(|(_, left)| left)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_change_nobody_undid_is_found_by_the_next() {
    let (_dir, path) = place();
    let (mut journal, left) = Journal::open(&path, BOOT).unwrap();
    assert!(left.pending.is_empty());
    journal.change(&change("a")).unwrap();
    journal.change(&change("b")).unwrap();
    journal
        .undone(&change("a").put_back(Why::Asked, Ending::Restored, 1))
        .unwrap();
    drop(journal);
    let left = open(&path).unwrap();
    assert_eq!(left.pending, [change("b")]);
    assert!(left.undone.is_empty() && left.rebooted.is_empty(), "{left:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_was_undone_without_being_asked_for_is_told_once() {
    let (_dir, path) = place();
    let (mut journal, _) = Journal::open(&path, BOOT).unwrap();
    journal.change(&change("a")).unwrap();
    let put_back = change("a").put_back(Why::AgentGone, Ending::Restored, 1);
    journal.undone(&put_back).unwrap();
    drop(journal);
    let (mut journal, left) = Journal::open(&path, BOOT).unwrap();
    assert_eq!(left.undone, [put_back]);
    journal.clear();
    drop(journal);
    assert!(open(&path).unwrap().undone.is_empty());
}

#[test]
fn nothing_of_an_earlier_boot_is_pending() {
    let (_dir, path) = place();
    let (mut journal, _) = Journal::open(&path, "another boot").unwrap();
    journal.change(&change("a")).unwrap();
    drop(journal);
    let left = open(&path).unwrap();
    assert_eq!(left.rebooted, [change("a")]);
    assert!(left.pending.is_empty());
}

#[test]
fn a_torn_last_line_never_existed() {
    let (_dir, path) = place();
    let (mut journal, _) = Journal::open(&path, BOOT).unwrap();
    journal.change(&change("a")).unwrap();
    journal.change(&change("b")).unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in first..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (mut journal, left) = Journal::open(&path, BOOT).unwrap();
        assert_eq!(left.pending, [change("a")], "{length}");
        // And it is gone, so that the next line is whole.
        journal.change(&change("c")).unwrap();
        drop(journal);
        assert_eq!(open(&path).unwrap().pending, [change("a"), change("c")]);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(open(&path).unwrap().pending, [change("a"), change("b")]);
}

#[test]
fn a_foreign_file_and_another_version_are_named_with_their_line_and_left() {
    let (_dir, path) = place();
    let (mut journal, _) = Journal::open(&path, BOOT).unwrap();
    journal.change(&change("a")).unwrap();
    drop(journal);
    let good = fs::read_to_string(&path).unwrap();
    for bad in [
        "root:x:0:0\n".to_owned(),
        "{}\n".into(),
        "\n".into(),
        good.replace(r#""found":"0""#, r#""found":"0\n1""#),
        good.replace(r#""path":"/shop.slice/api.service""#, r#""path":"/../etc""#),
        good.replace(r#""knob":"freeze""#, r#""knob":"core_pattern""#),
    ] {
        fs::write(&path, format!("{good}{bad}")).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, JournalError::Foreign { line: 2, .. }), "{bad}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{good}{bad}"));
    }
    fs::write(&path, &good).unwrap();
    append(&path, "{\"schema\":\"sentinel.lease/2\",\"more\":1}\n");
    let error = open(&path).unwrap_err();
    assert!(
        matches!(&error, JournalError::Version { line: 2, found, .. } if found == "sentinel.lease/2"),
        "{error}"
    );
    fs::write(&path, vec![0xff; 8 << 20]).unwrap();
    assert!(matches!(open(&path), Err(JournalError::Foreign { .. })));
}

#[test]
fn a_journal_others_may_write_is_refused() {
    let (dir, path) = place();
    open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(matches!(open(&path), Err(JournalError::Unsafe { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let state = path.parent().unwrap();
    fs::set_permissions(state, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(open(&path), Err(JournalError::Unsafe { .. })));
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).unwrap();
    let target = dir.path().join("precious");
    fs::write(&target, "keep me").unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&target, &path).unwrap();
    assert!(matches!(open(&path), Err(JournalError::Unusable { .. })));
    assert_eq!(fs::read_to_string(&target).unwrap(), "keep me");
}

#[test]
fn one_process_holds_it_at_a_time() {
    let (_dir, path) = place();
    let held = Journal::open(&path, BOOT).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("fuser"));
    drop(held);
    open(&path).unwrap();
}

#[test]
fn a_journal_that_would_grow_without_end_takes_no_more() {
    let (_dir, path) = place();
    let (mut journal, _) = Journal::open(&path, BOOT).unwrap();
    let long = |number: u32| Change {
        target: Target::new("/\u{1}".repeat(512), 4711).unwrap(),
        ..change(&format!("l{number}"))
    };
    let mut held = 0;
    let full = loop {
        match journal.change(&long(held)) {
            Ok(()) => held += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(full, JournalError::Full { .. }) && held > 100,
        "{full} after {held}"
    );
    // What is held can still be ended. Once nothing is, it begins anew.
    for number in 0..held {
        let put_back = long(number).put_back(Why::Lapsed, Ending::Restored, 1);
        journal.undone(&put_back).unwrap();
    }
    let before = fs::metadata(&path).unwrap().len();
    journal.change(&change("again")).unwrap();
    assert!(before > 1 << 20 && fs::metadata(&path).unwrap().len() < 1024);
    drop(journal);
    assert_eq!(open(&path).unwrap().pending, [change("again")]);
}
