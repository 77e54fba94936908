//! `sentinel run`: the agent on this host.

use std::{
    ffi::OsStr,
    future::pending,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use super::{
    Failure,
    acting::{self, Control},
    descriptors, exit,
    log::Log,
    options::{Acts, Configured, Output, Printing, Running},
    record,
    reload::{Load, Reloader},
    rights,
};
use crate::{
    act::control::{self, Line},
    agent::{Agent, Ended, Parts},
    config::{Config, Listen},
    kernel::{self, Kernel, describe},
    memory,
    sense::{live::Live, mount, origin, sample::Origin},
    show::{
        Sinks, Unavailable,
        heartbeat::Heartbeat,
        journald::Journald,
        json::JsonLines,
        screen::Screen,
        service_manager::{ServiceManager, Teller},
        state::Facts,
        terminal::Terminal,
        view::Opening,
        web::{self, Token, Web, WebError},
    },
    single::SingleInstance,
    time::Now,
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
    #[command(flatten)]
    acts: Acts,
    /// Keep every sample in this file too, for `sentinel replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Where page, API and metrics are served: an address with a port, unix:PATH, or off; overrides the file
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Write no journal records
    #[arg(long)]
    no_journal: bool,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let config = load(&options.configured, options.listen.as_deref())?;
    let log = Log::start(config.log);
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let origin = Arc::new(origin::read());
    let (live, _lock) = open(&config, &options.running, &origin)?;
    acting::put_back_left(&config, &options.acts, &origin)?;
    let recorder = options
        .record
        .as_deref()
        .map(|path| record::create(path, &config, &origin))
        .transpose()?;
    let unavailable = Arc::new(unavailable(&live, &config));
    let (line, commands) = control::line();
    let facts = facts(&config);
    let web = serve(&config, &origin, &line, &facts)?;
    let runtime = runtime()?;
    let control = {
        let _inside = runtime.enter();
        Control::bind(&options.acts, line)
    };
    let manager = ServiceManager::from_environment(config.interval).map_err(Failure::host)?;
    let teller = manager.as_ref().map(ServiceManager::teller);
    #[cfg(feature = "otlp")]
    let export = crate::show::otlp::Export::open(&config.otlp).map_err(Failure::usage)?;
    let acting = acting::start(&config, &options.configured, &options.acts)?;
    // Whatever needs rights is open now, or another process, and no thread has been started.
    let memory = memory(&config, options.record.as_deref(), &origin);
    let remembers_in = memory.as_ref().map(memory::Opened::path);
    rights::give_up(&config, &live, &[&options.acts.control], remembers_in)?;
    let screen = (options.printing.output == Output::Text)
        .then(Screen::stdout)
        .transpose()?;
    if let Some(screen) = &screen {
        log.onto(screen);
    }
    let on_terminal = screen.as_ref().is_some_and(Screen::has_status);
    let acting = acting.map(|started| acting::attend(started, &config)).transpose()?;
    let mut opening = opening(options, &config, &origin, &live, &unavailable);
    opening.page = web.as_ref().map(|web| match web.address() {
        Listen::Tcp(address) => format!("http://{address}/"),
        other => other.to_string(),
    });
    if let Some(page) = opening
        .page
        .as_ref()
        .filter(|_| options.printing.output != Output::Text)
    {
        tracing::info!("the page is at {page}");
    }
    let mut sinks = Sinks::of(facts.clone());
    if !options.no_journal {
        sinks.add(Journald::start()?);
    }
    match (options.printing.output, screen) {
        (Output::Json, _) => sinks.add(JsonLines::stdout()?),
        (_, Some(screen)) => sinks.add(Terminal::start(screen, &opening)),
        _ => {}
    }
    let web = web.map(web::Opened::serve).transpose().map_err(Failure::host)?;
    #[cfg(feature = "otlp")]
    if let Some(export) = export {
        let identity = crate::show::otlp::Identity::new(&origin, &facts);
        let counts = web.as_ref().map(Web::counts);
        let (metrics, logs) = export.start(identity, counts).map_err(Failure::host)?;
        sinks.add(metrics);
        sinks.add(logs);
    }
    if let Some(web) = web {
        sinks.add(web);
    }
    if let Some(path) = &config.heartbeat_file {
        sinks.add(Heartbeat::start(path.clone(), &origin.boot_id, config.interval)?);
    }
    if let Some(manager) = manager {
        sinks.add(manager);
    }
    let memory = memory.map(|opened| opened.start(config.state_every)).transpose()?;
    let (reloader, reloads) = Reloader::new(again(options), config.clone(), log, teller.clone());
    let outside = Outside {
        control: Some(control),
        // Who closes a terminal wants the end of what runs on it.
        reloader: (!on_terminal).then_some(reloader),
        teller,
    };
    let parts = Parts {
        read_between: live.kernel().runs("net") || live.kernel().runs("sched"),
        source: live,
        origin,
        unavailable,
        every_tick: options.printing.every_tick,
        fail_on: options.printing.fail_on.map(Into::into),
        sinks,
        recorder,
        acting,
        commands: Some(commands),
        memory,
        reloads: Some(reloads),
        config,
    };
    let ended = block_on(&runtime, parts, options.running.duration, outside)?;
    if options.printing.output != Output::Text {
        tracing::info!("ended after {} ticks, {} of them late", ended.ticks, ended.late_ticks);
    }
    Ok(if ended.failed_on { exit::REACHED } else { exit::DONE })
}

/// What an earlier run learned. A recorded run begins from nothing, so that its replay gives the same verdicts.
fn memory(config: &Config, record: Option<&Path>, origin: &Arc<Origin>) -> Option<memory::Opened> {
    let named = || {
        let names = std::env::var_os("STATE_DIRECTORY")?;
        // Several are separated by colons; the first is the agent's.
        let first = names.as_bytes().split(|byte| *byte == b':').next()?;
        Some(PathBuf::from(OsStr::from_bytes(first))).filter(|dir| dir.is_absolute())
    };
    let dir = config.state_dir.clone().or_else(named)?;
    if record.is_some() {
        tracing::info!(
            "what was learned in {} is neither taken over nor written: a recorded run begins from nothing, so that a replay gives the same",
            dir.display()
        );
        return None;
    }
    memory::Opened::open(&dir, rights::account(config).as_ref(), origin)
}

/// Page, API and metrics. The default address may be taken by somebody else; one that was asked for may not.
fn serve(config: &Config, origin: &Origin, line: &Line, facts: &Facts) -> Result<Option<web::Opened>, Failure> {
    if config.listen == Listen::Off {
        return Ok(None);
    }
    let token = config.listen_token_file.as_deref().map(Token::read);
    let options = web::Options {
        listen: config.listen.clone(),
        token: token.transpose().map_err(Failure::usage)?,
        host: origin.host.clone(),
        line: Some(line.clone()),
        facts: facts.clone(),
    };
    match Web::open(options) {
        Ok(web) => Ok(Some(web)),
        Err(error @ WebError::Bind { .. }) if !config.origins.contains_key("listen") => {
            tracing::warn!("{error}; the run goes on without page and metrics");
            Ok(None)
        }
        Err(error) => Err(Failure::host(error)),
    }
}

/// What holds for a run that begins now.
pub(super) fn facts(config: &Config) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        autonomy: config.autonomy,
        interval_ms: u64::try_from(config.interval.as_millis()).unwrap_or(u64::MAX),
        began: Now::read(),
    }
}

