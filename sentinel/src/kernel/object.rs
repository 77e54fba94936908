//! Opens the kernel side: loads the object, makes the maps readable, fills the queue of free slots. `attach` starts the
//! programs, `counters` reads what they count.

use std::{fs::File, path::PathBuf};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, Queue, RingBuf},
};
use aya_log::EbpfLogger;
use sentinel_common::{
    id::{FreeSlot, SLOT_FIRST, SlotOwner},
    loss::{LOSS_KINDS, LOSSES},
    mem::MemCounters,
    names,
    net::{Destination, DestinationCounters, NetCounters},
    sched::{CpuState, RunQueueCounters, SchedCounters},
};
use tracing_log::LogTracer;

use super::{
    KernelError, give_back,
    layout::{self, Layout},
    mapped::Mapped,
    watch::{Attachment, Runs},
};

/// Which CPUs are online and how busy they were. Open from the start on: who has changed its user may be kept from opening it.
const CPU_TIMES: &str = "/proc/stat";

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
    /// Its id in the kernel.
    pub id: u32,
    /// Instructions the verifier walked through; `None` before 5.16.
    pub verified_instructions: Option<u32>,
    /// Bytes of machine code.
    pub jited_bytes: u32,
}

/// The kernel side, running. Dropping it detaches every program and frees every map.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    pub(super) sensors: Vec<Sensor>,
    pub(super) links: Vec<Attachment>,
    pub(super) runs: Vec<Runs>,
    pub(super) left_out: [u64; LOSS_KINDS],
    pub(super) cpu_times: Option<File>,
    /// Sensors that are switched off.
    pub(super) off: u64,
    pub(super) cpus: u32,
    pub(super) slots: u32,
    pub(super) cpu_state: Mapped<CpuState>,
    pub(super) sched: Mapped<SchedCounters>,
    pub(super) run_queue: Mapped<RunQueueCounters>,
    pub(super) mem: Mapped<MemCounters>,
    pub(super) net: Mapped<NetCounters>,
    pub(super) owners: Mapped<SlotOwner>,
    pub(super) loss: Mapped<u64>,
    free_slots: Queue<MapData, FreeSlot>,
    cgroup_slots: HashMap<MapData, u64, u32>,
    pub(super) destinations: HashMap<MapData, Destination, DestinationCounters>,
    pub(super) events: RingBuf<MapData>,
    pub(super) log: Option<EbpfLogger<LogTracer>>,
}

impl Kernel {
    /// Loads and attaches what the options ask for and this kernel can run.
    ///
    /// # Errors
    /// When nothing can run at all: no rights, no type information, an object the kernel does not take. A single
    /// sensor that cannot run is no error: see [`Kernel::sensors`].
    pub fn open(options: &Options) -> Result<Self, KernelError> {
        let (btf, _) = layout::read_btf()?;
        let cpus = layout::possible_cpus();
        let slots = options.max_cgroups + SLOT_FIRST;
        let layout = Layout::of(&btf, layout::read_symbols);
        let mut ebpf = layout::load(&layout, cpus, slots, options)?;
        let kernel_btf = aya::Btf::from_sys_fs().map_err(|error| KernelError::Object(error.to_string()))?;

        let mut free_slots = Queue::try_from(take(&mut ebpf, names::FREE_SLOTS)?).map_err(|e| map_error(&e))?;
        for slot in SLOT_FIRST..slots {
            free_slots
                .push(FreeSlot { slot, generation: 0 }, 0)
                .map_err(|e| map_error(&e))?;
        }
        tell_banks(&mut ebpf, cpus, slots)?;
        let mut kernel = Self {
            cpu_state: Mapped::writable(&ebpf, names::CPU_STATE, cpus)?,
            sched: Mapped::new(&ebpf, names::SCHED, cpus * slots)?,
            run_queue: Mapped::new(&ebpf, names::RUN_QUEUE, cpus)?,
            mem: Mapped::new(&ebpf, names::MEM, cpus * slots)?,
            net: Mapped::new(&ebpf, names::NET, (cpus + 1) * slots)?,
            owners: Mapped::new(&ebpf, names::SLOT_OWNERS, slots)?,
            loss: Mapped::new(&ebpf, names::LOSS, cpus * LOSSES as u32)?,
            free_slots,
            cgroup_slots: HashMap::try_from(take(&mut ebpf, names::CGROUP_SLOTS)?).map_err(|e| map_error(&e))?,
            destinations: HashMap::try_from(take(&mut ebpf, names::DESTINATIONS)?).map_err(|e| map_error(&e))?,
            events: RingBuf::try_from(take(&mut ebpf, names::EVENTS)?).map_err(|e| map_error(&e))?,
            log: if options.debug { logger(&mut ebpf) } else { None },
            sensors: Vec::new(),
            links: Vec::new(),
            runs: Vec::new(),
            left_out: [0; LOSS_KINDS],
            cpu_times: File::open(CPU_TIMES).ok(),
            off: 0,
            cpus,
            slots,
            ebpf,
        };
        kernel.attach(options, &layout, &kernel_btf)?;
        kernel.find_watched();
        drop((btf, kernel_btf, layout));
        give_back::after_start();
        Ok(kernel)
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

    /// Whether maps can be used with the rights the caller has now. Asks for a key that no cgroup has.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        matches!(self.cgroup_slots.get(&0, 0), Ok(_) | Err(MapError::KeyNotFound))
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
}

/// Tells every CPU where its bank begins.
fn tell_banks(ebpf: &mut Ebpf, cpus: u32, slots: u32) -> Result<(), KernelError> {
    let map = ebpf
        .map_mut(names::CPU_STATE)
        .ok_or_else(|| KernelError::NoField(format!("map {}", names::CPU_STATE)))?;
    let mut states = Array::try_from(map).map_err(|e| map_error(&e))?;
    for cpu in 0..cpus {
        let state = CpuState {
            bank: cpu * slots,
            ..CpuState::default()
        };
        states.set(cpu, state, 0).map_err(|e| map_error(&e))?;
    }
    Ok(())
}

/// Debugging records of the programs, as records of the agent's own log.
fn logger(ebpf: &mut Ebpf) -> Option<EbpfLogger<LogTracer>> {
    EbpfLogger::init_with_logger(ebpf, LogTracer::new())
        .inspect_err(|error| tracing::warn!("the programs' debugging records cannot be read: {error}"))
        .ok()
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, KernelError> {
    ebpf.take_map(name)
        .ok_or_else(|| KernelError::NoField(format!("map {name}")))
}

fn map_error(error: &MapError) -> KernelError {
    KernelError::Object(error.to_string())
}
