//! What the contracts on actuators act on: a scope and a bystander, both at work, and everything that was set before.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use sentinel::act::{
    action::{Action, LeaseId, Order, Target, Ttl},
    actuator::{Guarded, Knob},
    message::{Ending, PutBack, Why},
};
use tempfile::TempDir;

use crate::{
    books::Tasks,
    cgroup::{Cgroup, Family},
    holder::Holder,
    paths, wait,
    workload::{Workload, hold::options},
};

/// What a lease holds for.
pub const TTL: Duration = Duration::from_secs(2);
/// Time over which use is measured.
const MEASURED: Duration = Duration::from_millis(1500);
/// A quota well below what the scope uses.
pub const CPU_MAX: Action = Action::CpuMax {
    quota_us: 15_000,
    period_us: 100_000,
    used_us_per_s: 400_000,
};

/// A cgroup to act on, with a busy task; a bystander beside it, busy too; and what was set before.
#[derive(Debug)]
pub struct Stage {
    /// To act on.
    pub scope: Cgroup,
    /// To leave alone.
    pub bystander: Cgroup,
    _tasks: Vec<Workload>,
    _family: Family,
    state: TempDir,
    before: Vec<(PathBuf, String)>,
}

impl Stage {
    /// Makes it, with every controller that this host offers.
    ///
    /// # Errors
    /// The cgroups could not be made, or their tasks not started.
    pub fn set() -> Result<Self> {
        let family = Family::new()?;
        let controllers = fs::read_to_string(paths::cgroup2()?.join("cgroup.controllers"))?;
        let scope = family.cgroup("scope")?;
        let parent = scope.dir().parent().context("no parent")?.to_owned();
        for name in controllers
            .split_whitespace()
            .filter(|name| ["cpu", "memory"].contains(name))
        {
            fs::write(parent.join("cgroup.subtree_control"), format!("+{name}"))?;
        }
        let bystander = family.cgroup("bystander")?;
        let busy = |cgroup: &Cgroup| {
            Workload::start(
                cgroup,
                &["duty", "--threads", "1", "--percent", "40", "--seconds", "60"],
            )
        };
        let tasks = vec![busy(&scope)?, busy(&bystander)?];
        let before = settings(&[&parent, bystander.dir(), scope.dir()]);
        ensure!(before.len() >= 3, "nothing to compare: {before:?}");
        Ok(Self {
            scope,
            bystander,
            _tasks: tasks,
            _family: family,
            state: tempfile::tempdir()?,
            before,
        })
    }

    /// Where to write down what was found.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state.path().join("leases.jsonl")
    }

    /// An order on the scope.
    ///
    /// # Errors
    /// It breaks a rule.
    pub fn order(&self, lease: &str, action: Action) -> Result<Order> {
        order(&self.scope, lease, action)
    }

    /// An order to freeze the scope, under [`lease`].
    ///
    /// # Errors
    /// The scope is gone.
    pub fn freeze(&self) -> Result<Order> {
        self.order("lease-1", Action::Freeze)
    }

    /// A process that holds an order.
    ///
    /// # Errors
    /// The order was not done.
    pub fn hold(&self, order: &Order) -> Result<Holder> {
        Holder::start(order, &self.journal())
    }

    /// A guard of this process.
    ///
    /// # Errors
    /// It could not be started.
    pub fn guarded(&self) -> Result<Guarded> {
        Ok(Guarded::start(options(self.journal())?)?.0)
    }

    /// Whether everything in the scope stands still.
    #[must_use]
    pub fn frozen(&self) -> bool {
        frozen(&self.scope)
    }

    /// Everything but one file of the scope says what it said before, and the bystander works.
    ///
    /// # Errors
    /// It is not so; says what changed.
    pub fn others_are_untouched(&self, but: Option<Knob>) -> Result<()> {
        self.nothing_is_changed(but)?;
        work(&[&self.bystander])
    }

    fn nothing_is_changed(&self, but: Option<Knob>) -> Result<()> {
        let but = but.map(|knob| self.scope.dir().join(knob.file()));
        for (file, before) in &self.before {
            let now = fs::read_to_string(file)?;
            ensure!(
                Some(file) == but.as_ref() || now == *before,
                "{}: {before:?} became {now:?}",
                file.display()
            );
        }
        Ok(())
    }

    /// All is as before, and the scope works again.
    ///
    /// # Errors
    /// It is not so; says what is not.
    pub fn all_is_back(&self) -> Result<()> {
        self.nothing_is_changed(None)?;
        work(&[&self.bystander, &self.scope])
    }

    /// Waits until the file says what it said before; the time since `start_ns`.
    ///
    /// # Errors
    /// It does not in time.
    pub fn back(&self, knob: Knob, start_ns: u64, limit: Duration) -> Result<Duration> {
        let file = self.scope.dir().join(knob.file());
        let (_, before) = self
            .before
            .iter()
            .find(|(path, _)| *path == file)
            .context("no such file")?;
        let back = wait::until(limit, || {
            (fs::read_to_string(&file).ok()? == *before).then(|| wait::since(start_ns))
        });
        back.with_context(|| format!("{} is not back after {limit:?}", file.display()))
    }
}

