//! `sentinel replay`: judges a recording like the live host, without privileges.

use std::{collections::BTreeMap, fs::File, io::BufReader, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{
    Failure, exit,
    log::Log,
    options::{Configured, Output, Printing},
};
use crate::{
    act::Actor,
    config::{Config, LogLevel},
    judge::{Judge, JudgeConfig, verdict::Level},
    sense::{replay::Replay, sample::Sample},
    show::{
        SinkError, Sinks, Snapshot, add_losses, json::JsonLines, screen::Screen, terminal::Terminal, view::Opening,
    },
};

/// How long standard output may take to get through what waits: a replay is faster than most readers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Options {
    /// A file that `sentinel record` or `sentinel run --record` wrote
    file: PathBuf,
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    printing: Printing,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let config = options.configured.load()?;
    let screen = (options.printing.output == Output::Text)
        .then(Screen::stdout)
        .transpose()?;
    let log = Log::start(LogLevel::default());
    if let Some(screen) = &screen {
        log.onto(screen);
    }
    let name = options.file.display();
    let file = File::open(&options.file).map_err(|error| anyhow!("{name} cannot be read: {error}"))?;
    let replay = Replay::new(BufReader::new(file)).with_context(|| name.to_string())?;
    // The judge must expect readings as often as they were made.
    let interval = Duration::from_millis(replay.header().interval_ms);
    let config = Config { interval, ..config };
    let origin = Arc::new(replay.header().origin.clone());
    let judging = JudgeConfig {
        every_tick: options.printing.every_tick,
        ..JudgeConfig::from(&config)
    };
    let mut judge = Judge::new(judging, Arc::clone(&origin));
    let mut actor = Actor::new(&config);
    let mut sinks = Sinks::new();
    match (options.printing.output, screen) {
        (Output::Json, _) => sinks.add(JsonLines::stdout()?),
        (_, Some(screen)) => {
            let opening = Opening {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                origin: Arc::clone(&origin),
                sensors: vec![format!("the recording {name}")],
                destinations: vec!["standard output".to_owned()],
                interval,
                autonomy: config.autonomy,
                hooks: config.hooks.iter().map(|hook| hook.name.clone()).collect(),
                ..Opening::default()
            };
            sinks.add(Terminal::start(screen, &opening));
        }
        _ => {}
    }
    let fail_on = options.printing.fail_on.map(Level::from);
    let (mut reached, mut ticks, mut verdicts) = (false, 0, Vec::new());
    let (mut ended, mut losses) = (Ok(()), BTreeMap::new());
    for sample in replay {
        let sample = match sample {
            Ok(sample) => sample,
            Err(error) => {
                ended = Err(error);
                break;
            }
        };
        add_losses(&mut losses, &sample);
        judge.observe(&sample, &mut verdicts);
        ticks += u64::from(is_tick(&sample));
        // Plans are shown, never carried out.
        for verdict in &mut verdicts {
            let now_ns = verdict.monotonic_ns;
            actor.plan(verdict, &sample, now_ns);
        }
        reached |= fail_on.is_some_and(|level| verdicts.iter().any(|verdict| verdict.level >= level));
        let snapshot = Snapshot {
            origin: Arc::clone(&origin),
            now: sample.now,
            verdicts: verdicts.drain(..).map(Arc::new).collect(),
            standing: judge.standing(0).0,
            sample: Arc::new(sample),
            ticks,
            losses: losses.clone(),
            ..Snapshot::default()
        };
        if matches!(sinks.publish(&snapshot), Err(SinkError::Closed { .. })) {
            break;
        }
    }
    sinks.finish(PATIENCE);
    ended.with_context(|| name.to_string())?;
    Ok(if reached { exit::REACHED } else { exit::DONE })
}

/// A reading of every sensor; between ticks memory is not read.
fn is_tick(sample: &Sample) -> bool {
    sample.elapsed.mem_ns.is_some() || sample.host.memory_total_bytes.is_some()
}
