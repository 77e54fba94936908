//! Loads the object, attaches its programs, and reads its maps.

use std::{collections::HashMap as StdHashMap, fs::File, io, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{HashMap, Map, MapData, MapError, Queue, RingBuf},
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, PerfEvent, ProgramError, SockOps,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
};
use aya_log::EbpfLogger;
use sentinel_common::{
    event::Event,
    histogram::WAIT_BUCKETS,
    id::{FreeSlot, SLOT_FIRST, SlotOwner},
    loss::LOSSES,
    mem::MemCounters,
    names,
    net::{Destination, DestinationCounters, NetCounters},
    sched::{RunQueueCounters, SchedCounters},
};
use tracing_log::LogTracer;

use super::{
    Btf, KernelError,
    error::{object, program},
    mapped::Mapped,
    offsets,
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SENTINEL_BPF_OBJECT_PATH"));

/// Where kernels publish their type information.
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Run-queue samples per second and CPU. Not a round number, so that samples do not fall in step with timers.
const RUN_QUEUE_HZ: u64 = 99;

/// What to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// cgroups told apart.
    pub max_cgroups: u32,
    /// Load the scheduler sensor.
    pub sched: bool,
    /// Load the page-allocation sensor.
    pub mem: bool,
    /// Load the network sensor.
    pub net: bool,
    /// Root of the cgroup v2 hierarchy; `None` when there is none.
    pub cgroup_root: Option<PathBuf>,
    /// Let the programs print debugging records; the code for them is removed otherwise.
    pub debug: bool,
}

/// A sensor, or a part of one that can be missing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// `sched`, `sched.run_queue`, `mem`, `mem.rss`, `mem.oom`, `net`, `net.connections`, `cgroups`.
    pub name: &'static str,
    /// `None` when it runs; else why not, with the remedy where there is one.
    pub unavailable: Option<String>,
}

/// What the kernel says about one loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// Its name in the object.
    pub name: String,
    /// Instructions the verifier walked through; `None` before 5.16.
    pub verified_instructions: Option<u32>,
    /// Bytes of machine code.
    pub jited_bytes: u32,
}

/// The kernel side, running. Dropping it detaches every program and frees every map.
pub struct Kernel {
    ebpf: Ebpf,
    sensors: Vec<Sensor>,
    cpus: u32,
    slots: u32,
    sched: Mapped<SchedCounters>,
    run_queue: Mapped<RunQueueCounters>,
    mem: Mapped<MemCounters>,
    net: Mapped<NetCounters>,
    owners: Mapped<SlotOwner>,
    loss: Mapped<u64>,
    free_slots: Queue<MapData, FreeSlot>,
    cgroup_slots: HashMap<MapData, u64, u32>,
    destinations: HashMap<MapData, Destination, DestinationCounters>,
    events: RingBuf<MapData>,
    log: Option<EbpfLogger<LogTracer>>,
}