/// Loads the kernel side, alone on this host.
pub(super) fn open(config: &Config, running: &Running, origin: &Origin) -> Result<(Live, SingleInstance), Failure> {
    if let Some(remedy) = kernel::support::missing_privileges() {
        return Err(Failure::host(anyhow!("{remedy}")));
    }
    descriptors::make_room()?;
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

/// What drives the agent: one thread, which is the caller's.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The configuration as the command line wants it.
fn load(configured: &Configured, listen: Option<&str>) -> Result<Config, Failure> {
    let config = configured.load()?;
    match listen {
        Some(listen) => config.with_listen(listen).map_err(Failure::usage),
        None => Ok(config),
    }
}

/// The same again, later and elsewhere.
fn again(options: &Options) -> Load {
    let (configured, listen) = (options.configured.clone(), options.listen.clone());
    Arc::new(move || load(&configured, listen.as_deref()).map_err(|failure| describe(failure.error.as_ref())))
}

/// Who speaks with a running agent.
#[derive(Default)]
pub(super) struct Outside {
    /// Where persons can ask it, if they can.
    pub(super) control: Option<Control>,
    /// What reads the configuration again, if anything does.
    pub(super) reloader: Option<Reloader>,
    /// How the service manager hears of the end, where there is one.
    pub(super) teller: Option<Teller>,
}

/// Runs an agent until it ends, is told to, or its time is over.
pub(super) fn block_on(
    runtime: &Runtime,
    parts: Parts<Live>,
    duration: Option<Duration>,
    outside: Outside,
) -> Result<Ended, Failure> {
    let Outside {
        control,
        reloader,
        teller,
    } = outside;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let over = async move {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => pending().await,
            }
        };
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = over => {}
            }
            if let Some(teller) = teller {
                teller.stopping();
            }
        };
        let reloading = match reloader {
            Some(reloader) => Some(tokio::spawn(reloader.attend(signal(SignalKind::hangup())?))),
            None => None,
        };
        let serving = control.map(|control| tokio::spawn(control.serve()));
        // As a task: the runtime wakes a task on its own thread without a system call, but not the future it blocks on.
        let ended = tokio::spawn(async move { Agent::new(parts).run(stop).await }).await;
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        if let Some(serving) = serving {
            serving.abort();
            // Its end removes the socket.
            let _ = serving.await;
        }
        ended
            .map_err(anyhow::Error::from)
            .and_then(|ended| ended.map_err(anyhow::Error::from))
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
    destinations.extend(
        config
            .otlp
            .endpoint
            .iter()
            .map(|endpoint| format!("OTLP at {endpoint}")),
    );
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
        page: None,
        interval: config.interval,
        autonomy: config.autonomy,
        hooks: config.hooks.iter().map(|hook| hook.name.clone()).collect(),
    }
}
