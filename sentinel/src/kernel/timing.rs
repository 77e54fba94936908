//! What the programs take inside the kernel, while the kernel times them, and how they are switched off.
//!
//! Timing every program on the host costs each run of each of them some fifty nanoseconds, so it goes on for as short as can
//! be, and only once: it takes a right that the agent gives up. An empty program is timed beside the others, and what it
//! takes is what timing takes. Never decides how long, nor what is switched off.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use aya::{
    programs::{BtfTracePoint, ProgramError},
    sys::{Stats, enable_stats},
};
use sentinel_common::sched::OFF_WORD;

use super::{
    Kernel, KernelError, describe,
    watch::{Told, descriptors, field},
};

/// Empty programs, with the hook and the sensor whose rhythm they share.
const EMPTY: [(&str, &str, usize); 2] = [
    ("empty_switch", "sched_switch", OF_SCHED),
    ("empty_page", "mm_page_alloc", OF_MEM),
];
/// Index in [`Timed::programs`] of what runs at switches of tasks.
pub const OF_SCHED: usize = 0;
/// Of what runs at pages.
pub const OF_MEM: usize = 1;
/// Of what runs at packets and connections.
pub const OF_NET: usize = 2;

/// Programs, with the sensor they belong to. Those that run rarely are left out.
const PROGRAMS: [(&str, usize); 7] = [
    ("sched_switch", OF_SCHED),
    ("mm_page_alloc", OF_MEM),
    ("mm_page_free", OF_MEM),
    ("rss_stat", OF_MEM),
    ("ingress", OF_NET),
    ("egress", OF_NET),
    ("sock_ops", OF_NET),
];
/// Times that a byte is sent there and back: four runs each, and what acknowledges them.
const PASSED: u32 = 100;
/// How long a byte may take.
const PATIENCE: Duration = Duration::from_millis(20);
const TIME: &str = "run_time_ns";
const COUNT: &str = "run_cnt";

/// Programs that are being timed. Dropping it ends that, for the whole host.
pub(super) struct Timing {
    _on: OwnedFd,
    empty: Vec<(usize, Told)>,
    told: Vec<(usize, Told)>,
    /// Both ends of a connection over loopback; `None` where there is none to be had.
    ends: Option<(TcpStream, TcpStream)>,
}

/// Runs that were timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// How many.
    pub runs: u64,
    /// What they took, nanoseconds, with what timing them took.
    pub ns: u64,
}

/// What was timed since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// Empty programs in the rhythm of switches and of pages.
    pub empty: [Ran; 2],
    /// The programs of each sensor.
    pub programs: [Ran; 3],
}

impl Told {
    fn ran(&self) -> Option<Ran> {
        Some(Ran {
            runs: self.number(COUNT)?,
            ns: self.number(TIME)?,
        })
    }
}

impl Kernel {
    /// Lets the kernel time the programs from now on, or says why it does not.
    pub(super) fn begin_timing(&mut self, btf: &aya::Btf) {
        let on = match enable_stats(Stats::RunTime) {
            Ok(on) => on,
            Err(error) if error.io_error.kind() == ErrorKind::PermissionDenied => {
                tracing::info!(
                    "what the programs in the kernel cost is not known, as the kernel times them for CAP_SYS_ADMIN only: the budget of cost is \
                     held by what the agent itself takes"
                );
                return;
            }
            Err(error) => return untimed(&error),
        };
        match self.time(on, btf) {
            Ok(timing) => self.timing = Some(timing),
            Err(error) => {
                self.unload_empty();
                untimed(&error);
            }
        }
    }

