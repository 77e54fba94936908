//! SIGHUP: the configuration is read again. A bad one changes nothing and says why.

use std::sync::Arc;

use tokio::{
    signal::unix::Signal,
    sync::mpsc::{self, Receiver, Sender},
};

use super::log::Log;
use crate::{agent::Reload, config::Config, privileges::Keep, show::service_manager::Teller, time::monotonic_ns};

/// Reads the configuration, as the command line wants it, or says what is wrong.
pub(super) type Load = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What reads it again.
pub(super) struct Reloader {
    load: Load,
    current: Config,
    log: Log,
    teller: Option<Teller>,
    agent: Sender<Reload>,
}

impl Reloader {
    /// Of a run that began with this configuration, and where the agent hears of others.
    pub(super) fn new(load: Load, current: Config, log: Log, teller: Option<Teller>) -> (Self, Receiver<Reload>) {
        let (agent, reloads) = mpsc::channel(1);
        let reloader = Self {
            load,
            current,
            log,
            teller,
            agent,
        };
        (reloader, reloads)
    }

    /// Reads again at each signal, for ever.
    pub(super) async fn attend(mut self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            if let Some(teller) = &self.teller {
                teller.reloading(monotonic_ns());
            }
            let load = Arc::clone(&self.load);
            // A file may be on a disk that does not answer: no tick waits for it.
            let read = tokio::task::spawn_blocking(move || load()).await;
            let reload = self.taken(read.unwrap_or_else(|error| Err(error.to_string())));
            let _ = self.agent.send(reload).await;
            if let Some(teller) = &self.teller {
                teller.ready();
            }
        }
    }

    fn taken(&mut self, read: Result<Config, String>) -> Reload {
        let config = match read {
            Ok(config) => config,
            Err(reason) => {
                tracing::error!("the configuration was not taken over: {reason}");
                return Reload::Bad { reason };
            }
        };
        let warnings = config.warnings();
        let (mut config, mut change) = config.taking_over_from(&self.current);
        if needs_more(&config, &self.current) {
            config.hooks.clone_from(&self.current.hooks);
            change.applied.retain(|what| !what.starts_with("hook "));
            change
                .restart
                .push("hooks, which need rights that were given up".into());
        }
        if config.log != self.current.log && !self.log.set_level(config.log) {
            change.applied.retain(|what| !what.starts_with("log = "));
            change.restart.push("log, which SENTINEL_LOG decides".into());
        }
        let said = change.sentence();
        tracing::info!("the configuration was read again: {said}");
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.current = config.clone();
        Reload::Good {
            config: Box::new(config),
            said,
        }
    }
}

/// Whether a configuration needs rights that are gone.
fn needs_more(new: &Config, old: &Config) -> bool {
    let (new, old) = (Keep::of(new), Keep::of(old));
    !old.capabilities().contains(new.capabilities())
        || !old.bounding().contains(new.bounding())
        || (new.programs.is_some() && old.programs.is_none())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_hook_that_needs_rights_that_are_gone_waits_for_a_restart() {
        let config = |toml: &str| Config::from_toml(toml, Path::new("test.toml")).unwrap();
        let hook = "[[hook]]\nname = \"a\"\ncommand = [\"/bin/true\"]\n";
        let acting = "autonomy = \"auto\"\n";
        assert!(!needs_more(&config(hook), &config("")), "in observe none runs");
        assert!(needs_more(&config(&format!("{acting}{hook}")), &config(acting)));
        assert!(!needs_more(&config(acting), &config(&format!("{acting}{hook}"))));
    }
}
