//! What `sentinel run` needs to act: the process that does it with its hands, whom they never touch, and the socket that
//! persons ask by. In `observe` nothing of it exists but the socket, and no enforcing program is loaded.

use std::path::Path;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Failure, actuator,
    options::{Acts, Configured},
};
use crate::{
    act::{
        Protected,
        actuator::{Actuator, CgroupOptions, GuardOptions, Guarded, Shedding, Sparing, put_back_all},
        control::{Line, server::Server},
        hands::{Done, Open, Threads},
        message::{PutBack, Why},
        privileged::Started,
    },
    agent::Acting,
    config::Config,
    kernel::{self, enforce::Enforcer},
    privileges::Keep,
    sense::{mount, sample::Origin},
    time::Now,
};

/// Puts back what an earlier agent and its guard left when both died.
pub(super) fn put_back_left(config: &Config, acts: &Acts, origin: &Origin) -> Result<(), Failure> {
    if acts.journal.exists() {
        put_back(&cgroups(config, &acts.journal, origin)?);
    }
    Ok(())
}

fn cgroups(config: &Config, journal: &Path, origin: &Origin) -> Result<CgroupOptions, Failure> {
    Ok(CgroupOptions {
        mount: mount::find().map_err(Failure::host)?,
        journal: journal.to_owned(),
        boot_id: origin.boot_id.clone(),
        allow_freeze: config.veto.allow_freeze,
    })
}

/// Starts the process that acts, where anything may be done. To be called while the agent has its rights: it inherits them.
pub(super) fn start(config: &Config, configured: &Configured, acts: &Acts) -> Result<Option<Started>, Failure> {
    if Keep::of(config).programs.is_none() {
        return Ok(None);
    }
    let arguments = actuator::arguments(configured, &acts.journal);
    let passed_on = ["SENTINEL_LOG", "NO_COLOR"];
    let variables = passed_on
        .into_iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    // The running program itself, also when its file was replaced meanwhile.
    Started::new(Path::new("/proc/self/exe"), arguments, variables)
        .context("the process that acts could not be started")
        .map(Some)
        .map_err(Failure::host)
}

/// Speaks with the process that acts.
pub(super) fn attend(started: Started, config: &Config) -> std::io::Result<Acting> {
    let (privileged, done) = started.attend()?;
    Ok(Acting {
        privileged,
        done,
        protected: Protected::on_this_host(&config.veto.protect),
    })
}

/// The hands of the process that acts, and what they say.
pub(super) fn hands(
    config: &Config,
    journal: &Path,
    origin: &Origin,
) -> Result<(Threads, UnboundedReceiver<Done>), Failure> {
    if !config.veto.enabled {
        return Ok(Threads::start(None, None)?);
    }
    let cgroups = cgroups(config, journal, origin)?;
    let protected = Protected::on_this_host(&config.veto.protect);
    let mount = cgroups.mount.clone();
    let sparing = move |actuator: Box<dyn Actuator>| -> Box<dyn Actuator> {
        Box::new(Sparing::new(actuator, protected.clone(), mount.clone()))
    };
    let (root, spared) = (cgroups.mount.clone(), sparing.clone());
    let kernel: Open = Box::new(move || {
        let enforcer = Enforcer::open().map_err(|error| {
            format!(
                "retry_budget and admission cannot be used on this host: {}",
                kernel::describe(&error)
            )
        })?;
        Ok((spared(Box::new(Shedding::new(root, enforcer))), Vec::new()))
    });
    // The process that writes files of cgroups begins with the first order.
    let files: Open = Box::new(move || {
        let guarded = Guarded::idle(GuardOptions::of_this_program(cgroups));
        Ok((sparing(Box::new(guarded)), Vec::new()))
    });
    Ok(Threads::start(Some(kernel), Some(files))?)
}

/// Says what an earlier agent left. A journal that cannot be read stops no watching: acting on files then says why not.
fn put_back(cgroups: &CgroupOptions) {
    match put_back_all(cgroups, Why::FoundAtStart, Now::read()) {
        Ok(all) => {
            for PutBack {
                target,
                knob,
                found,
                ending,
                ..
            } in all
            {
                let path = crate::show::escape::line(target.path());
                tracing::warn!(
                    "an earlier agent left {} of {path} changed; it said {found:?} before: {ending:?}",
                    knob.file()
                );
            }
        }
        Err(error) => tracing::warn!("what an earlier agent may have left was not looked at: {error}"),
    }
}

/// The socket, and where its requests come out. An agent without one goes on, and says so.
pub(super) struct Control {
    server: Option<Server>,
    line: Line,
}

impl Control {
    /// Listens, for those who ask over `line`. Needs a tokio runtime.
    pub(super) fn bind(acts: &Acts, line: Line) -> Self {
        let server = Server::bind(&acts.control)
            .inspect_err(|error| tracing::warn!("`sentinel veto` cannot reach this agent: {error}"))
            .ok();
        Self { server, line }
    }

    /// Serves as long as it is polled; without a socket it waits for ever.
    pub(super) async fn serve(self) {
        let Self { server, line } = self;
        match server {
            Some(server) => server.serve(line).await,
            // The line stays open: a closed one would mean that nobody can ever ask.
            None => {
                let _line = line;
                std::future::pending().await
            }
        }
    }
}
