//! An overload for real: client, gateway and backend in cgroups of their own, and what came back to the client.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{services::Services, workload::Workload};

/// The services an overload needs: client, gateway, backend.
pub const SERVICES: [&str; 3] = ["client", "gateway", "stock"];
/// Requests the backend lets wait.
const QUEUE: u32 = 1000;
/// How long each part outlives the one that asks it.
const AFTER_S: f64 = 1.0;
/// Slices in a second.
const SECOND: usize = 10;
const READY_LIMIT: Duration = Duration::from_secs(5);

/// What overloads it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The client asks so many times as much.
    Load(f64),
    /// The backend takes so many times as long.
    Backend(f64),
}

/// One overload. Times in seconds unless the name says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Requests per second.
    pub rps: f64,
    /// Time one request keeps a worker of the backend busy, milliseconds.
    pub service_ms: f64,
    /// Workers of the backend. Capacity is `workers / service_ms`.
    pub workers: u32,
    /// Attempts of the gateway after the first.
    pub retries: u32,
    /// Time after which the gateway gives up an attempt, milliseconds.
    pub timeout_ms: u32,
    /// What overloads it.
    pub trigger: Trigger,
    /// Quiet time before that.
    pub past_s: f64,
    /// How long the trigger lasts.
    pub trigger_s: f64,
    /// How long it is watched afterwards.
    pub after_s: f64,
    /// Arrivals at random times from this seed; at even distances when there is none.
    pub seed: Option<u64>,
}

impl Default for Setting {
    /// A load of half the capacity of 200/s, and three retries, which can sustain twice the capacity.
    fn default() -> Self {
        Self {
            rps: 100.0,
            service_ms: 20.0,
            workers: 4,
            retries: 3,
            timeout_ms: 250,
            trigger: Trigger::Load(3.0),
            past_s: 6.0,
            trigger_s: 3.0,
            after_s: 8.0,
            seed: None,
        }
    }
}

impl Setting {
    /// One at the edge, as in Huang et al., "Metastable Failures in the Wild" (OSDI 2022): a trigger of 9 s leaves nothing
    /// behind, one of 10 s an overload that never ends.
    #[must_use]
    pub fn at_the_edge(trigger_s: f64) -> Self {
        Self {
            rps: 110.0,
            timeout_ms: 1000,
            trigger: Trigger::Load(2.0096),
            trigger_s,
            after_s: 20.0,
            ..Self::default()
        }
    }

    /// The shortest trigger after which attempts begin to time out: the time in which its excess of load fills the queue
    /// with as much work as is done in one timeout. `None` for a trigger that is no load, or does not overload.
    #[must_use]
    pub fn tipping_s(&self) -> Option<f64> {
        let Trigger::Load(factor) = self.trigger else {
            return None;
        };
        let capacity = self.capacity_per_s();
        let excess = factor * self.rps - capacity;
        (excess > 0.0).then(|| f64::from(self.timeout_ms) / 1e3 * capacity / excess)
    }

    /// The whole length.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.past_s + self.trigger_s + self.after_s
    }

    /// Requests per second the backend can answer.
    #[must_use]
    pub fn capacity_per_s(&self) -> f64 {
        f64::from(self.workers) * 1e3 / self.service_ms
    }
}

/// What came back to the client in a slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its end, `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// Its length.
    pub seconds: f64,
    /// Requests sent.
    pub asked: u64,
    /// Requests answered with success.
    pub ok: u64,
    /// Requests that failed or were given up.
    pub failed: u64,
}

/// A running overload; dropping it ends it.
#[derive(Debug)]
pub struct Overload {
    client: Workload,
    gateway: Workload,
    backend: Workload,
    begins_ns: u64,
    setting: Setting,
}

impl Overload {
    /// Starts it among services that have its [`SERVICES`].
    ///
    /// # Errors
    /// Something could not be started.
    pub fn start(services: &Services, setting: Setting) -> Result<Self> {
        let seconds = setting.seconds();
        let (rps, past_s, trigger_s) = (setting.rps, setting.past_s, setting.trigger_s);
        let mut args = words(&format!(
            "overload-backend --service-ms {} --workers {} --queue {QUEUE} --seconds {}",
            setting.service_ms,
            setting.workers,
            seconds + 2.0 * AFTER_S
        ));
        if let Trigger::Backend(times) = setting.trigger {
            let slow_ms = setting.service_ms * times;
            args.extend(words(&format!(
                "--then-service-ms {slow_ms} --after-seconds {past_s} --for-seconds {trigger_s}"
            )));
        }
        let backend = start(services, "stock", &args)?;
        let args = words(&format!(
            "overload-gateway --to {} --retries {} --timeout-ms {} --seconds {}",
            backend.listen()?,
            setting.retries,
            setting.timeout_ms,
            seconds + AFTER_S
        ));
        let gateway = start(services, "gateway", &args)?;
        let mut args = words(&format!(
            "overload-client --to {} --rps {rps} --seconds {seconds}",
            gateway.listen()?
        ));
        if let Trigger::Load(factor) = setting.trigger {
            args.extend(words(&format!(
                "--trigger-factor {factor} --trigger-after-seconds {past_s} --trigger-seconds {trigger_s}"
            )));
        }
        if let Some(seed) = setting.seed {
            args.extend(words(&format!("--poisson {seed}")));
        }
        let client = start(services, "client", &args)?;
        // The trigger is counted from the start of whoever makes it.
        let counted_from_ns = match setting.trigger {
            Trigger::Load(_) => client.onset_ns(),
            Trigger::Backend(_) => backend.onset_ns(),
        };
        Ok(Self {
            client,
            gateway,
            backend,
            begins_ns: counted_from_ns + nanoseconds(past_s),
            setting,
        })
    }

