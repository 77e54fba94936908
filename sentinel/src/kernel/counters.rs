//! Reads what the programs count. Sums over the banks of all CPUs; takes no difference.

use std::{collections::HashMap, os::unix::fs::FileExt as _};

use sentinel_common::{
    event::Event,
    histogram::WAIT_BUCKETS,
    id::SlotOwner,
    loss::{LOSS_KINDS, LOSSES},
    mem::MemCounters,
    net::{Destination, DestinationCounters, NetCounters, Traffic},
    net_counters,
    sched::{RunQueueCounters, SchedCounters},
};

use super::{Kernel, ProgramFacts, mapped::Mapped};

/// Room for what the kernel tells of a CPU's times, bytes: ten numbers.
const CPU_TIMES_BYTES: usize = 256;

/// Run-queue samples of one CPU, and how long it was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSamples {
    /// Its number.
    pub cpu: u32,
    /// Samples since the agent was started.
    pub samples: u64,
    /// Nanoseconds since the machine was started, in steps of a tick of the kernel's clock.
    pub busy_ns: u64,
}

impl Kernel {
    /// Who a slot belongs to; `cgroup_id` 0 when it was never handed out.
    #[must_use]
    pub fn owner(&self, slot: u32) -> SlotOwner {
        self.owners.get(slot).unwrap_or_default()
    }

    /// Waits of a slot, over all CPUs: moves with every switch. Costs a fraction of [`Self::sched`].
    #[must_use]
    pub fn waits(&self, slot: u32) -> u64 {
        const WAITS: usize = std::mem::offset_of!(SchedCounters, waits) / size_of::<u64>();
        let banks = (0..self.cpus).filter_map(|cpu| self.sched.sum_of(cpu * self.slots + slot, [WAITS]));
        banks.fold(0, u64::wrapping_add)
    }

    /// Packets of a slot, over all CPUs, paths and directions: moves with every packet. Costs a fraction of [`Self::net`].
    #[must_use]
    pub fn packets(&self, slot: u32) -> u64 {
        const TRAFFIC: usize = std::mem::offset_of!(NetCounters, traffic) / size_of::<u64>();
        const PATH: usize = size_of::<Traffic>() / size_of::<u64>();
        const IN: usize = std::mem::offset_of!(Traffic, ingress_packets) / size_of::<u64>();
        const OUT: usize = std::mem::offset_of!(Traffic, egress_packets) / size_of::<u64>();
        const WORDS: [usize; 4] = [TRAFFIC + IN, TRAFFIC + OUT, TRAFFIC + PATH + IN, TRAFFIC + PATH + OUT];
        // The bank that all CPUs share lies behind the last one's.
        let banks = (0..=self.cpus).filter_map(|cpu| self.net.sum_of(cpu * self.slots + slot, WORDS));
        banks.fold(0, u64::wrapping_add)
    }

    /// Scheduler counters of a slot, over all CPUs, modulo 2^64 (buckets: 2^32).
    #[must_use]
    pub fn sched(&self, slot: u32) -> SchedCounters {
        let mut sum = SchedCounters::default();
        for bank in self.banks(&self.sched, slot) {
            sum.waits = sum.waits.wrapping_add(bank.waits);
            sum.wait_ns = sum.wait_ns.wrapping_add(bank.wait_ns);
            sum.wait_units_squared = sum.wait_units_squared.wrapping_add(bank.wait_units_squared);
            sum.on_cpu_ns = sum.on_cpu_ns.wrapping_add(bank.on_cpu_ns);
            sum.voluntary = sum.voluntary.wrapping_add(bank.voluntary);
            sum.involuntary = sum.involuntary.wrapping_add(bank.involuntary);
            for bucket in 0..WAIT_BUCKETS {
                sum.buckets[bucket] = sum.buckets[bucket].wrapping_add(bank.buckets[bucket]);
            }
        }
        sum
    }

    /// Page counters of a slot, over all CPUs.
    #[must_use]
    pub fn mem(&self, slot: u32) -> MemCounters {
        let mut sum = MemCounters::default();
        for bank in self.banks(&self.mem, slot) {
            sum.allocated_pages = sum.allocated_pages.wrapping_add(bank.allocated_pages);
            sum.freed_pages = sum.freed_pages.wrapping_add(bank.freed_pages);
            for (sum, moved) in sum.rss_pages.iter_mut().zip(bank.rss_pages) {
                *sum = sum.wrapping_add(moved);
            }
            sum.oom_kills = sum.oom_kills.wrapping_add(bank.oom_kills);
        }
        sum
    }

    /// Network counters of a slot, over all CPUs.
    #[must_use]
    pub fn net(&self, slot: u32) -> NetCounters {
        let mut sum = NetCounters::default();
        let shared = self.net.get(self.cpus * self.slots + slot);
        for bank in self.banks(&self.net, slot).chain(shared) {
            for (sum, bank) in sum.traffic.iter_mut().zip(&bank.traffic) {
                sum.ingress_packets = sum.ingress_packets.wrapping_add(bank.ingress_packets);
                sum.ingress_bytes = sum.ingress_bytes.wrapping_add(bank.ingress_bytes);
                sum.egress_packets = sum.egress_packets.wrapping_add(bank.egress_packets);
                sum.egress_bytes = sum.egress_bytes.wrapping_add(bank.egress_bytes);
            }
            macro_rules! sums {
                ($($field:ident),+) => { $(sum.$field = sum.$field.wrapping_add(bank.$field);)+ };
            }
            net_counters!(sums);
        }
        sum
    }