impl Kernel {
    /// Loads and attaches what the options ask for and this kernel can run.
    ///
    /// # Errors
    /// When nothing can run at all: no rights, no type information, an object the kernel does not take. A single
    /// sensor that cannot run is no error: see [`Kernel::sensors`].
    pub fn open(options: &Options) -> Result<Self, KernelError> {
        let (btf, _) = read_btf()?;
        let cpus = possible_cpus();
        let slots = options.max_cgroups + SLOT_FIRST;
        let layout = Layout::of(&btf);
        let mut ebpf = load(&layout, cpus, slots, options.debug)?;
        let kernel_btf = aya::Btf::from_sys_fs().map_err(|error| KernelError::Object(error.to_string()))?;

        let mut free_slots = Queue::try_from(take(&mut ebpf, names::FREE_SLOTS)?).map_err(|e| map_error(&e))?;
        for slot in SLOT_FIRST..slots {
            free_slots
                .push(FreeSlot { slot, generation: 0 }, 0)
                .map_err(|e| map_error(&e))?;
        }
        let mut kernel = Self {
            sched: Mapped::new(&ebpf, names::SCHED, cpus * slots)?,
            run_queue: Mapped::new(&ebpf, names::RUN_QUEUE, cpus)?,
            mem: Mapped::new(&ebpf, names::MEM, cpus * slots)?,
            net: Mapped::new(&ebpf, names::NET, cpus * slots)?,
            owners: Mapped::new(&ebpf, names::SLOT_OWNERS, slots)?,
            loss: Mapped::new(&ebpf, names::LOSS, cpus * LOSSES as u32)?,
            free_slots,
            cgroup_slots: HashMap::try_from(take(&mut ebpf, names::CGROUP_SLOTS)?).map_err(|e| map_error(&e))?,
            destinations: HashMap::try_from(take(&mut ebpf, names::DESTINATIONS)?).map_err(|e| map_error(&e))?,
            events: RingBuf::try_from(take(&mut ebpf, names::EVENTS)?).map_err(|e| map_error(&e))?,
            log: if options.debug { logger(&mut ebpf) } else { None },
            sensors: Vec::new(),
            cpus,
            slots,
            ebpf,
        };
        kernel.attach(options, &layout, &kernel_btf)?;
        Ok(kernel)
    }

    fn attach(&mut self, options: &Options, layout: &Layout, btf: &aya::Btf) -> Result<(), KernelError> {
        let off = || Err(KernelError::Object("turned off in the configuration".into()));
        // The switch hook comes first: the others learn from it which cgroup is on a CPU.
        let switch = |kernel: &mut Self| {
            layout.task.as_ref().map_err(again)?;
            kernel.tracepoint("sched_switch", btf)
        };
        // Every other sensor attributes through it, so it runs even when its own signal is off.
        let attribution = switch(self);
        let missing = attribution.as_ref().err().map(ToString::to_string);
        self.note("sched", if options.sched { attribution } else { off() })?;
        let run_queue = if options.sched {
            self.attach_run_queue(layout)
        } else {
            off()
        };
        self.note("sched.run_queue", run_queue)?;
        if let Some(reason) = missing {
            for (name, wanted) in [("mem", options.mem), ("net", options.net)] {
                if wanted {
                    self.note(
                        name,
                        Err(KernelError::Object(format!(
                            "needs the switch hook to attribute: {reason}"
                        ))),
                    )?;
                }
            }
            return Ok(());
        }
        let mem = if options.mem {
            self.tracepoint("mm_page_alloc", btf)
                .and_then(|()| self.tracepoint("mm_page_free", btf))
        } else {
            off()
        };
        self.note("mem", mem)?;
        let rss = match (&layout.rss, options.mem) {
            (_, false) => off(),
            (Err(error), _) => Err(again(error)),
            (Ok(_), _) => self.tracepoint("rss_stat", btf),
        };
        self.note("mem.rss", rss)?;
        let oom = if options.mem {
            self.tracepoint("mark_victim", btf)
        } else {
            off()
        };
        self.note("mem.oom", oom)?;
        let root = options.cgroup_root.as_ref().ok_or(KernelError::NoCgroup2);
        let root = root.and_then(|path| {
            File::open(path).map_err(|error| KernelError::Object(format!("{}: {error}", path.display())))
        });
        match (root, options.net) {
            (_, false) => self.note("net", off())?,
            (Err(error), _) => self.note("net", Err(error))?,
            (Ok(root), true) => {
                let connections = self.attach_sock_ops(&root);
                self.note("net.connections", connections)?;
                let packets = self.attach_packets(&root);
                self.note("net", packets)?;
            }
        }
        let removal = self.tracepoint("cgroup_rmdir", btf);
        self.note("cgroups", removal)
    }

    /// Keeps what became of a sensor. Lack of rights ends the start: it would be the same for every sensor.
    fn note(&mut self, name: &'static str, result: Result<(), KernelError>) -> Result<(), KernelError> {
        if let Err(error @ KernelError::NotPermitted { .. }) = result {
            return Err(error);
        }
        self.sensors.push(Sensor {
            name,
            unavailable: result.err().map(|error| error.to_string()),
        });
        Ok(())
    }