    fn time(&mut self, on: OwnedFd, btf: &aya::Btf) -> Result<Timing, KernelError> {
        for (name, hook, _) in EMPTY {
            self.tracepoint_at(name, hook, btf)?;
        }
        let id = |name: &str| Some(u64::from(self.ebpf.program(name)?.info().ok()?.id()));
        let programs: Vec<_> = PROGRAMS
            .iter()
            .filter_map(|(name, of)| Some((*of, id(name)?)))
            .collect();
        let references: Vec<_> = EMPTY
            .iter()
            .filter_map(|(name, _, of)| Some((*of, id(name)?)))
            .collect();
        let (mut told, mut empty) = (Vec::new(), Vec::new());
        for (path, text) in descriptors() {
            let (Some(program), None) = (field(&text, "prog_id"), field(&text, "link_id")) else {
                continue;
            };
            let Ok(file) = File::open(&path).map(Told) else {
                continue;
            };
            let of = |known: &[(usize, u64)]| known.iter().find(|(_, id)| *id == program).map(|(of, _)| *of);
            if let Some(of) = of(&references) {
                empty.push((of, file));
            } else if let Some(of) = of(&programs) {
                told.push((of, file));
            }
        }
        Ok(Timing {
            _on: on,
            empty,
            told,
            ends: connected().ok(),
        })
    }

    /// What was timed since the start; `None` while nothing is. One system call for each program.
    #[must_use]
    pub fn timed(&self) -> Option<Timed> {
        let timing = self.timing.as_ref()?;
        let mut timed = Timed::default();
        for (of, told) in &timing.empty {
            timed.empty[*of] = told.ran()?;
        }
        for (of, told) in &timing.told {
            let (ran, sum) = (told.ran()?, &mut timed.programs[*of]);
            sum.runs += ran.runs;
            sum.ns += ran.ns;
        }
        Some(timed)
    }

    /// Lets some packets pass, because a host may have none while programs are timed: a byte there and back again over loopback.
    pub fn pass_packets(&self) {
        let ends = self.timing.as_ref().and_then(|timing| timing.ends.as_ref());
        let Some((near, far)) = ends else { return };
        let pass =
            |(mut from, mut to): (&TcpStream, &TcpStream)| from.write_all(&[0]).and_then(|()| to.read_exact(&mut [0]));
        let there_and_back = || pass((near, far)).and_then(|()| pass((far, near)));
        // One that breaks leaves less to be timed.
        let _ = (0..PASSED).try_for_each(|_| there_and_back());
    }

    /// Ends the timing of programs, and takes the empty ones away.
    pub fn end_timing(&mut self) {
        if self.timing.take().is_some() {
            self.unload_empty();
        }
    }

    fn unload_empty(&mut self) {
        for (name, ..) in EMPTY {
            let program = self.ebpf.program_mut(name);
            let Some(Ok(program)) = program.map(<&mut BtfTracePoint>::try_from) else {
                continue;
            };
            match program.unload() {
                Ok(()) | Err(ProgramError::NotLoaded) => {}
                Err(error) => tracing::warn!(%error, "an empty program stays until the agent ends"),
            }
        }
    }

    /// Runs of the programs of packets.
    #[must_use]
    pub fn packet_runs(&self) -> u64 {
        let states = (0..self.cpus).filter_map(|cpu| self.cpu_state.get(cpu));
        states.map(|state| state.packet_runs).fold(0, u64::wrapping_add)
    }

    /// Lets the programs of these sensors return at once from now on, and those of others count: [`OFF_MEM`] and [`OFF_NET`].
    ///
    /// [`OFF_MEM`]: sentinel_common::sched::OFF_MEM
    /// [`OFF_NET`]: sentinel_common::sched::OFF_NET
    pub fn switch_off(&self, sensors: u64) {
        for cpu in 0..self.cpus {
            self.cpu_state.set(cpu, OFF_WORD, sensors);
        }
    }
}

fn untimed(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(
        "what the programs in the kernel cost is not known, and the budget of cost is held by what the agent itself takes: {}",
        describe(error)
    );
}

/// A connection of this process with itself.
fn connected() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(PATIENCE))?;
        end.set_write_timeout(Some(PATIENCE))?;
    }
    Ok((near, far))
}
