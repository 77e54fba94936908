//! A probe: the sensors on this kernel, with everything they counted since it was made, by scope.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, Result};
use sentinel::{
    kernel::{Kernel, Options},
    sense::{
        Source as _,
        cgroups::WALK_GAP_NS,
        delta,
        live::Live,
        mount,
        sample::{Mem, Net, RunQueue, Sched},
    },
    time::Now,
};

/// How far a count may lie from the kernel's own book: two parts in a hundred.
const TOLERANCE: f64 = 0.02;

/// Everything counted since the probe was made, by scope.
#[derive(Debug, Default)]
pub struct Counted {
    /// Scheduler counts.
    pub sched: Sched,
    /// Page counts.
    pub mem: Mem,
    /// Network counts.
    pub net: Net,
}

/// The sensors, and their sums.
pub struct Probe {
    /// Where samples come from.
    pub live: Live,
    /// By path of the scope.
    pub scopes: BTreeMap<String, Counted>,
    /// Over all scopes.
    pub host: Counted,
    /// Samples of run-queue lengths.
    pub run_queue: RunQueue,
    /// What was lost, by kind.
    pub losses: BTreeMap<String, u64>,
}

impl Probe {
    /// Loads every sensor, with so many slots; nothing is counted yet.
    ///
    /// # Errors
    /// This kernel does not run them.
    pub fn new(max_cgroups: u32) -> Result<Self> {
        Self::with(max_cgroups, true)
    }

    /// The same without the scheduler's own signal, for which run-queues are sampled.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn unsampled(max_cgroups: u32) -> Result<Self> {
        Self::with(max_cgroups, false)
    }

    fn with(max_cgroups: u32, sched: bool) -> Result<Self> {
        let root = mount::find()?;
        let options = Options {
            max_cgroups,
            sched,
            mem: true,
            net: true,
            cgroup_root: Some(root.clone()),
            debug: false,
        };
        let mut live = Live::new(Kernel::open(&options)?, root);
        live.read(Now::read(), true);
        let (scopes, losses) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            live,
            scopes,
            host: Counted::default(),
            run_queue: RunQueue::default(),
            losses,
        })
    }

    /// Adds what was counted since the last reading, once cgroups that are new have their names.
    pub fn read(&mut self) {
        // New cgroups are looked up at most ten times a second.
        thread::sleep(Duration::from_nanos(WALK_GAP_NS));
        self.read_now();
    }

    /// The same without waiting for names.
    pub fn read_now(&mut self) {
        let sample = self.live.read(Now::read(), true);
        for part in &sample.scopes {
            let counted = self.scopes.entry(part.scope.path.clone()).or_default();
            for counted in [counted, &mut self.host] {
                part.sched
                    .iter()
                    .for_each(|delta| delta::add_sched(&mut counted.sched, delta));
                part.mem
                    .iter()
                    .for_each(|delta| delta::add_mem(&mut counted.mem, delta));
                part.net
                    .iter()
                    .for_each(|delta| delta::add_net(&mut counted.net, delta));
            }
        }
        if let Some(run_queue) = sample.host.run_queue {
            self.run_queue.samples += run_queue.samples;
            self.run_queue.length += run_queue.length;
        }
        for loss in sample.losses {
            *self.losses.entry(loss.kind).or_default() += loss.count;
        }
    }

    /// What a scope did.
    ///
    /// # Errors
    /// No such scope was seen.
    pub fn of(&self, scope: &str) -> Result<&Counted> {
        self.scopes
            .get(scope)
            .with_context(|| format!("{scope} is not among {:?}", self.scopes.keys()))
    }
}

/// Asserts that a count is the book's within the tolerance, and reports how far apart they are.
///
/// # Panics
/// When it is not.
pub fn close(what: &str, counted: u64, book: u64) {
    let apart = (counted as f64 - book as f64).abs() / (book as f64).max(1.0);
    println!("MATRIX {what}={:.3} %", apart * 100.0);
    println!("{what}: counted {counted}, books {book}");
    assert!(
        apart <= TOLERANCE,
        "{what}: counted {counted}, the kernel's books say {book}"
    );
}
