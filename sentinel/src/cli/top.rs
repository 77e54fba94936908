//! `sentinel top`: the running agent on this terminal, live; or this host itself, where no agent runs.

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::anyhow;
use clap::Args;
use hyper::StatusCode;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Failure, exit,
    options::Running,
    run::{facts, open, unavailable},
};
use crate::{
    act::control::server::DEFAULT_PATH,
    agent::{Agent, Parts},
    config::{Autonomy, Config, Listen},
    sense::origin,
    show::{
        Sinks,
        state::Document,
        tui::{
            Ends, Model, News, Palette,
            feed::{self, Place},
            inside::{self, Inside},
            run as show,
        },
        web::{Token, client::ClientError},
    },
    single, time,
};

/// News that wait to be shown, and asks that wait to be sent.
const WAITING: usize = 16;

/// Options of `top`.
#[derive(Debug, Args)]
pub struct Options {
    /// Configuration file of the agent; without it /etc/sentinel/sentinel.toml, where that exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the agent listens: an address with a port, or unix:PATH; overrides the file
    #[arg(long, value_name = "ADDR")]
    at: Option<String>,
    /// File with the agent's token; overrides the file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Socket of the agent, for what holds and what waits for approval
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    control: PathBuf,
    /// Lock that keeps a second agent from starting; taken only where no agent runs
    #[arg(long, value_name = "FILE", default_value = single::DEFAULT_PATH)]
    lock: PathBuf,
}

/// The latest document of an agent inside.
type Latest = watch::Receiver<Option<Arc<Document>>>;

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let mut config = Config::load(options.config.as_deref()).map_err(Failure::usage)?;
    if options.token_file.is_some() {
        config.listen_token_file.clone_from(&options.token_file);
    }
    let token = config.listen_token_file.as_deref().map(Token::text);
    let token = token.transpose().map_err(Failure::usage)?;
    if let Some(at) = &options.at {
        config = config.asked_at(at).map_err(Failure::usage)?;
    }
    if !io::stdout().is_terminal() {
        let why = "standard output is no terminal; `sentinel status` prints the same once";
        return Err(Failure::usage(anyhow!(why)));
    }
    let place = Place {
        listen: config.listen.clone(),
        token,
        control: options.control.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, news) = mpsc::channel(WAITING);
    let (asks, wanted) = mpsc::channel(WAITING);
    let ends = Ends { news, asks };
    let palette = Palette {
        colour: std::env::var_os("NO_COLOR").is_none(),
    };
    match runtime.block_on(feed::look(&place)) {
        Ok(_) => {}
        // It has just begun.
        Err(ClientError::Refused { status, .. }) if status == StatusCode::SERVICE_UNAVAILABLE => {}
        Err(error @ (ClientError::Off | ClientError::Unreachable { .. })) if options.at.is_none() => {
            let alone = Alone::start(config, options.lock.clone(), &tell).map_err(|failure| Failure {
                error: failure
                    .error
                    .context(format!("{error}; this host cannot be watched without one either")),
                ..failure
            })?;
            let ended = runtime.block_on(async {
                tokio::spawn(inside::follow(alone.latest.clone(), tell));
                show(Model::new(true, time::monotonic_ns()), palette, ends).await
            });
            alone.end();
            ended?;
            return Ok(exit::DONE);
        }
        Err(error) => return Err(Failure::host(error)),
    }
    let ended = runtime.block_on(async {
        tokio::spawn(feed::follow(place.clone(), tell.clone()));
        tokio::spawn(feed::attend(place, wanted, tell));
        show(Model::new(false, time::monotonic_ns()), palette, ends).await
    });
    // A question that the agent has not answered yet holds nobody up.
    runtime.shutdown_background();
    ended?;
    Ok(exit::DONE)
}

/// An agent that watches and does nothing, in a thread of its own.
struct Alone {
    latest: Latest,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Alone {
    fn start(config: Config, lock: PathBuf, tell: &mpsc::Sender<News>) -> Result<Self, Failure> {
        let config = config.with_autonomy(Autonomy::Observe);
        let (stop, stopped) = oneshot::channel();
        let (ready, begun) = std::sync::mpsc::channel();
        let tell = tell.clone();
        let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
            log_to(&tell);
            match parts(config, lock) {
                Ok((parts, latest, _lock)) => {
                    let _ = ready.send(Ok(latest));
                    if let Err(error) = watch(parts, stopped) {
                        let _ = tell.try_send(News::Said(format!("{error:#}")));
                    }
                }
                Err(failure) => drop(ready.send(Err(failure))),
            }
        })?;
        let latest = begun.recv()??;
        Ok(Self { latest, stop, thread })
    }

    fn end(self) {
        let Self { latest, stop, thread } = self;
        drop((latest, stop));
        let _ = thread.join();
    }
}

/// Everything an agent needs that shows on this screen and nowhere else.
fn parts(
    mut config: Config,
    lock: PathBuf,
) -> Result<(Parts<crate::sense::live::Live>, Latest, single::SingleInstance), Failure> {
    config.listen = Listen::Off;
    let origin = Arc::new(origin::read());
    let running = Running {
        duration: None,
        lock,
        debug_kernel: false,
    };
    let (live, lock) = open(&config, &running, &origin)?;
    let (inside, latest) = Inside::new();
    let mut sinks = Sinks::of(facts(&config));
    sinks.add(inside);
    let parts = Parts {
        unavailable: Arc::new(unavailable(&live, &config)),
        read_between: live.kernel().runs("net") || live.kernel().runs("sched"),
        source: live,
        origin,
        every_tick: false,
        fail_on: None,
        sinks,
        recorder: None,
        acting: None,
        commands: None,
        memory: None,
        reloads: None,
        config,
    };
    Ok((parts, latest, lock))
}

fn watch(parts: Parts<crate::sense::live::Live>, stopped: oneshot::Receiver<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = async {
        // Its sender is only ever dropped.
        let _ = stopped.await;
    };
    runtime.block_on(Agent::new(parts).run(stop))?;
    Ok(())
}

/// What the agent inside has to say is shown: written to the terminal it would spoil the screen.
fn log_to(tell: &mpsc::Sender<News>) {
    let tell = tell.clone();
    let set = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_target(false)
        .with_level(false)
        .without_time()
        .with_ansi(false)
        .with_writer(move || Told(tell.clone()))
        .try_init();
    // A second logger in one process would be a test's.
    drop(set);
}

/// A line of the log on its way to the screen; while too many wait, it is not told.
struct Told(mpsc::Sender<News>);

impl Write for Told {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(text).trim().to_owned();
        let _ = self.0.try_send(News::Said(line));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
