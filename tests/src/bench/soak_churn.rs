//! What a soak does to the host: clients that connect at an even rate, and cgroups that are made, entered by a client or by a
//! process that is born in them, and destroyed at once or a while later.
//!
//! In: how many, and for how long. Out: the ids of the cgroups and what became of the connections, exactly. Everything stays
//! on loopback and below one directory of the tests, ends by itself after a time, and goes with its guard.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::Stdio,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::libc;
use serde::Serialize;

use super::soak_ledger::Connections;
use crate::{
    cgroup::{Cgroup, Family},
    wait,
    workload::{Workload, port::Closed},
};

/// One of so many connections is refused.
const REFUSED_EACH: u64 = 5;
/// One of so many cgroups has a process that is born and ends in it, and one of so many of these ends at once.
const BORN_EACH: u64 = 10;
const FLEETING_EACH: u64 = 5;
/// What such a process is: one that leaves the CPU, and one that need not.
const STAYING: [&str; 2] = ["sleep", "0.001"];
const FLEETING: [&str; 1] = ["true"];
/// How long a cgroup stays once nobody is in it, in turn: too short to be named, for a reading, for a tick, for some.
const STAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// How long a client that connects all the time may take to be run once.
const RUN_LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks whether it was.
const RUN_STEP: Duration = Duration::from_millis(1);

/// Clients that connect at an even rate, one of them in vain, and the server.
#[derive(Debug)]
pub struct Loads {
    clients: Vec<Workload>,
    _server: Workload,
    _closed: Closed,
    cgroups: Vec<Cgroup>,
    overflows: u64,
}

/// A client and the thread of it that connects.
#[derive(Debug)]
pub struct Client {
    pid: u32,
    schedstat: PathBuf,
}

/// What became of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// As the clients tell. Connections that were accepted: as many as were established.
    pub connections: Connections,
    /// Connections that the kernel let fall because a server did not take them: none of them was accepted.
    pub overflows: u64,
}

impl Loads {
    /// Starts so many, which take about `length`; after `limit` they end however far they are.
    ///
    /// # Errors
    /// They did not begin.
    pub fn start(family: &Family, connections: u64, length: Duration, limit: Duration) -> Result<Self> {
        let seconds = limit.as_secs().to_string();
        let home = family.cgroup("soak-server")?;
        let server = Workload::start(&home, &["tcp-server", "--seconds", &seconds])?;
        let (open, closed) = (server.listen()?, Closed::take(IpAddr::V4(Ipv4Addr::LOCALHOST))?);
        let refused = connections / REFUSED_EACH;
        let half = (connections - refused) / 2;
        let shares = [
            (open, half),
            (open, connections - refused - half),
            (closed.address(), refused),
        ];
        let mut loads = Self {
            clients: Vec::new(),
            _server: server,
            _closed: closed,
            cgroups: vec![home],
            overflows: overflows()?,
        };
        for (index, (to, most)) in shares.into_iter().enumerate() {
            let home = family.cgroup(&format!("soak-client-{index}"))?;
            let per_s = (most as f64 / length.as_secs_f64()).to_string();
            let (to, most) = (to.to_string(), most.to_string());
            let args = [
                "attempts",
                "--to",
                &to,
                "--per-s",
                &per_s,
                "--most",
                &most,
                "--seconds",
                &seconds,
            ];
            loads.clients.push(Workload::start(&home, &args)?);
            loads.cgroups.push(home);
        }
        Ok(loads)
    }

    /// The clients, to be led through cgroups.
    ///
    /// # Errors
    /// One ended at once.
    pub fn clients(&self) -> Result<Vec<Client>> {
        self.clients.iter().map(|client| Client::of(client.pid())).collect()
    }

    /// Waits until all clients have ended, and says what they did.
    ///
    /// # Errors
    /// One does not end, or met something else than an open and a closed port.
    pub fn end(&mut self, limit: Duration) -> Result<Made> {
        let mut made = Made::default();
        let start_ns = wait::now_ns();
        for client in &mut self.clients {
            let report = client.report(limit.saturating_sub(wait::since(start_ns)))?;
            let ends: BTreeMap<String, u64> = serde_json::from_value(report["ends"].clone())?;
            for (end, count) in ends {
                let sum = &mut made.connections;
                sum.attempts += count;
                match end.as_str() {
                    "ok" => (sum.connects, sum.accepts) = (sum.connects + count, sum.accepts + count),
                    refused if refused == libc::ECONNREFUSED.to_string() => sum.failures += count,
                    other => bail!("{count} attempts ended with error {other}: is there room for sockets and ports?"),
                }
            }
        }
        made.overflows = overflows()?.saturating_sub(self.overflows);
        Ok(made)
    }

    /// Ids of the cgroups that server and clients began in.
    ///
    /// # Errors
    /// One is gone.
    pub fn ids(&self) -> Result<Vec<u64>> {
        self.cgroups.iter().map(Cgroup::id).collect()
    }
}

impl Client {
    fn of(pid: u32) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}/task"));
        let connects = || {
            let tasks = fs::read_dir(&folder).ok()?.flatten();
            let mut others = tasks.filter(|task| task.file_name().to_str() != Some(&pid.to_string()));
            others.next().map(|task| task.path().join("schedstat"))
        };
        let schedstat = wait::until(RUN_LIMIT, connects);
        Ok(Self {
            pid,
            schedstat: schedstat.with_context(|| format!("the client {pid} has no thread that connects"))?,
        })
    }

    /// How often it was put on a CPU; `None` once it has ended.
    fn runs(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.schedstat).ok()?;
        text.split_whitespace().nth(2)?.parse().ok()
    }

    /// Puts it into a cgroup and waits until it has been on a CPU there; false once it has ended.
    fn enter(&self, cgroup: &Cgroup) -> Result<bool> {
        match fs::write(cgroup.dir().join("cgroup.procs"), self.pid.to_string()) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            other => other.with_context(|| format!("the client {} into {}", self.pid, cgroup.scope()))?,
        }
        let Some(before) = self.runs() else { return Ok(false) };
        let start_ns = wait::now_ns();
        while let Some(now) = self.runs() {
            if now > before {
                return Ok(true);
            }
            ensure!(
                wait::since(start_ns) < RUN_LIMIT,
                "the client {} was not run within {RUN_LIMIT:?}",
                self.pid
            );
            thread::sleep(RUN_STEP);
        }
        Ok(false)
    }
}

