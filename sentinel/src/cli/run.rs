//! `sentinel run`: the agent on this host.

use std::{future::pending, io::IsTerminal, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Failure, exit,
    options::{Configured, Output, Printing, Running},
    record,
};
use crate::{
    agent::{Agent, Ended, Parts},
    config::{Autonomy, Config},
    kernel::{self, Kernel},
    sense::{live::Live, mount, origin, sample::Origin},
    show::{
        Sinks, Unavailable, journald::Journald, json::JsonLines, screen::Screen, terminal::Terminal, view::Opening,
    },
    single::SingleInstance,
};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    printing: Printing,
    /// Keep every sample in this file too, for `sentinel replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write no journal records
    #[arg(long)]
    no_journal: bool,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let config = options.configured.load()?;
    let screen = (options.printing.output == Output::Text)
        .then(Screen::stdout)
        .transpose()?;
    log_to(screen.as_ref());
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    if config.autonomy == Autonomy::Approve {
        tracing::warn!("approval is not available yet: in `approve` nothing runs");
    }
    let origin = Arc::new(origin::read());
    let (live, _lock) = open(&config, &options.running, &origin)?;
    let recorder = options
        .record
        .as_deref()
        .map(|path| record::create(path, &config, &origin))
        .transpose()?;
    let unavailable = Arc::new(unavailable(&live, &config));
    let (mut sinks, opening) = (Sinks::new(), opening(options, &config, &origin, &live, &unavailable));
    if !options.no_journal {
        sinks.add(Journald::start()?);
    }
    match (options.printing.output, screen) {
        (Output::Json, _) => sinks.add(JsonLines::stdout()?),
        (_, Some(screen)) => sinks.add(Terminal::start(screen, &opening)),
        _ => {}
    }
    let parts = Parts {
        read_between: live.kernel().runs("net") || live.kernel().runs("sched"),
        source: live,
        origin,
        unavailable,
        every_tick: options.printing.every_tick,
        fail_on: options.printing.fail_on.map(Into::into),
        sinks,
        recorder,
        config,
    };
    let ended = block_on(parts, options.running.duration)?;
    if options.printing.output != Output::Text {
        tracing::info!("ended after {} ticks, {} of them late", ended.ticks, ended.late_ticks);
    }
    Ok(if ended.failed_on { exit::REACHED } else { exit::DONE })
}

/// Loads the kernel side, alone on this host.
pub(super) fn open(config: &Config, running: &Running, origin: &Origin) -> Result<(Live, SingleInstance), Failure> {
    if let Some(remedy) = kernel::support::missing_privileges() {
        return Err(Failure::host(anyhow!("{remedy}")));
    }
    let lock = SingleInstance::acquire(&running.lock, &origin.boot_id)?;
    let root = mount::find().map_err(Failure::host)?;
    let options = kernel::Options {
        max_cgroups: config.max_cgroups,
        sched: config.jitter.enabled,
        mem: config.fever.enabled,
        net: config.amplification.enabled,
        cgroup_root: Some(root.clone()),
        debug: running.debug_kernel,
    };
    let kernel = Kernel::open(&options).map_err(Failure::host)?;
    let any = ["sched", "mem", "net"].iter().any(|sensor| kernel.runs(sensor));
    if !any {
        let reasons = kernel
            .sensors()
            .iter()
            .filter_map(|sensor| sensor.unavailable.as_deref());
        let reasons: Vec<_> = reasons.collect();
        return Err(Failure::host(anyhow!(
            "no sensor runs on this kernel: {}",
            reasons.join("; ")
        )));
    }
    Ok((Live::new(kernel, root), lock))
}

/// Runs an agent until it ends, is told to, or its time is over.
pub(super) fn block_on(parts: Parts<Live>, duration: Option<Duration>) -> Result<Ended, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let over = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => pending().await,
            }
        };
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = over => {}
            }
        };
        Agent::new(parts)
            .run(stop)
            .await
            .context("the run ended early")
            .map_err(Failure::from)
    })
}

/// Sensors that do not run although they are wanted.
pub(super) fn unavailable(live: &Live, config: &Config) -> Vec<Unavailable> {
    let wanted = |name: &str| match name.split('.').next() {
        Some("sched") => config.jitter.enabled,
        Some("mem") => config.fever.enabled,
        Some("net") => config.amplification.enabled,
        _ => true,
    };
    let sensors = live.kernel().sensors().iter().filter(|sensor| wanted(sensor.name));
    sensors
        .filter_map(|sensor| {
            let reason = sensor.unavailable.clone()?;
            Some(Unavailable {
                sensor: sensor.name.to_owned(),
                reason,
            })
        })
        .collect()
}

fn opening(
    options: &Options,
    config: &Config,
    origin: &Arc<Origin>,
    live: &Live,
    unavailable: &Arc<Vec<Unavailable>>,
) -> Opening {
    let runs = |name: &str| live.kernel().runs(name);
    let sensors = [("sched", "run-queues"), ("mem", "page allocations"), ("net", "sockets")];
    let mut destinations = vec!["standard output".to_owned()];
    if !options.no_journal {
        destinations.push("journald".to_owned());
    }
    Opening {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        origin: Arc::clone(origin),
        sensors: sensors
            .iter()
            .filter(|(name, _)| runs(name))
            .map(|(_, what)| (*what).to_owned())
            .collect(),
        unavailable: Arc::clone(unavailable),
        destinations,
        interval: config.interval,
        autonomy: config.autonomy,
        hooks: config.hooks.iter().map(|hook| hook.name.clone()).collect(),
    }
}

/// The agent's own log: standard error, or above the status line of a terminal. `SENTINEL_LOG` sets the level.
pub(super) fn log_to(screen: Option<&Screen>) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SENTINEL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .without_time()
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let set = match screen {
        Some(screen) => {
            let writer = screen.log_writer();
            builder.with_writer(move || writer.clone()).try_init()
        }
        None => builder.with_writer(std::io::stderr).try_init(),
    };
    // A second logger in one process would be a test's.
    drop(set);
}