    /// Run-queue samples, over all CPUs.
    #[must_use]
    pub fn run_queue(&self) -> RunQueueCounters {
        let mut sum = RunQueueCounters::default();
        for bank in (0..self.cpus).filter_map(|cpu| self.run_queue.get(cpu)) {
            sum.samples = sum.samples.wrapping_add(bank.samples);
            sum.length = sum.length.wrapping_add(bank.length);
            sum.length_squared = sum.length_squared.wrapping_add(bank.length_squared);
        }
        sum
    }

    /// Run-queue samples of each CPU that is online, beside the time it was busy; none where the kernel does not tell that. Costs one
    /// system call, and the kernel some microseconds for each CPU.
    #[must_use]
    pub fn run_queue_samples(&self) -> Vec<CpuSamples> {
        let mut text = vec![0; CPU_TIMES_BYTES * (self.cpus as usize + 1)];
        let read = self.cpu_times.as_ref().map(|file| file.read_at(&mut text, 0));
        let text = match read {
            Some(Ok(length)) => String::from_utf8_lossy(&text[..length]),
            _ => return Vec::new(),
        };
        let samples = |(cpu, busy_ns)| {
            let samples = self.run_queue.get(cpu)?.samples;
            Some(CpuSamples { cpu, samples, busy_ns })
        };
        busy_times(&text, procfs::ticks_per_second())
            .filter_map(samples)
            .collect()
    }

    /// Losses by kind since the start: over all CPUs what the programs counted, and what [`Self::count_left_out`] found last.
    #[must_use]
    pub fn losses(&self) -> [u64; LOSS_KINDS] {
        let mut sum = self.left_out;
        for index in 0..self.cpus * LOSSES as u32 {
            sum[index as usize % LOSSES] += self.loss.get(index).unwrap_or(0);
        }
        sum
    }

    fn banks<'a, T: aya::Pod + 'a>(&'a self, map: &'a Mapped<T>, slot: u32) -> impl Iterator<Item = T> + 'a {
        (0..self.cpus).filter_map(move |cpu| map.get(cpu * self.slots + slot))
    }

    /// The next event, if there is one. Prints what the programs have to say on the way.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let item = self.events.next()?;
        let bytes: &[u8] = &item;
        let bytes: &[u8; size_of::<Event>()] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let value = u64::from(word(8)) | u64::from(word(12)) << 32;
        Some(Event {
            kind: word(0),
            slot: word(4),
            value,
        })
    }

    /// Connection attempts by destination, of all slots.
    #[must_use]
    pub fn destinations(&self) -> HashMap<Destination, DestinationCounters> {
        self.destinations.iter().filter_map(Result::ok).collect()
    }

    /// What the kernel says about each program that is loaded, by name.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramFacts> {
        facts(&self.ebpf)
    }
}

/// What the kernel says about each program of an object that is loaded, by name.
pub(super) fn facts(ebpf: &aya::Ebpf) -> Vec<ProgramFacts> {
    let facts = |(name, program): (&str, &aya::programs::Program)| {
        let info = program.info().ok()?;
        Some(ProgramFacts {
            name: name.to_owned(),
            id: info.id(),
            verified_instructions: info.verified_instruction_count(),
            jited_bytes: info.size_jitted(),
        })
    };
    let mut programs: Vec<_> = ebpf.programs().filter_map(facts).collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

/// Time that each CPU was busy since the machine was started, nanoseconds: `cpuN user nice system idle iowait irq softirq ...` in
/// ticks of `hz` a second. CPUs that are offline have no line.
fn busy_times(text: &str, hz: u64) -> impl Iterator<Item = (u32, u64)> {
    const IDLE: [usize; 2] = [3, 4];
    const SOFTIRQ: usize = 6;
    text.lines().filter_map(move |line| {
        let (cpu, times) = line.strip_prefix("cpu")?.split_once(' ')?;
        let times: Option<Vec<u64>> = times.split_whitespace().map(|ticks| ticks.parse().ok()).collect();
        let times = times.filter(|times| times.len() > SOFTIRQ)?;
        let busy = (0..=SOFTIRQ).filter(|index| !IDLE.contains(index));
        let ticks: u64 = busy.map(|index| times[index]).sum();
        Some((cpu.parse().ok()?, ticks * (1_000_000_000 / hz.max(1))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_busy_with_whatever_is_not_idle_nor_stolen() {
        let text =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 100 200 8 16 999 7 7\ncpu3 0 0 5 0 0 0 0 0 0 0\nintr 5 1 2\ncpu4 1 2";
        assert_eq!(
            busy_times(text, 100).collect::<Vec<_>>(),
            [(0, 310_000_000), (3, 50_000_000)]
        );
    }
}
