//! A host with many small services, for benches: what its sensors would read each second, made from a seed. In: how many
//! cgroups. Out: samples, one second after another, in which all of them work or none does. Reads no clock and no kernel.

use std::sync::Arc;

use sentinel::{
    sense::{
        delta,
        sample::{Elapsed, Host, Mem, Net, Origin, RunQueue, Sample, Sched, Scope, ScopeKind, ScopeSample},
    },
    time::Now,
};

const SECOND_NS: u64 = 1_000_000_000;
/// Seconds that are made in advance: making them is not what is measured.
const MADE: usize = 64;

/// The host.
pub(crate) struct Crowd {
    working: Vec<Sample>,
    calm: Sample,
    second: u64,
}

impl Crowd {
    /// With so many cgroups.
    pub(crate) fn new(cgroups: u64) -> Self {
        let roster: Vec<Arc<Scope>> = (0..cgroups).map(scope).collect();
        let calm = calm(Arc::new(roster));
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        Self {
            working: (0..MADE).map(|_| working(&calm, &mut noise)).collect(),
            calm,
            second: 0,
        }
    }

    /// What the host is.
    pub(crate) fn origin() -> Arc<Origin> {
        Arc::new(Origin {
            host: "model".to_owned(),
            boot_id: "00000000-0000-0000-0000-000000000001".to_owned(),
            kernel: "6.12.0".to_owned(),
            cpus: 8,
            page_bytes: 4096,
        })
    }

    /// The next second, and every cgroup works.
    pub(crate) fn works(&mut self) -> &Sample {
        self.second += 1;
        let sample = &mut self.working[self.second as usize % MADE];
        (sample.seq, sample.now) = (self.second, at(self.second));
        sample
    }

    /// The next second, and none does.
    pub(crate) fn rests(&mut self) -> &Sample {
        self.second += 1;
        (self.calm.seq, self.calm.now) = (self.second, at(self.second));
        &self.calm
    }
}

fn at(second: u64) -> Now {
    Now {
        unix_ms: 1_767_225_600_000 + second as i64 * 1000,
        monotonic_ns: (5000 + second) * SECOND_NS,
    }
}

fn scope(index: u64) -> Arc<Scope> {
    Arc::new(Scope {
        kind: ScopeKind::Cgroup,
        path: format!("/system.slice/worker-{index:04}.service"),
        unit: Some(format!("worker-{index:04}.service")),
        container: None,
        cgroup_id: 1000 + index,
    })
}

fn calm(roster: Arc<Vec<Arc<Scope>>>) -> Sample {
    Sample {
        elapsed: Elapsed {
            sched_ns: Some(SECOND_NS),
            mem_ns: Some(SECOND_NS),
            net_ns: Some(SECOND_NS),
        },
        host: Host {
            sched: Some(Sched::default()),
            mem: Some(still()),
            net: None,
            run_queue: Some(RunQueue {
                samples: 792,
                length: 80,
                length_squared: 96,
            }),
            memory_total_bytes: Some(16_000_000_000),
            memory_available_bytes: Some(12_000_000_000),
        },
        roster,
        ..Sample::default()
    }
}

/// No page moved, on a kernel that tells.
fn still() -> Mem {
    Mem {
        rss_anon_pages: Some(0),
        rss_file_pages: Some(0),
        rss_shmem_pages: Some(0),
        ..Mem::default()
    }
}

fn working(calm: &Sample, noise: &mut Noise) -> Sample {
    let mut sample = calm.clone();
    let (mut sched, mut mem) = (Sched::default(), still());
    for scope in calm.roster.iter() {
        let part = part(scope, noise);
        part.sched.iter().for_each(|part| delta::add_sched(&mut sched, part));
        part.mem.iter().for_each(|part| delta::add_mem(&mut mem, part));
        sample.scopes.push(part);
    }
    (sample.host.sched, sample.host.mem) = (Some(sched), Some(mem));
    sample
}

/// A service that is asked ten times a second and asks another one each time.
fn part(scope: &Arc<Scope>, noise: &mut Noise) -> ScopeSample {
    let wakes = noise.around(40);
    let mut sched = Sched {
        waits: wakes,
        wait_ns: wakes * noise.around(20_000),
        wait_units_squared: wakes * noise.around(600),
        on_cpu_ns: noise.around(4_000_000),
        voluntary: wakes,
        involuntary: 1,
        ..Sched::default()
    };
    // Most waits are short, some ten times as long.
    sched.buckets[4] = (wakes - wakes / 8) as u32;
    sched.buckets[9] = (wakes / 8) as u32;
    let mut mem = still();
    let pages = noise.around(120);
    (mem.allocated_pages, mem.freed_pages) = (pages, pages);
    let turns = noise.around(10);
    let mut net = Net {
        accepts: turns,
        accepted_turns_in: turns,
        accepted_turns_out: turns,
        accepted_first_turns: turns,
        connect_attempts: turns,
        connects: turns,
        opened_turns_out: turns,
        opened_turns_in: turns,
        opened_first_turns: turns,
        ..Net::default()
    };
    (net.external.ingress_packets, net.external.egress_packets) = (7 * turns, 8 * turns);
    ScopeSample {
        scope: Arc::clone(scope),
        sched: Some(sched),
        mem: Some(mem),
        net: Some(net),
        throttled_ns: Some(0),
        ..ScopeSample::default()
    }
}

/// xorshift64: the same load in every run.
struct Noise(u64);

impl Noise {
    /// A count from three quarters of a number to five quarters.
    fn around(&mut self, middle: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        middle - middle / 4 + self.0 % (middle / 2 + 1)
    }
}
