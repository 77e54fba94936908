//! With and without: the agent that a run happens under, and who takes hold of a storm.
//!
//! Comes in: which arm. Goes out: what the agent said about one shop. What it says is read as its users read it, from
//! its lines of JSON.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use sentinel::kernel::enforce::{Connects, Enforcer, Limits, Scope};
use serde::Serialize;
use serde_json::Value;

use super::shop::Shop;
use crate::{
    agent::{Agent, Options},
    wait,
};

/// Lines that are kept: about gateways, and about what was done to anybody.
const KEPT: [&str; 2] = ["/gateway\"", "sentinel.outcome/1"];
/// The agent looks at an idle host before the first run.
const WARM_UP: Duration = Duration::from_secs(4);
/// Several shops run under one agent: its caps are for a host, and here each shop stands for one.
const CAPS: &str = "[veto]\nmax_scopes = 64\nmax_per_hour = 3600\nmax_share_pct = 100\n";
/// How long a policy lives that is put by hand, and when it is renewed.
const TTL: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);

/// Who takes hold of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Nobody: the agent observes.
    Observe,
    /// The agent, with `--autonomy auto`.
    Auto,
    /// The agent observes, and the trial puts the policy at its first veto: the policy without the agent's own rules.
    ByHand,
}

impl Arm {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Auto => "auto",
            Self::ByHand => "by hand",
        }
    }
}

/// What the agent said about one shop's gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Said {
    /// Alpha at each reading: `CLOCK_MONOTONIC`, nanoseconds, and ratio.
    pub alpha: Vec<(u64, f64)>,
    /// When the reading was taken that led to the first veto of the trigger.
    pub veto_ns: Option<u64>,
    /// When the agent said that an action began.
    pub began_ns: Vec<u64>,
    /// What it refused in all, from the outcome at its end.
    pub refused: Option<u64>,
    /// Outcomes that say something went wrong, as they came.
    pub failures: Vec<String>,
    /// Actions on other scopes of the shop: there must be none.
    pub elsewhere: Vec<String>,
}

/// A running agent, and which arm it is.
#[derive(Debug)]
pub struct Host {
    arm: Arm,
    agent: Agent,
}

impl Host {
    /// Starts the agent, with more lines of configuration, and lets it warm up; it ends by itself after `limit`.
    ///
    /// # Errors
    /// It does not start or does not stay.
    pub fn start(arm: Arm, config: &str, limit: Duration) -> Result<Self> {
        let mut agent = options(arm, config)?.duration(limit).start()?;
        agent.warm_up(WARM_UP)?;
        Ok(Self { arm, agent })
    }

    /// Lines so far, to look at what comes after.
    #[must_use]
    pub fn said(&self) -> usize {
        self.agent.said()
    }

    /// Takes hold of a shop's storm where that is not the agent's to do; returns what lets go of it again.
    ///
    /// # Errors
    /// The enforcing programs could not be loaded.
    pub fn attend(self: &Arc<Self>, shop: &Shop, from: usize) -> Result<Option<Hand>> {
        if self.arm != Arm::ByHand {
            return Ok(None);
        }
        let enforcer = Enforcer::open()?;
        let scope = Scope {
            path: shop.gateway().dir().to_owned(),
            id: shop.gateway().id()?,
        };
        let path = shop.gateway().scope();
        let host = Arc::clone(self);
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let thread = thread::spawn(move || hold(&host, enforcer, &scope, &path, from, &seen));
        Ok(Some(Hand { done, thread }))
    }

    /// What was said about a shop from line number `from` on; a veto counts from `begins_ns` on.
    #[must_use]
    pub fn about(&self, shop: &str, gateway: &str, from: usize, begins_ns: u64) -> Said {
        let mut said = Said::default();
        for line in self.agent.stdout_since(from) {
            if !line.text.contains(shop) {
                continue;
            }
            let Ok(value) = serde_json::from_str::<Value>(&line.text) else {
                continue;
            };
            match value["schema"].as_str() {
                Some("sentinel.verdict/1") => said.hear_verdict(&value, gateway, begins_ns),
                Some("sentinel.outcome/1") => said.hear_outcome(&value, gateway, line.at_ns),
                _ => {}
            }
        }
        said
    }

