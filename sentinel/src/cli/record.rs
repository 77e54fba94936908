//! `sentinel record`: samples to a file, nothing judged.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use clap::Args;

use super::{
    Failure, exit,
    log::Log,
    options::{Configured, Running},
    rights, run,
};
use crate::{
    agent::Parts,
    config::{Autonomy, Config},
    sense::{
        origin,
        record::{Header, Recorder},
        sample::Origin,
    },
    show::Sinks,
};

/// Options of `record`.
#[derive(Debug, Args)]
pub struct Options {
    /// File to write; must not exist yet
    file: PathBuf,
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    running: Running,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let config = options.configured.load()?;
    Log::start(config.log);
    let origin = Arc::new(origin::read());
    let (live, _lock) = run::open(&config, &options.running, &origin)?;
    let recorder = create(&options.file, &config, &origin)?;
    let unavailable = Arc::new(run::unavailable(&live, &config));
    for sensor in unavailable.iter() {
        tracing::warn!("{} is not recorded: {}", sensor.sensor, sensor.reason);
    }
    // Recording never acts, whatever the configuration allows.
    rights::give_up(&config.clone().with_autonomy(Autonomy::Observe), &live, &[], None)?;
    let parts = Parts {
        read_between: live.kernel().runs("net") || live.kernel().runs("sched"),
        source: live,
        origin,
        unavailable,
        every_tick: false,
        fail_on: None,
        sinks: Sinks::new(),
        recorder: Some(recorder),
        acting: None,
        commands: None,
        memory: None,
        reloads: None,
        // Nothing is planned or done while recording.
        config: Config {
            hooks: Vec::new(),
            rules: Vec::new(),
            ..config
        },
    };
    let ended = run::block_on(
        &run::runtime()?,
        parts,
        options.running.duration,
        run::Outside::default(),
    )?;
    eprintln!("{} samples in {}", ended.recorded, options.file.display());
    Ok(exit::DONE)
}

/// Begins a recording in a new file.
pub(super) fn create(
    path: &Path,
    config: &Config,
    origin: &Origin,
) -> Result<Recorder<Box<dyn Write + Send>>, Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            Failure::usage(match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    anyhow!("{} exists already: name a new file, or remove this one", path.display())
                }
                _ => anyhow!("{} cannot be written: {error}", path.display()),
            })
        })?;
    let header = Header::new(origin.clone(), config.interval, config.network_interval);
    let to: Box<dyn Write + Send> = Box::new(BufWriter::new(file));
    Ok(Recorder::new(to, &header)?)
}
