//! From a cgroup id to its [`Scope`]: path, systemd unit, container.
//!
//! Owns the table of known cgroups. In: ids the kernel side met, and the time. Out: scopes, shared. The id of a cgroup
//! is the inode number of its directory, so one walk over the tree names any number of them. Walks are rare: only for
//! ids not known yet, at most one per [`WALK_GAP_NS`], and for an id that was not found, ever later. Bounded in depth,
//! in directories read, and in ids remembered. Never writes to the hierarchy.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirEntryExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    naming,
    sample::{Scope, ScopeKind},
};

/// Shortest time between two walks over the tree, nanoseconds.
pub const WALK_GAP_NS: u64 = 100_000_000;
/// Time until an id that a walk did not find is looked for again; doubles with every miss.
const FIRST_RETRY_NS: u64 = 1_000_000_000;
/// The longest such time.
const LAST_RETRY_NS: u64 = 64_000_000_000;
/// Directories one walk reads at the most. The kernel has 65,536 cgroups at the most per memory controller.
const MAX_DIRECTORIES: usize = 65_536;
/// Links of a directory without directories in it; kernfs counts them as the usual file systems do.
const LEAF_LINKS: u64 = 2;
/// Levels below the mount a walk goes down.
const MAX_DEPTH: usize = 32;
/// What listing a directory costs in system calls, about; looking at one cgroup costs one.
const LISTING: usize = 6;
/// Ids remembered at the most, known and unknown each.
const MAX_REMEMBERED: usize = 65_536;

/// The table of cgroups.
#[derive(Debug)]
pub struct Cgroups {
    mount: PathBuf,
    known: HashMap<u64, Known>,
    missing: HashMap<u64, Missing>,
    /// Directories right below which some were found.
    nests: BTreeSet<PathBuf>,
    walked_at_ns: Option<u64>,
    walks: u64,
    /// What is left of a look at all that are known: those below one directory each.
    round: Vec<Siblings>,
}

/// Cgroups that are known, all right below one directory.
#[derive(Debug)]
struct Siblings {
    above: PathBuf,
    ids: Vec<u64>,
}

impl Siblings {
    /// System calls to look at them, about.
    fn cost(&self) -> usize {
        self.ids.len().min(LISTING)
    }
}

#[derive(Debug)]
struct Known {
    scope: Arc<Scope>,
    dir: PathBuf,
}

#[derive(Debug)]
struct Missing {
    scope: Arc<Scope>,
    /// Time it waits after the next miss; 0 before it was ever looked for.
    wait_ns: u64,
    retry_at_ns: u64,
}

impl Cgroups {
    /// A table for the hierarchy mounted at `mount`, see [`super::mount::find`]. Knows nothing yet.
    #[must_use]
    pub fn new(mount: PathBuf) -> Self {
        Self {
            mount,
            known: HashMap::new(),
            missing: HashMap::new(),
            nests: BTreeSet::new(),
            walked_at_ns: None,
            walks: 0,
            round: Vec::new(),
        }
    }

    /// Where the hierarchy is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Walks over the tree so far.
    #[must_use]
    pub const fn walks(&self) -> u64 {
        self.walks
    }

    /// Looks for those of `ids` that are not known, with one walk at the most. Call it once per tick with all ids, then
    /// [`Self::resolve`] each. `now_ns` is `CLOCK_MONOTONIC`.
    pub fn learn(&mut self, ids: impl IntoIterator<Item = u64>, now_ns: u64) {
        let mut wanted = HashSet::new();
        for id in ids {
            if !self.known.contains_key(&id) && self.is_due(id, now_ns) {
                wanted.insert(id);
            }
        }
        let too_soon = self
            .walked_at_ns
            .is_some_and(|at| now_ns < at.saturating_add(WALK_GAP_NS));
        if wanted.is_empty() || too_soon {
            return;
        }
        self.walked_at_ns = Some(now_ns);
        self.walks += 1;
        self.walk(&mut wanted);
        for id in wanted {
            self.missed(id, now_ns);
        }
    }