    /// The agent, for what is done to it.
    pub const fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// Ends the agent.
    ///
    /// # Errors
    /// It does not end well.
    pub fn close(mut self) -> Result<()> {
        let ended = self.agent.end(Signal::SIGTERM)?;
        ensure!(
            ended.code == Some(0),
            "the agent ended with {}: {:?}",
            ended.ending,
            ended.stderr
        );
        Ok(())
    }
}

/// How an agent of this arm is run; `config` are more lines for its configuration.
///
/// # Errors
/// There is no place for temporary files.
pub fn options(arm: Arm, config: &str) -> Result<Options> {
    let options = Options::new()?
        .arg("--no-journal")
        .arg("--every-tick")
        .only_about_any(&KEPT);
    Ok(match arm {
        Arm::Auto => options
            .config(&format!("interval = \"1s\"\n{config}\n{CAPS}"))
            .args(["--autonomy", "auto"]),
        Arm::Observe | Arm::ByHand => options.config(&format!("interval = \"1s\"\n{config}\n")),
    })
}

impl Said {
    fn hear_verdict(&mut self, verdict: &Value, gateway: &str, begins_ns: u64) {
        if verdict["scope"]["path"] != gateway || verdict["signal"] != "amplification" {
            return;
        }
        let Some(at_ns) = verdict["monotonic_ns"].as_u64() else {
            return;
        };
        if let Some(alpha) = verdict["value"].as_f64() {
            self.alpha.push((at_ns, alpha));
        }
        if verdict["level"] == "veto" && at_ns >= begins_ns && self.veto_ns.is_none() {
            self.veto_ns = Some(at_ns);
        }
    }

    fn hear_outcome(&mut self, outcome: &Value, gateway: &str, at_ns: u64) {
        let text = outcome["result"].to_string();
        if outcome["scope"] != gateway {
            self.elsewhere.push(format!("{}: {text}", outcome["scope"]));
            return;
        }
        match outcome["result"]["kind"].as_str() {
            Some("began") => self.began_ns.push(at_ns),
            Some("ended") => self.refused = outcome["result"]["refused"].as_u64().or(self.refused),
            Some("effective") => {}
            _ => self.failures.push(text),
        }
    }
}

/// Whoever holds a policy by hand; letting go ends it.
#[derive(Debug)]
pub struct Hand {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Option<u64>>>,
}

impl Hand {
    /// Lets go. Returns what was refused; `None` when there never was a veto.
    ///
    /// # Errors
    /// The policy could not be put or held.
    pub fn let_go(self) -> Result<Option<u64>> {
        self.done.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the hand that held the policy panicked"))?
    }
}

fn hold(
    host: &Host,
    mut enforcer: Enforcer,
    scope: &Scope,
    path: &str,
    from: usize,
    done: &AtomicBool,
) -> Result<Option<u64>> {
    let veto = |seen: &crate::agent::Seen| {
        seen.verdict.level == sentinel::judge::verdict::Level::Veto
            && seen.verdict.signal == sentinel::judge::verdict::Signal::Amplification
            && seen.verdict.scope.path == path
    };
    let mut from = from;
    while !done.load(Ordering::Relaxed) {
        let next = host.agent.said();
        if host.agent.find_since(from, Duration::from_millis(100), veto).is_none() {
            from = next;
            continue;
        }
        let limits = Limits {
            connects: Some(Connects {
                by_answers: true,
                ..Connects::default()
            }),
            accepts: None,
        };
        enforcer.put(scope, &limits, TTL).context("putting the policy")?;
        let mut renewed_ns = wait::now_ns();
        while !done.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
            if wait::since(renewed_ns) >= RENEW {
                enforcer.renew(scope.id, TTL).context("renewing the policy")?;
                renewed_ns = wait::now_ns();
            }
        }
        let counts = enforcer.lift(scope.id)?;
        return Ok(Some(counts.connects.refused));
    }
    Ok(None)
}