    /// When the trigger begins, `CLOCK_MONOTONIC`, nanoseconds; some milliseconds early, because starting takes time.
    #[must_use]
    pub const fn begins_ns(&self) -> u64 {
        self.begins_ns
    }

    /// When the trigger ends, `CLOCK_MONOTONIC`, nanoseconds.
    #[must_use]
    pub fn ends_ns(&self) -> u64 {
        self.begins_ns + nanoseconds(self.setting.trigger_s)
    }

    /// Waits for its end and returns what came back.
    ///
    /// # Errors
    /// A part failed.
    pub fn finish(mut self) -> Result<Goodput> {
        let limit = Duration::from_secs_f64(self.setting.seconds()) + READY_LIMIT;
        self.client.report(limit).context("the client")?;
        let slices = self.client.lines().texts();
        let goodput = Goodput {
            slices: slices
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            begins_ns: self.begins_ns,
            ends_ns: self.ends_ns(),
        };
        self.gateway.kill()?;
        self.backend.kill()?;
        Ok(goodput)
    }
}

/// What came back over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goodput {
    /// In order of time.
    pub slices: Vec<Slice>,
    /// When the trigger began.
    pub begins_ns: u64,
    /// When it ended.
    pub ends_ns: u64,
}

impl Goodput {
    /// Share of what is usually answered (before the trigger) that was answered between two times after the trigger's
    /// end; `None` where nothing was measured.
    #[must_use]
    pub fn after(&self, from_s: f64, to_s: f64) -> Option<f64> {
        let from_ns = self.ends_ns + nanoseconds(from_s);
        let to_ns = self.ends_ns + nanoseconds(to_s);
        Some(self.per_s(from_ns, to_ns)? / self.before()?)
    }

    /// Requests answered per second before the trigger, without the first second.
    #[must_use]
    pub fn before(&self) -> Option<f64> {
        let first_ns = self.slices.first()?.monotonic_ns;
        self.per_s(first_ns + nanoseconds(1.0), self.begins_ns)
            .filter(|per_s| *per_s > 0.0)
    }

    /// Seconds from the trigger's end until answers were back at half of the usual for good, seen over a second; `None`
    /// when they were not by the end.
    #[must_use]
    pub fn recovered_after_s(&self) -> Option<f64> {
        let usual = self.before()?;
        let last = self
            .slices
            .windows(SECOND)
            .rev()
            .find(|slices| rate(slices).is_none_or(|per_s| per_s < 0.5 * usual));
        let Some(end_ns) = last.and_then(|slices| slices.last()).map(|slice| slice.monotonic_ns) else {
            return Some(0.0);
        };
        let still_down = self.slices.last().is_none_or(|slice| slice.monotonic_ns == end_ns);
        (!still_down).then(|| end_ns.saturating_sub(self.ends_ns) as f64 / 1e9)
    }

    fn per_s(&self, from_ns: u64, to_ns: u64) -> Option<f64> {
        let during: Vec<Slice> = self
            .slices
            .iter()
            .filter(|slice| slice.monotonic_ns > from_ns && slice.monotonic_ns <= to_ns)
            .copied()
            .collect();
        rate(&during)
    }
}

fn rate(slices: &[Slice]) -> Option<f64> {
    let seconds: f64 = slices.iter().map(|slice| slice.seconds).sum();
    let ok: u64 = slices.iter().map(|slice| slice.ok).sum();
    (seconds > 0.0).then(|| ok as f64 / seconds)
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn start(services: &Services, name: &str, args: &[String]) -> Result<Workload> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Workload::start(services.cgroup(name), &args)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One slice for each number: answers in a tenth of a second.
    fn goodput(ok: &[u64], begins: u64, ends: u64) -> Goodput {
        let slices = (1..)
            .zip(ok)
            .map(|(index, ok)| Slice {
                monotonic_ns: index * 100_000_000,
                seconds: 0.1,
                asked: 10,
                ok: *ok,
                failed: 0,
            })
            .collect();
        Goodput {
            slices,
            begins_ns: begins * 100_000_000,
            ends_ns: ends * 100_000_000,
        }
    }

    #[test]
    fn what_is_answered_after_the_trigger_is_a_share_of_what_was_before() {
        let ok: Vec<u64> = (0..60).map(|index| if index < 30 { 10 } else { 1 }).collect();
        let goodput = goodput(&ok, 30, 40);
        assert!((goodput.before().unwrap() - 100.0).abs() < 1e-6);
        assert!((goodput.after(0.5, 2.0).unwrap() - 0.1).abs() < 1e-6);
        assert_eq!(goodput.after(10.0, 12.0), None, "nobody looked");
        assert_eq!(goodput.recovered_after_s(), None);
    }

    #[test]
    fn the_edge_lies_between_nine_and_ten_seconds() {
        let tipping_s = Setting::at_the_edge(9.0).tipping_s().unwrap();
        assert!((9.2..9.8).contains(&tipping_s), "{tipping_s}");
        assert_eq!(
            Setting {
                trigger: Trigger::Load(1.5),
                ..Setting::default()
            }
            .tipping_s(),
            None
        );
    }

    #[test]
    fn a_recovery_is_timed_from_the_triggers_end() {
        let ok: Vec<u64> = (0..80)
            .map(|index| if (30..50).contains(&index) { 0 } else { 10 })
            .collect();
        let after_s = goodput(&ok, 30, 40).recovered_after_s().unwrap();
        assert!((0.8..1.5).contains(&after_s), "{after_s}");
    }
}