    /// The scope of cgroup `id`. One that is not known is looked for, if it is time; until it is found its path is
    /// `?ID`. `now_ns` is `CLOCK_MONOTONIC`.
    pub fn resolve(&mut self, id: u64, now_ns: u64) -> Arc<Scope> {
        self.learn([id], now_ns);
        if let Some(known) = self.known.get(&id) {
            return Arc::clone(&known.scope);
        }
        match self.missing.get(&id) {
            Some(missing) => Arc::clone(&missing.scope),
            None => Arc::new(unnamed(id)),
        }
    }

    /// The directory of cgroup `id`; `None` while it is not known.
    #[must_use]
    pub fn dir(&self, id: u64) -> Option<&Path> {
        self.known.get(&id).map(|known| known.dir.as_path())
    }

    /// Forgets cgroup `id`: the kernel said it is gone.
    pub fn removed(&mut self, id: u64) {
        self.known.remove(&id);
        self.missing.remove(&id);
    }

    /// Whether cgroup `id` is known and its directory still is this cgroup. One `stat`.
    #[must_use]
    pub fn exists(&self, id: u64) -> bool {
        self.known.get(&id).is_some_and(|known| is_dir_of(&known.dir, id))
    }

    /// Begins to look whether all that are known are still there; [`Self::sweep`] does it. One that is under way begins anew.
    pub fn begin_sweep(&mut self) {
        let mut below: BTreeMap<&Path, Vec<u64>> = BTreeMap::new();
        for (id, known) in &self.known {
            let above = known.dir.parent().filter(|_| known.dir != self.mount);
            below.entry(above.unwrap_or(&known.dir)).or_default().push(*id);
        }
        let siblings = |(above, ids): (&Path, Vec<u64>)| Siblings {
            above: above.to_owned(),
            ids,
        };
        self.round = below.into_iter().map(siblings).collect();
    }

    /// Whether a look is under way.
    #[must_use]
    pub fn sweeps(&self) -> bool {
        !self.round.is_empty()
    }

    /// Goes on with the look that was begun, so that it ends after this many calls at the latest. Forgets every cgroup whose
    /// directory is gone and returns their ids, in order: what [`Self::removed`] was not told. Many below one directory cost no more
    /// than one listing of it.
    pub fn sweep(&mut self, calls_left: usize) -> Vec<u64> {
        let cost: usize = self.round.iter().map(Siblings::cost).sum();
        let share = cost.div_ceil(calls_left.max(1));
        let (mut spent, mut gone) = (0, Vec::new());
        while spent < share
            && let Some(siblings) = self.round.pop()
        {
            spent += siblings.cost();
            let listed = (siblings.ids.len() > LISTING).then(|| ids_below(&siblings.above));
            let is_listed = |id: &u64| listed.as_ref().is_some_and(|listed| listed.contains(id));
            gone.extend(siblings.ids.iter().filter(|id| !is_listed(id) && self.is_gone(**id)));
        }
        gone.sort_unstable();
        for id in &gone {
            self.known.remove(id);
        }
        gone
    }

    /// Whether a cgroup is known, and its directory is this cgroup no more. One `stat`.
    fn is_gone(&self, id: u64) -> bool {
        self.known.get(&id).is_some_and(|known| !is_dir_of(&known.dir, id))
    }

    fn is_due(&self, id: u64, now_ns: u64) -> bool {
        self.missing
            .get(&id)
            .is_none_or(|missing| now_ns >= missing.retry_at_ns)
    }

    fn missed(&mut self, id: u64, now_ns: u64) {
        if self.missing.len() >= MAX_REMEMBERED && !self.missing.contains_key(&id) {
            self.missing.clear();
        }
        let missing = self.missing.entry(id).or_insert_with(|| Missing {
            scope: Arc::new(unnamed(id)),
            wait_ns: FIRST_RETRY_NS,
            retry_at_ns: 0,
        });
        missing.retry_at_ns = now_ns.saturating_add(missing.wait_ns);
        missing.wait_ns = (missing.wait_ns * 2).min(LAST_RETRY_NS);
    }