    fn tracepoint(&mut self, name: &'static str, btf: &aya::Btf) -> Result<(), KernelError> {
        let tracepoint: &mut BtfTracePoint = self.program(name)?;
        tracepoint.load(name, btf).map_err(|error| program(name, &error))?;
        tracepoint.attach().map_err(|error| program(name, &error))?;
        Ok(())
    }

    fn attach_run_queue(&mut self, layout: &Layout) -> Result<(), KernelError> {
        const NAME: &str = "run_queue";
        layout.run_queue.as_ref().map_err(again)?;
        let sampler: &mut PerfEvent = self.program(NAME)?;
        sampler.load().map_err(|error| program(NAME, &error))?;
        let online =
            aya::util::online_cpus().map_err(|(path, error)| KernelError::Object(format!("{path}: {error}")))?;
        for cpu in online {
            sampler
                .attach(
                    PerfEventConfig::Software(SoftwareEvent::CpuClock),
                    PerfEventScope::AllProcessesOneCpu { cpu },
                    SamplePolicy::Frequency(RUN_QUEUE_HZ),
                    false,
                )
                .map_err(|error| program(NAME, &error))?;
        }
        Ok(())
    }

    fn attach_sock_ops(&mut self, root: &File) -> Result<(), KernelError> {
        const NAME: &str = "sock_ops";
        let hook: &mut SockOps = self.program(NAME)?;
        hook.load().map_err(|error| program(NAME, &error))?;
        hook.attach(root, CgroupAttachMode::Single)
            .map_err(|error| program(NAME, &error))?;
        Ok(())
    }

    fn attach_packets(&mut self, root: &File) -> Result<(), KernelError> {
        for (name, direction) in [
            ("ingress", CgroupSkbAttachType::Ingress),
            ("egress", CgroupSkbAttachType::Egress),
        ] {
            let hook: &mut CgroupSkb = self.program(name)?;
            hook.load().map_err(|error| program(name, &error))?;
            hook.attach(root, direction, CgroupAttachMode::Single)
                .map_err(|error| program(name, &error))?;
        }
        Ok(())
    }

    fn program<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P, KernelError>
    where
        &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
    {
        let found = self
            .ebpf
            .program_mut(name)
            .ok_or_else(|| KernelError::NoField(format!("program {name}")))?;
        found.try_into().map_err(|error| program(name, &error))
    }