/// An order on any cgroup, for [`TTL`].
///
/// # Errors
/// It breaks a rule.
pub fn order(cgroup: &Cgroup, lease: &str, action: Action) -> Result<Order> {
    let target = Target::new(cgroup.scope(), cgroup.id()?)?;
    let ttl = Ttl::try_from(u64::try_from(TTL.as_millis())?)?;
    Ok(Order::new(
        LeaseId::new(lease)?,
        target,
        action,
        ttl,
        "a contract asks for it",
    )?)
}

/// The lease most orders are under.
///
/// # Errors
/// Never.
pub fn lease() -> Result<LeaseId> {
    Ok(LeaseId::new("lease-1")?)
}

/// What every file that may be written says, in these cgroups.
fn settings(dirs: &[&Path]) -> Vec<(PathBuf, String)> {
    let knobs = [Knob::CpuMax, Knob::CpuWeight, Knob::MemoryHigh, Knob::Freeze];
    let files = dirs.iter().flat_map(|dir| knobs.map(|knob| dir.join(knob.file())));
    files
        .filter_map(|file| Some((file.clone(), fs::read_to_string(&file).ok()?)))
        .collect()
}

/// What a file of a cgroup says.
///
/// # Errors
/// It is not there.
pub fn says(cgroup: &Cgroup, file: &str) -> Result<String> {
    let text = fs::read_to_string(cgroup.dir().join(file)).with_context(|| format!("reading {file}"))?;
    Ok(text.trim_end().to_owned())
}

/// Whether everything in it stands still, as the kernel says.
fn frozen(cgroup: &Cgroup) -> bool {
    says(cgroup, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}

/// CPU time it uses now, seconds per second.
///
/// # Errors
/// The cgroup is gone.
pub fn share(cgroup: &Cgroup) -> Result<f64> {
    let used_us = || -> Result<f64> {
        let text = says(cgroup, "cpu.stat")?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(used.context("no usage_usec")?.parse()?)
    };
    let (start_ns, before) = (wait::now_ns(), used_us()?);
    thread::sleep(MEASURED);
    Ok((used_us()? - before) / 1e6 / wait::since(start_ns).as_secs_f64())
}

/// The task of each runs, or waits for a CPU of a busy host, for the share of the time it was told to, and is not
/// throttled: nothing holds it back.
///
/// # Errors
/// One is held back, or gone.
pub fn work(cgroups: &[&Cgroup]) -> Result<()> {
    let books = || {
        cgroups
            .iter()
            .map(|cgroup| Book::read(cgroup))
            .collect::<Result<Vec<_>>>()
    };
    let (start_ns, before) = (wait::now_ns(), books()?);
    thread::sleep(MEASURED);
    let (after, elapsed_ns) = (books()?, wait::since(start_ns).as_nanos() as f64);
    for ((cgroup, before), after) in cgroups.iter().zip(before).zip(after) {
        let ran = (after.tasks.on_cpu_ns - before.tasks.on_cpu_ns) as f64 / elapsed_ns;
        let waited = (after.tasks.run_delay_ns - before.tasks.run_delay_ns) as f64 / elapsed_ns;
        let scope = cgroup.scope();
        ensure!(
            ran > 0.02 && ran + waited > 0.3,
            "{scope} ran {ran:.2} and waited {waited:.2} of the time, and wanted 0.4"
        );
        ensure!(after.throttled == before.throttled, "{scope} is throttled");
    }
    Ok(())
}

/// What the kernel wrote down about a cgroup with one process.
struct Book {
    tasks: Tasks,
    throttled: Option<String>,
}

impl Book {
    fn read(cgroup: &Cgroup) -> Result<Self> {
        let [pid] = cgroup.pids()[..] else {
            bail!("one task is expected in {}: {:?}", cgroup.scope(), cgroup.pids())
        };
        Ok(Self {
            tasks: Tasks::of(pid.cast_unsigned())?,
            throttled: throttled(cgroup)?,
        })
    }
}

/// `throttled_usec`; `None` without the CPU controller.
fn throttled(cgroup: &Cgroup) -> Result<Option<String>> {
    let text = says(cgroup, "cpu.stat")?;
    Ok(text
        .lines()
        .find(|line| line.starts_with("throttled_usec"))
        .map(Into::into))
}

/// Whether a process runs: one that ended and was not waited for does not.
#[must_use]
pub fn alive(pid: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let state = state.and_then(|stat| stat.rsplit(')').next()?.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Whether a controller can be used here; says why a test is skipped.
///
/// # Errors
/// cgroup v2 is not mounted.
pub fn has(controller: &str) -> Result<bool> {
    let text = fs::read_to_string(paths::cgroup2()?.join("cgroup.controllers"))?;
    let has = text.split_whitespace().any(|name| name == controller);
    if !has {
        println!("SKIP: the {controller} controller is not on the v2 hierarchy of this host");
    }
    Ok(has)
}

/// Why each was undone, and what came of it.
#[must_use]
pub fn endings(put_back: &[PutBack]) -> Vec<(Why, Ending)> {
    put_back.iter().map(|one| (one.why, one.ending.clone())).collect()
}