/// cgroups that come and go.
#[derive(Debug)]
pub struct Churn<'a> {
    family: &'a Family,
    clients: Vec<Client>,
    /// Where each client is.
    inside: Vec<Option<Leaving>>,
    /// Those that nobody is in any more.
    leaving: Vec<Leaving>,
    ids: HashSet<u64>,
    gone: HashSet<u64>,
    fleeting: HashSet<u64>,
    born: HashSet<u64>,
}

/// A cgroup and when it is to go.
#[derive(Debug)]
struct Leaving {
    cgroup: Cgroup,
    id: u64,
    stays: Duration,
    empty_since_ns: u64,
}

/// What came and went.
#[derive(Clone, Debug, Default)]
pub struct Churned {
    /// Ids of the cgroups. The kernel never gives one twice.
    pub ids: HashSet<u64>,
    /// Those of them in which the only process ended at once. It need not have left the CPU between, and then nothing tells
    /// that it was there: what it did counts for the cgroup it came from.
    pub fleeting: HashSet<u64>,
    /// Those in which the only process was born and ended, the fleeting ones included.
    pub born: HashSet<u64>,
}

impl<'a> Churn<'a> {
    /// Below this directory, with these clients.
    #[must_use]
    pub fn new(family: &'a Family, clients: Vec<Client>) -> Self {
        Self {
            family,
            inside: clients.iter().map(|_| None).collect(),
            clients,
            leaving: Vec::new(),
            ids: HashSet::new(),
            gone: HashSet::new(),
            fleeting: HashSet::new(),
            born: HashSet::new(),
        }
    }

    /// Makes one cgroup that a task enters, and destroys those whose time has come.
    ///
    /// # Errors
    /// A cgroup could not be made, entered or destroyed.
    pub fn step(&mut self, number: u64) -> Result<()> {
        let cgroup = self.family.cgroup(&format!("soak-{number}"))?;
        let id = cgroup.id()?;
        ensure!(self.ids.insert(id), "the kernel gave the cgroup id {id} twice");
        let turn = number as usize;
        let client = turn % self.clients.len();
        let entered = !number.is_multiple_of(BORN_EACH) && self.clients[client].enter(&cgroup)?;
        if !entered {
            let is_fleeting = (number / BORN_EACH).is_multiple_of(FLEETING_EACH) && number.is_multiple_of(BORN_EACH);
            Self::bear(&cgroup, if is_fleeting { &FLEETING } else { &STAYING })?;
            if is_fleeting {
                self.fleeting.insert(id);
            }
            self.born.insert(id);
        }
        let now = Leaving {
            cgroup,
            id,
            stays: STAYS[turn % STAYS.len()],
            empty_since_ns: wait::now_ns(),
        };
        let left = if entered {
            self.inside[client].replace(now)
        } else {
            Some(now)
        };
        self.leaving.extend(left.map(|left| Leaving {
            empty_since_ns: wait::now_ns(),
            ..left
        }));
        let is_due = |one: &mut Leaving| wait::since(one.empty_since_ns) >= one.stays;
        let due: Vec<Leaving> = self.leaving.extract_if(.., is_due).collect();
        due.into_iter().try_for_each(|one| self.destroy(one))
    }

    /// Destroys what is left, once the clients have ended.
    ///
    /// # Errors
    /// A cgroup could not be destroyed.
    pub fn end(mut self) -> Result<Churned> {
        let left: Vec<Leaving> = self.leaving.drain(..).collect();
        let left = left
            .into_iter()
            .chain(self.inside.drain(..).flatten().collect::<Vec<_>>());
        left.into_iter().try_for_each(|one| self.destroy(one))?;
        Ok(Churned {
            ids: self.ids,
            fleeting: self.fleeting,
            born: self.born,
        })
    }

    /// How many were made so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Ids of those that were destroyed.
    #[must_use]
    pub const fn gone(&self) -> &HashSet<u64> {
        &self.gone
    }

    /// Runs a process in a cgroup from its first instruction to its end.
    fn bear(cgroup: &Cgroup, words: &[&str]) -> Result<()> {
        let [program, args @ ..] = words else { return Ok(()) };
        let mut command = cgroup.command(program);
        let ended = command.args(args).stdin(Stdio::null()).status()?;
        ensure!(ended.success(), "a process in {} ended with {ended}", cgroup.scope());
        Ok(())
    }

    fn destroy(&mut self, one: Leaving) -> Result<()> {
        let dir = one.cgroup.dir().to_owned();
        drop(one.cgroup);
        match fs::symlink_metadata(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => bail!("the cgroup {} is still there: what is in it?", dir.display()),
        }
        self.gone.insert(one.id);
        Ok(())
    }
}

/// Connections that were let fall since boot because the queue of who listens was full, of this network namespace.
fn overflows() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/netstat")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut named = names.split_whitespace().zip(values.split_whitespace());
    let found = named.find(|(name, _)| *name == "ListenOverflows");
    let (_, value) = found.context("no `ListenOverflows` in /proc/net/netstat")?;
    Ok(value.parse()?)
}
