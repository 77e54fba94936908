//! A tree of plain directories stands in for the hierarchy: their inode numbers serve as ids.

use std::ffi::OsStr;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn tree(paths: &[&str]) -> (tempfile::TempDir, Cgroups) {
    let root = tempfile::tempdir().unwrap();
    for path in paths {
        fs::create_dir_all(root.path().join(path)).unwrap();
    }
    let cgroups = Cgroups::new(root.path().to_owned());
    (root, cgroups)
}

fn id_of(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn an_id_becomes_a_path_and_a_unit() {
    let (root, mut cgroups) = tree(&["system.slice/shop.service"]);
    let id = id_of(&root.path().join("system.slice/shop.service"));
    let scope = cgroups.resolve(id, 0);
    assert_eq!(scope.path, "/system.slice/shop.service");
    assert_eq!(scope.unit.as_deref(), Some("shop.service"));
    assert_eq!((scope.kind, scope.cgroup_id), (ScopeKind::Cgroup, id));
    assert_eq!(
        cgroups.dir(id),
        Some(root.path().join("system.slice/shop.service").as_path())
    );
}

#[test]
fn the_root_of_the_hierarchy_is_a_slash() {
    let (root, mut cgroups) = tree(&[]);
    assert_eq!(cgroups.resolve(id_of(root.path()), 0).path, "/");
}

#[test]
fn one_walk_finds_any_number_of_ids_and_none_is_needed_for_known_ones() {
    let (root, mut cgroups) = tree(&["a/b", "a/c", "d"]);
    let ids: Vec<u64> = ["a", "a/b", "a/c", "d"]
        .iter()
        .map(|path| id_of(&root.path().join(path)))
        .collect();
    cgroups.learn(ids.iter().copied(), 0);
    cgroups.learn(ids.iter().copied(), 10 * SECOND);
    assert_eq!(cgroups.walks(), 1);
    assert!(ids.iter().all(|id| cgroups.exists(*id)));
}

#[test]
fn an_id_that_is_not_there_is_looked_for_ever_less_often() {
    let (_root, mut cgroups) = tree(&["a"]);
    assert_eq!(cgroups.resolve(u64::MAX, 0).path, format!("?{}", u64::MAX));
    for tick in 1..=600 {
        cgroups.resolve(u64::MAX, tick * SECOND / 10);
    }
    // At 0, 1, 3, 7, 15 and 31 seconds of the minute.
    assert_eq!(cgroups.walks(), 6);
}

#[test]
fn a_stream_of_new_unknown_ids_walks_once_per_gap() {
    let (_root, mut cgroups) = tree(&["a"]);
    for step in 0..100 {
        cgroups.resolve(u64::MAX - step, step * WALK_GAP_NS / 10);
    }
    assert_eq!(cgroups.walks(), 10);
}

#[test]
fn a_cgroup_created_later_is_found_later() {
    let (root, mut cgroups) = tree(&["late"]);
    let id = id_of(&root.path().join("late"));
    fs::rename(root.path().join("late"), root.path().with_extension("hidden")).unwrap();
    assert_eq!(cgroups.resolve(id, 0).path, format!("?{id}"));
    fs::rename(root.path().with_extension("hidden"), root.path().join("late")).unwrap();
    assert_eq!(cgroups.resolve(id, SECOND / 2).path, format!("?{id}"));
    assert_eq!(cgroups.resolve(id, SECOND).path, "/late");
}

#[test]
fn a_sweep_forgets_what_is_gone_and_keeps_the_rest() {
    let (root, mut cgroups) = tree(&["stays", "goes"]);
    let (stays, goes) = (id_of(&root.path().join("stays")), id_of(&root.path().join("goes")));
    cgroups.learn([stays, goes], 0);
    fs::remove_dir(root.path().join("goes")).unwrap();
    cgroups.begin_sweep();
    assert_eq!(cgroups.sweep(1), [goes]);
    assert!(!cgroups.sweeps());
    assert!(cgroups.exists(stays) && !cgroups.exists(goes));
    cgroups.removed(stays);
    assert_eq!(cgroups.dir(stays), None);
}

#[test]
fn a_sweep_takes_as_many_calls_as_it_may_and_lists_where_many_are() {
    let names: Vec<String> = (0..40).map(|number| format!("many/{number}")).collect();
    let few = ["a/x", "b/x", "c/x", "d/x", "e/x", "f/x"];
    let paths: Vec<&str> = names.iter().map(String::as_str).chain(few).collect();
    let (root, mut cgroups) = tree(&paths);
    let id = |path: &str| id_of(&root.path().join(path));
    let all: Vec<u64> = paths.iter().map(|path| id(path)).collect();
    cgroups.learn(all.iter().copied(), 0);
    let mut lost = [id("many/7"), id("many/31"), id("d/x")];
    lost.sort_unstable();
    fs::create_dir(root.path().join("spare")).unwrap();
    for path in ["many/7", "many/31", "d/x"] {
        fs::remove_dir(root.path().join(path)).unwrap();
    }
    // What has the name of one that is gone is another.
    fs::rename(root.path().join("spare"), root.path().join("many/7")).unwrap();
    cgroups.begin_sweep();
    let (mut found, mut calls) = (Vec::new(), 0);
    while cgroups.sweeps() {
        found.extend(cgroups.sweep(5 - calls));
        calls += 1;
    }
    assert!((3..=5).contains(&calls), "{calls}");
    found.sort_unstable();
    assert_eq!(found, lost);
    assert!(all.iter().all(|id| lost.contains(id) != cgroups.exists(*id)));
}

#[test]
fn a_cgroup_whose_end_is_reported_during_a_sweep_is_not_told_again() {
    let (root, mut cgroups) = tree(&["a", "b"]);
    let (a, b) = (id_of(&root.path().join("a")), id_of(&root.path().join("b")));
    cgroups.learn([a, b], 0);
    cgroups.begin_sweep();
    fs::remove_dir(root.path().join("a")).unwrap();
    cgroups.removed(a);
    assert_eq!(cgroups.sweep(1), Vec::<u64>::new());
    assert!(cgroups.exists(b));
}

#[test]
fn what_comes_where_others_came_is_found_there_and_a_place_that_is_gone_is_forgotten() {
    let (root, mut cgroups) = tree(&["a/pods/x", "b"]);
    let path = |path: &str| root.path().join(path);
    cgroups.learn([id_of(&path("a/pods/x")), id_of(&path("b"))], 0);
    assert_eq!(cgroups.nests.len(), 2);
    fs::create_dir(path("a/pods/y")).unwrap();
    let mut wanted = HashSet::from([id_of(&path("a/pods/y"))]);
    // Nothing but the places is left to look at.
    cgroups.mount = path("nowhere");
    cgroups.walk(&mut wanted);
    assert!(wanted.is_empty());
    cgroups.mount = root.path().to_owned();
    fs::create_dir_all(path("c/d")).unwrap();
    fs::remove_dir_all(path("a")).unwrap();
    assert_eq!(cgroups.resolve(id_of(&path("c/d")), SECOND).path, "/c/d");
    assert_eq!(cgroups.nests, BTreeSet::from([root.path().to_owned(), path("c")]));
}

#[test]
fn a_name_that_is_not_utf8_is_escaped_and_a_hostile_one_is_kept_for_the_surfaces() {
    let (root, mut cgroups) = tree(&[]);
    let name = root.path().join(OsStr::from_bytes(b"a\xff\x1b[2Jb"));
    fs::create_dir(&name).unwrap();
    assert_eq!(cgroups.resolve(id_of(&name), 0).path, "/a\\xff\u{1b}[2Jb");
}

#[test]
fn a_walk_does_not_follow_links_and_ends_at_its_depth() {
    let deep = "d/".repeat(MAX_DEPTH + 4);
    let (root, mut cgroups) = tree(&[deep.as_str()]);
    std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
    let bottom = id_of(&root.path().join(&deep));
    assert_eq!(cgroups.resolve(bottom, 0).path, format!("?{bottom}"));
    let last = id_of(&root.path().join("d/".repeat(MAX_DEPTH)));
    assert_ne!(cgroups.resolve(last, SECOND).path, format!("?{last}"));
}
