//! Who runs hooks, as the one who decides sees it: a hook is named, not described, and what became of it comes back.
//!
//! [`HooksHere`] starts them from this process, by the configuration that this process has read. The agent's own runner is
//! in another process, see [`privileged`](super::privileged).

use std::{pin::Pin, sync::Arc};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    environment,
    hook::{self, Job},
    outcome::ActionResult,
    process::Program,
};
use crate::{
    config::{Account, Config, HookConfig},
    judge::Verdict,
};

/// What became of one run of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// How it ended.
    pub result: ActionResult,
    /// From start to end, milliseconds.
    pub duration_ms: u64,
    /// The last bytes it printed, as in an outcome.
    pub output_tail: String,
    /// Bytes it printed in all.
    pub output_bytes: u64,
}

impl Ran {
    /// It was not started.
    #[must_use]
    pub const fn not_started(reason: String) -> Self {
        Self::without_output(ActionResult::NotStarted { reason }, 0)
    }

    /// What became of it is not known.
    #[must_use]
    pub const fn lost(reason: String) -> Self {
        Self::without_output(ActionResult::Failed { reason }, 0)
    }

    /// It ended like this, and nothing is known of what it printed.
    #[must_use]
    pub const fn without_output(result: ActionResult, duration_ms: u64) -> Self {
        Self {
            result,
            duration_ms,
            output_tail: String::new(),
            output_bytes: 0,
        }
    }
}

/// A run of a hook, to be waited for.
pub type Running = Pin<Box<dyn Future<Output = Ran> + Send>>;

/// Runs hooks.
pub trait Runner: Send {
    /// Begins a run of the hook of this name for a verdict. It ends by itself, by its timeout, or soon after `stop` becomes
    /// true; then nothing of its process group is left.
    fn run(&mut self, hook: &str, verdict: &Verdict, stop: watch::Receiver<bool>) -> Running;

    /// The hooks of another config from now on; what runs goes on.
    fn take_over(&mut self, config: &Config);
}

/// Runs hooks as children of this process.
pub struct HooksHere {
    hooks: Vec<Arc<HookConfig>>,
    own: Option<Account>,
}

impl HooksHere {
    /// Those of a config.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut here = Self {
            hooks: Vec::new(),
            own: None,
        };
        here.take_over(config);
        here
    }

    fn job(&self, hook: &HookConfig, verdict: &Verdict) -> Job {
        let mut input = serde_json::to_vec(verdict).unwrap_or_default();
        input.push(b'\n');
        Job {
            program: Program {
                command: hook.command.clone(),
                account: hook.user.clone().filter(|user| !is_own(user)),
                variables: environment::variables(hook, verdict, hook.user.as_ref().or(self.own.as_ref())),
            },
            input,
            timeout: hook.timeout,
        }
    }
}

impl Runner for HooksHere {
    fn run(&mut self, hook: &str, verdict: &Verdict, stop: watch::Receiver<bool>) -> Running {
        match self.hooks.iter().find(|known| known.name == hook) {
            Some(hook) => Box::pin(hook::run(self.job(hook, verdict), stop)),
            None => {
                let reason = format!(
                    "there is no hook {hook:?} in the configuration as it was last read; `kill -HUP` the agent to have it read again"
                );
                Box::pin(async move { Ran::not_started(reason) })
            }
        }
    }

    fn take_over(&mut self, config: &Config) {
        self.hooks = config.hooks.iter().cloned().map(Arc::new).collect();
        if self.own.is_none() && !self.hooks.is_empty() {
            self.own = Account::own();
        }
    }
}

/// Who is not root can still run a hook as itself. Root becomes root anew, without supplementary groups.
fn is_own(user: &Account) -> bool {
    let own = Uid::effective();
    !own.is_root() && user.uid == own.as_raw()
}