    /// What runs and what does not.
    #[must_use]
    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }

    /// True when the sensor runs.
    #[must_use]
    pub fn runs(&self, name: &str) -> bool {
        self.sensors
            .iter()
            .any(|sensor| sensor.name == name && sensor.unavailable.is_none())
    }

    /// CPUs that may ever be online: the number of banks.
    #[must_use]
    pub const fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Entries of a bank: slots including `other`.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Who a slot belongs to; `cgroup_id` 0 when it was never handed out.
    #[must_use]
    pub fn owner(&self, slot: u32) -> SlotOwner {
        self.owners.get(slot).unwrap_or_default()
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
            add_all(&mut sum.allocated, &bank.allocated);
            add_all(&mut sum.freed, &bank.freed);
            add_all(&mut sum.rss_pages, &bank.rss_pages);
            sum.failed = sum.failed.wrapping_add(bank.failed);
            sum.oom_kills = sum.oom_kills.wrapping_add(bank.oom_kills);
        }
        sum
    }

    /// Network counters of a slot, over all CPUs.
    #[must_use]
    pub fn net(&self, slot: u32) -> NetCounters {
        let mut sum = NetCounters::default();
        for bank in self.banks(&self.net, slot) {
            for (sum, bank) in sum.traffic.iter_mut().zip(&bank.traffic) {
                sum.ingress_packets = sum.ingress_packets.wrapping_add(bank.ingress_packets);
                sum.ingress_bytes = sum.ingress_bytes.wrapping_add(bank.ingress_bytes);
                sum.egress_packets = sum.egress_packets.wrapping_add(bank.egress_packets);
                sum.egress_bytes = sum.egress_bytes.wrapping_add(bank.egress_bytes);
            }
            for (sum, bank) in net_fields(&mut sum).into_iter().zip(net_fields(&mut { bank })) {
                *sum = sum.wrapping_add(*bank);
            }
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

    /// Losses by kind, over all CPUs, since the start.
    #[must_use]
    pub fn losses(&self) -> [u64; LOSSES] {
        let mut sum = [0u64; LOSSES];
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

    /// Takes a slot away from a cgroup that is gone. It still has to be given back, once what is under way has ended.
    pub fn forget(&mut self, cgroup_id: u64) {
        if let Err(error) = self.cgroup_slots.remove(&cgroup_id)
            && !matches!(error, MapError::KeyNotFound)
        {
            tracing::warn!(cgroup_id, %error, "a slot stays taken");
        }
    }

    /// Gives a slot back for another cgroup. `generation` must be new.
    pub fn give_back(&mut self, slot: u32, generation: u32) {
        if let Err(error) = self.free_slots.push(FreeSlot { slot, generation }, 0) {
            tracing::warn!(slot, %error, "a slot is lost until restart");
        }
    }

    /// Connection attempts by destination, of all slots.
    #[must_use]
    pub fn destinations(&self) -> StdHashMap<Destination, DestinationCounters> {
        self.destinations.iter().filter_map(Result::ok).collect()
    }

    /// What the kernel says about each program that is loaded.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramFacts> {
        let facts = |(name, program): (&str, &aya::programs::Program)| {
            let info = program.info().ok()?;
            Some(ProgramFacts {
                name: name.to_owned(),
                verified_instructions: info.verified_instruction_count(),
                jited_bytes: info.size_jitted(),
            })
        };
        self.ebpf.programs().filter_map(facts).collect()
    }
}

/// Debugging records of the programs, as records of the agent's own log.
fn logger(ebpf: &mut Ebpf) -> Option<EbpfLogger<LogTracer>> {
    EbpfLogger::init_with_logger(ebpf, LogTracer::new())
        .inspect_err(|error| tracing::warn!("the programs' debugging records cannot be read: {error}"))
        .ok()
}

fn again(error: &KernelError) -> KernelError {
    KernelError::NoField(error.to_string().trim_start_matches("this kernel has no ").to_owned())
}

/// Everything in a network record that is a plain sum, in one order.
fn net_fields(net: &mut NetCounters) -> [&mut u64; 15] {
    [
        &mut net.opened_turns_out,
        &mut net.opened_turns_in,
        &mut net.accepted_turns_in,
        &mut net.accepted_turns_out,
        &mut net.opened_first_turns,
        &mut net.accepted_first_turns,
        &mut net.connect_attempts,
        &mut net.connect_failures,
        &mut net.connects,
        &mut net.accepts,
        &mut net.retransmits,
        &mut net.resets_in,
        &mut net.resets_out,
        &mut net.udp_ingress_packets,
        &mut net.udp_egress_packets,
    ]
}

fn add_all<const N: usize>(sum: &mut [u64; N], bank: &[u64; N]) {
    for (sum, bank) in sum.iter_mut().zip(bank) {
        *sum = sum.wrapping_add(*bank);
    }
}

/// Offsets of the running kernel, or why a sensor has none.
struct Layout {
    task: Result<offsets::Task, KernelError>,
    run_queue: Result<offsets::RunQueue, KernelError>,
    rss: Result<offsets::Rss, KernelError>,
    victim_is_task: u8,
}

impl Layout {
    fn of(btf: &Btf) -> Self {
        let victim = btf.tracepoint("mark_victim").and_then(|args| args.first().copied());
        Self {
            task: offsets::task(btf),
            run_queue: offsets::run_queue(btf),
            rss: offsets::rss(btf),
            victim_is_task: u8::from(victim.unwrap_or(false)),
        }
    }
}

fn load(layout: &Layout, cpus: u32, slots: u32, debug: bool) -> Result<Ebpf, KernelError> {
    let task = layout.task.as_ref().copied().unwrap_or_default();
    let run_queue = layout.run_queue.as_ref().copied().unwrap_or_default();
    let rss = layout.rss.as_ref().copied().unwrap_or_default();
    let rss_by_helper = u8::from(rss.by_helper);
    let has_delayed = u8::from(run_queue.delayed.is_some());
    let (queued, runnable) = run_queue.delayed.unwrap_or_default();
    let constants: [(&'static str, &u32); 17] = [
        ("SLOTS", &slots),
        ("TASK_PID", &task.pid),
        ("TASK_RUN_DELAY", &task.run_delay),
        ("TASK_EXEC", &task.exec),
        ("TASK_NVCSW", &task.nvcsw),
        ("TASK_CGROUPS", &task.cgroups),
        ("CSS_SET_CGROUP", &task.css_set_cgroup),
        ("CGROUP_KN", &task.cgroup_kn),
        ("KERNFS_ID", &task.kernfs_id),
        ("TASK_CFS_RQ", &run_queue.task_cfs_rq),
        ("CFS_RQ_RQ", &run_queue.cfs_rq_rq),
        ("RQ_NR_RUNNING", &run_queue.nr_running),
        ("RQ_CPU", &run_queue.cpu),
        ("MM_RSS_FILE", &rss.kinds[0]),
        ("MM_RSS_ANON", &rss.kinds[1]),
        ("MM_RSS_SWAP", &rss.kinds[2]),
        ("MM_RSS_SHMEM", &rss.kinds[3]),
    ];
    // aya-log's own constant: 0 removes the code, 5 lets every level through.
    let log_level = if debug { 5u8 } else { 0 };
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::default());
    for (name, value) in constants {
        loader.override_global(name, value, true);
    }
    loader
        .override_global("AYA_LOG_LEVEL", &log_level, false)
        .override_global("RSS_BY_HELPER", &rss_by_helper, true)
        .override_global("RQ_HAS_DELAYED", &has_delayed, true)
        .override_global("RQ_QUEUED", &queued, true)
        .override_global("RQ_RUNNABLE", &runnable, true)
        .override_global("VICTIM_IS_TASK", &layout.victim_is_task, true)
        .map_max_entries(names::CPU_STATE, cpus)
        .map_max_entries(names::RUN_QUEUE, cpus)
        .map_max_entries(names::LOSS, cpus * LOSSES as u32)
        .map_max_entries(names::FREE_SLOTS, slots)
        .map_max_entries(names::CGROUP_SLOTS, slots)
        .map_max_entries(names::SLOT_OWNERS, slots);
    for name in [names::SCHED, names::MEM, names::NET] {
        loader.map_max_entries(name, cpus * slots);
    }
    loader.load(OBJECT).map_err(|error| object(&error))
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, KernelError> {
    ebpf.take_map(name)
        .ok_or_else(|| KernelError::NoField(format!("map {name}")))
}

fn map_error(error: &MapError) -> KernelError {
    KernelError::Object(error.to_string())
}

/// Reads the kernel's type information; how many bytes it has.
pub(super) fn read_btf() -> Result<(Btf, u64), KernelError> {
    let path = PathBuf::from(BTF_PATH);
    let bytes = std::fs::read(&path).map_err(|source| KernelError::NoBtf {
        path: path.clone(),
        source,
    })?;
    let btf = Btf::parse(&bytes).map_err(|source| KernelError::BadBtf { path, source })?;
    Ok((btf, bytes.len() as u64))
}

/// CPUs that may ever be online; one when the kernel does not say.
pub(super) fn possible_cpus() -> u32 {
    aya::util::nr_cpus().map_or_else(
        |(path, error): (&str, io::Error)| {
            tracing::warn!(path, %error, "the number of CPUs is not known: counting on one");
            1
        },
        |cpus| u32::try_from(cpus).unwrap_or(u32::MAX),
    )
}