    /// Where cgroups came before, others come: those directories first, one listing each. Then all, breadth first, because the
    /// cgroups a reader cares about lie near the root. Ends as soon as `wanted` is empty.
    fn walk(&mut self, wanted: &mut HashSet<u64>) {
        for dir in self.nests.iter().cloned().collect::<Vec<_>>() {
            if wanted.is_empty() {
                return;
            }
            let Ok(entries) = fs::read_dir(&dir) else {
                self.nests.remove(&dir);
                continue;
            };
            for entry in entries.flatten() {
                if wanted.remove(&entry.ino()) {
                    self.found(entry.ino(), entry.path());
                }
            }
        }
        if let Ok(root) = fs::metadata(&self.mount)
            && wanted.remove(&root.ino())
        {
            self.found(root.ino(), self.mount.clone());
        }
        let mut queue = VecDeque::from([(self.mount.clone(), 0)]);
        let mut read = 0;
        while let Some((dir, depth)) = queue.pop_front() {
            if wanted.is_empty() || read == MAX_DIRECTORIES {
                return;
            }
            if is_leaf(&dir) {
                continue;
            }
            read += 1;
            for (id, below) in children(&dir) {
                if wanted.remove(&id) {
                    self.found(id, below.clone());
                }
                if depth + 1 < MAX_DEPTH && queue.len() < MAX_DIRECTORIES {
                    queue.push_back((below, depth + 1));
                }
            }
        }
    }

    fn found(&mut self, id: u64, dir: PathBuf) {
        if self.known.len() >= MAX_REMEMBERED {
            return;
        }
        let scope = Arc::new(scope_at(&self.mount, id, &dir));
        self.missing.remove(&id);
        if let Some(above) = dir.parent().filter(|above| above.starts_with(&self.mount))
            && !self.nests.contains(above)
        {
            self.nests.insert(above.to_owned());
        }
        self.known.insert(id, Known { scope, dir });
    }
}

/// Every cgroup below one, in any order: all there are, however deep. One that goes away meanwhile is left out.
#[must_use]
pub fn below(mount: &Path, path: &str) -> Vec<Arc<Scope>> {
    let (mut all, mut left) = (Vec::new(), vec![mount.join(path.trim_start_matches('/'))]);
    while let Some(dir) = left.pop() {
        if !is_leaf(&dir) {
            for (id, below) in children(&dir) {
                all.push(Arc::new(scope_at(mount, id, &below)));
                left.push(below);
            }
        }
    }
    all
}

/// Most cgroups are leaves, and listing one means listing its sixty files: its link count tells sooner.
fn is_leaf(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.nlink() == LEAF_LINKS)
}

/// Ids of the directories right below one, as a listing tells them.
fn ids_below(dir: &Path) -> HashSet<u64> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.ino()).collect()
}

/// Ids and directories of the cgroups right below one. One that goes away while it is read has nothing to tell.
fn children(dir: &Path) -> impl Iterator<Item = (u64, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| (entry.ino(), entry.path()))
}

fn scope_at(mount: &Path, id: u64, dir: &Path) -> Scope {
    let relative = dir.strip_prefix(mount).unwrap_or(dir);
    named(id, &format!("/{}", readable(relative.as_os_str().as_bytes())))
}

fn is_dir_of(dir: &Path, id: u64) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir() && found.ino() == id)
}

/// The scope of a cgroup, by what its path tells.
#[must_use]
pub fn named(id: u64, path: &str) -> Scope {
    Scope {
        kind: ScopeKind::Cgroup,
        path: path.to_owned(),
        unit: naming::unit(path).map(str::to_owned),
        container: naming::container(path).map(str::to_owned),
        cgroup_id: id,
    }
}

fn unnamed(id: u64) -> Scope {
    Scope {
        kind: ScopeKind::Cgroup,
        path: format!("?{id}"),
        unit: None,
        container: None,
        cgroup_id: id,
    }
}

/// Bytes as text: what is not UTF-8 becomes `\xNN`, everything else stays. Surfaces escape what could harm a reader.
#[must_use]
pub fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
#[path = "cgroups_tests.rs"]
mod tests;
