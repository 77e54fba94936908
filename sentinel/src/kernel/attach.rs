//! Starts the programs, each by itself: one that this kernel does not take is noted with its reason, and the others go on.

use std::fs::File;

use aya::programs::{
    BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, PerfEvent, ProgramError, SockOps,
    perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
};

use super::{Kernel, KernelError, Options, Sensor, error::program, layout::Layout};

/// Run-queue samples per second and CPU. Not a round number, so that samples do not fall in step with timers.
pub const RUN_QUEUE_HZ: u64 = 99;

impl Kernel {
    pub(super) fn attach(&mut self, options: &Options, layout: &Layout, btf: &aya::Btf) -> Result<(), KernelError> {
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
            // A CPU's counts of pages are found from its run-queue.
            let found = layout.run_queue.as_ref().map(drop).and(layout.pages.as_ref().map(drop));
            found.map_err(again)
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
}

fn again(error: &KernelError) -> KernelError {
    KernelError::NoField(error.to_string().trim_start_matches("this kernel has no ").to_owned())
}
