//! Many runs of one arm, several shops side by side under one agent, each at a time of its own.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::{
    arm::{Arm, Host, Said},
    course::Course,
    shop::{Gateway, Shop},
};
use crate::{overload::Setting, trial::figures::cell};

/// Steps that fill the time between two ticks evenly, so that no run meets the agent at the same moment as the others.
const GOLDEN: f64 = 0.618_033_988_749_895;
/// The most that a lane waits for the one before it.
const STAGGER_S: f64 = 3.0;
/// What a run takes besides its own time, at the most.
const AROUND_S: f64 = 6.0;

/// Runs to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who takes hold.
    pub arm: Arm,
    /// The program in the middle.
    pub gateway: Gateway,
    /// Shops side by side.
    pub parallel: usize,
    /// One for each run.
    pub settings: Vec<Setting>,
    /// More lines for the agent's configuration.
    pub config: String,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Who took hold.
    pub arm: Arm,
    /// What came.
    pub setting: Setting,
    /// What was measured.
    pub course: Course,
    /// What the agent said.
    pub said: Said,
}

impl Run {
    /// Seconds from the trigger's begin to the first veto.
    #[must_use]
    pub fn veto_after_s(&self) -> Option<f64> {
        let veto_ns = self.said.veto_ns?;
        Some((veto_ns as f64 - self.course.begins_ns as f64) / 1e9)
    }

    /// Seconds from the veto to the gateway's first refused attempt. `None` where there was neither, or where the
    /// gateway does not tell.
    #[must_use]
    pub fn refused_after_s(&self) -> Option<f64> {
        let (veto_ns, denied_ns) = (self.said.veto_ns?, self.course.first_denied_ns?);
        Some((denied_ns as f64 - veto_ns as f64) / 1e9)
    }

    /// Attempts refused, as the gateway counted them, else as the agent did.
    #[must_use]
    pub fn refused(&self) -> Option<u64> {
        let counted = self.course.gateway.iter().map(|slice| slice.denied).sum();
        if self.course.gateway.is_empty() {
            self.said.refused
        } else {
            Some(counted)
        }
    }

    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let (_, end_s) = self.course.span_s().unwrap_or_default();
        format!(
            "{}: veto {} after the trigger began, first refusal {} later, goodput back {} after its end, {} of the usual \
             at last; refused {}{}",
            self.arm.name(),
            cell(self.veto_after_s(), " s"),
            cell(self.refused_after_s().map(|seconds| seconds * 1e3), " ms"),
            cell(Some(self.course.back_after_s().unwrap_or(f64::INFINITY)), " s"),
            cell(self.course.goodput(end_s - 3.0, end_s).map(|share| share * 100.0), " %"),
            self.refused().map_or("-".into(), |refused| refused.to_string()),
            self.said
                .failures
                .iter()
                .fold(String::new(), |all, text| all + "; " + text),
        )
    }

    /// Everything about it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "arm": self.arm, "setting": self.setting, "veto_after_s": self.veto_after_s(),
            "refused_after_s": self.refused_after_s(), "refused": self.refused(), "back_after_s": self.course.back_after_s(),
            "usual_per_s": self.course.usual_per_s(), "said": self.said, "course": self.course,
        })
    }
}

/// Does them all, in order of their end.
///
/// # Errors
/// A run could not be done.
pub fn many(plan: &Plan) -> Result<Vec<Run>> {
    let longest_s = plan.settings.iter().map(Setting::seconds).fold(0.0, f64::max) + AROUND_S;
    let rounds = plan.settings.len().div_ceil(plan.parallel) as f64;
    let host = Arc::new(Host::start(
        plan.arm,
        &plan.config,
        Duration::from_secs_f64((rounds + 1.0) * longest_s + 60.0),
    )?);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let workers: Vec<Result<()>> = thread::scope(|scope| {
        let work = |lane: usize| {
            // Storms side by side begin one after the other.
            let stagger_s = (longest_s / plan.parallel as f64).min(STAGGER_S);
            thread::sleep(Duration::from_secs_f64(lane as f64 * stagger_s));
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(setting) = plan.settings.get(index) else {
                    return Ok(());
                };
                let run = one(&host, plan, index, *setting)?;
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push(run.clone());
                eprintln!("run {} of {}, {}", done.len(), plan.settings.len(), run.line());
            }
        };
        let threads: Vec<_> = (0..plan.parallel.min(plan.settings.len()))
            .map(|lane| scope.spawn(move || work(lane)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a run panicked"))))
            .collect()
    });
    workers.into_iter().collect::<Result<()>>()?;
    Arc::into_inner(host).map(Host::close).transpose()?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn one(host: &Arc<Host>, plan: &Plan, index: usize, setting: Setting) -> Result<Run> {
    let from = host.said();
    let setting = Setting {
        past_s: setting.past_s + (index as f64 * GOLDEN).fract(),
        ..setting
    };
    let shop = Shop::open(plan.gateway, setting)?;
    let (family, gateway, begins_ns) = (shop.family(), shop.gateway().scope(), shop.begins_ns());
    let hand = host.attend(&shop, from)?;
    let course = shop.finish_beside(|| match hand {
        Some(hand) => hand.let_go(),
        None => Ok(None),
    })?;
    let (course, by_hand) = course;
    let mut said = host.about(&family, &gateway, from, begins_ns);
    said.refused = said.refused.or(by_hand);
    Ok(Run {
        arm: plan.arm,
        setting,
        course,
        said,
    })
}
