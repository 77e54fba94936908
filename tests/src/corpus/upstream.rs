//! What happens to requests that a cgroup of the model sends: a back end that answers, refuses, is slow, or has only so
//! much capacity; time-outs; and retries with back-off, each due at its own time.
//!
//! Nothing here decides whether a storm begins: it follows from the back end and the retry policy. A back end with a
//! queue works on requests whose sender has long given up, which is how an overload outlives its trigger (Huang et al.,
//! *Metastable Failures in the Wild*, OSDI 2022).

use std::net::{IpAddr, Ipv4Addr};

use sentinel::sense::sample::{Destination, Net};

use super::noise::Noise;

/// Width of a bin of things to come, seconds; 60 s fit.
const BIN_S: f64 = 0.05;
const BINS: usize = 1200;
/// Attempts told apart.
const ATTEMPTS: usize = 8;

/// How the back end behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backend {
    /// Answers after this time, which is spread log-normally with that sigma.
    Answers {
        /// Median, seconds.
        latency_s: f64,
        /// Of the logarithm.
        sigma: f64,
    },
    /// Refuses this share of attempts, answers the rest as a quick one does.
    Refuses {
        /// 0 to 1.
        share: f64,
    },
    /// Does not answer to connection attempts at all: they time out.
    Silent,
    /// Serves this many requests per second in order of arrival, and refuses above a queue of `queue_s` seconds.
    Queues {
        /// Requests per second.
        capacity_per_s: f64,
        /// Longest queue, seconds.
        queue_s: f64,
    },
}

/// A back end, and how a scope deals with it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The other side.
    pub backend: Backend,
    /// An attempt without answer is given up after this, seconds.
    pub timeout_s: f64,
    /// Attempts for one request, the first included.
    pub attempts: usize,
    /// Pause before the second attempt, seconds.
    pub backoff_s: f64,
    /// Factor from pause to pause.
    pub backoff_factor: f64,
    /// Requests go over kept connections.
    pub kept: bool,
    /// Attempts so far, and those that failed.
    tried: (u64, u64),
    /// Requests waiting at the back end.
    queue: f64,
    carry: f64,
    retries: Vec<[f64; ATTEMPTS]>,
    answers: Vec<f64>,
    expiries: Vec<f64>,
    at: usize,
    fraction: f64,
}

impl Upstream {
    /// A quick back end, no retries.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            timeout_s: 1.0,
            attempts: 1,
            backoff_s: 0.1,
            backoff_factor: 2.0,
            kept: false,
            tried: (0, 0),
            queue: 0.0,
            carry: 0.0,
            retries: vec![[0.0; ATTEMPTS]; BINS],
            answers: vec![0.0; BINS],
            expiries: vec![0.0; BINS],
            at: 0,
            fraction: 0.0,
        }
    }

    /// With retries.
    #[must_use]
    pub fn retrying(mut self, attempts: usize, backoff_s: f64, backoff_factor: f64, timeout_s: f64) -> Self {
        (self.attempts, self.backoff_s) = (attempts.clamp(1, ATTEMPTS), backoff_s);
        (self.backoff_factor, self.timeout_s) = (backoff_factor, timeout_s);
        self
    }

    /// Over kept connections.
    #[must_use]
    pub const fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// The back end as a destination: attempts to it since the beginning, and failed ones.
    #[must_use]
    pub const fn destination(&self) -> Destination {
        Destination {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
            port: 8080,
            attempts: self.tried.0,
            failures: self.tried.1,
        }
    }

    /// Lets `dt` seconds pass with `fresh` new requests, and counts.
    pub(super) fn step(&mut self, dt: f64, fresh: f64, net: &mut Net, noise: &mut Noise) {
        let before = (net.connect_attempts, net.connect_failures);
        self.pass(dt, fresh, net, noise);
        self.tried.0 += net.connect_attempts - before.0;
        self.tried.1 += net.connect_failures - before.1;
    }

    fn pass(&mut self, dt: f64, fresh: f64, net: &mut Net, noise: &mut Noise) {
        let mut due = [0.0; ATTEMPTS];
        due[0] = fresh;
        let (mut answers, mut expired) = (0.0, 0.0);
        self.fraction += dt / BIN_S;
        while self.fraction >= 1.0 {
            self.fraction -= 1.0;
            for (due, bin) in due.iter_mut().zip(std::mem::take(&mut self.retries[self.at])) {
                *due += bin;
            }
            answers += std::mem::take(&mut self.answers[self.at]);
            expired += std::mem::take(&mut self.expiries[self.at]);
            self.at = (self.at + 1) % BINS;
        }
        if let Backend::Queues { capacity_per_s, .. } = self.backend {
            self.queue = (self.queue - capacity_per_s * dt).max(0.0);
        }
        for (attempt, due) in due.into_iter().enumerate() {
            let count = self.whole(due, noise);
            if count > 0 {
                self.send(attempt, count, net, noise);
            }
        }
        let answers = noise.round(answers);
        net.opened_turns_in += answers;
        net.external.ingress_packets += 3 * answers;
        net.external.ingress_bytes += 2_000 * answers;
        if self.backend == Backend::Silent {
            let expired = noise.round(expired);
            net.connect_failures += expired;
        }
    }

    fn whole(&mut self, due: f64, noise: &mut Noise) -> u64 {
        if due.fract() == 0.0 {
            due as u64
        } else {
            noise.round(due)
        }
    }

    fn send(&mut self, attempt: usize, count: u64, net: &mut Net, noise: &mut Noise) {
        match self.backend {
            Backend::Answers { latency_s, sigma } => {
                self.connect(count, net);
                let sigma = sigma.max(0.05);
                for part in [-1.0, 0.0, 1.0] {
                    let share = if part == 0.0 { 0.5 } else { 0.25 };
                    let latency = latency_s * libm::exp(sigma * part * 1.2);
                    self.await_answer(attempt, count as f64 * share, latency, noise);
                }
            }
            Backend::Refuses { share } => {
                let refused = noise.binomial(count, share);
                self.refuse(attempt, refused, net, noise);
                self.connect(count - refused, net);
                self.await_answer(attempt, (count - refused) as f64, 0.01, noise);
            }
            Backend::Silent => {
                net.connect_attempts += count;
                net.external.egress_packets += 2 * count;
                net.retransmits += count;
                let bin = self.bin(self.timeout_s);
                self.expiries[bin] += count as f64;
                self.retry(attempt, count as f64, self.timeout_s, noise);
            }
            Backend::Queues {
                capacity_per_s,
                queue_s,
            } => {
                let room = (capacity_per_s * queue_s - self.queue).max(0.0);
                let taken = (count as f64).min(room) as u64;
                self.refuse(attempt, count - taken, net, noise);
                self.connect(taken, net);
                let latency = 0.02 + self.queue / capacity_per_s;
                self.queue += taken as f64;
                self.await_answer(attempt, taken as f64, latency, noise);
            }
        }
    }

    fn connect(&mut self, count: u64, net: &mut Net) {
        net.opened_turns_out += count;
        net.external.egress_packets += 2 * count;
        net.external.egress_bytes += 500 * count;
        if self.kept {
            // A kept connection is opened anew now and then.
            self.carry += count as f64 / 100.0;
            let fresh = self.carry as u64;
            self.carry -= fresh as f64;
            net.connect_attempts += fresh;
            net.connects += fresh;
            net.opened_first_turns += fresh.min(count);
            return;
        }
        net.connect_attempts += count;
        net.connects += count;
        net.opened_first_turns += count;
        net.external.egress_packets += 3 * count;
        net.external.ingress_packets += 3 * count;
    }

    fn refuse(&mut self, attempt: usize, count: u64, net: &mut Net, noise: &mut Noise) {
        if count == 0 {
            return;
        }
        net.connect_attempts += count;
        net.connect_failures += count;
        net.resets_in += count;
        net.external.egress_packets += count;
        net.external.ingress_packets += count;
        self.retry(attempt, count as f64, 0.0, noise);
    }

    /// An answer comes after `latency_s`, unless the sender gives up before.
    fn await_answer(&mut self, attempt: usize, count: f64, latency_s: f64, noise: &mut Noise) {
        if latency_s <= self.timeout_s {
            let bin = self.bin(latency_s);
            self.answers[bin] += count;
        } else {
            self.retry(attempt, count, self.timeout_s, noise);
        }
    }

    fn retry(&mut self, attempt: usize, count: f64, after_s: f64, noise: &mut Noise) {
        if attempt + 1 >= self.attempts {
            return;
        }
        let pause_s = self.backoff_s * libm::pow(self.backoff_factor, attempt as f64);
        // Full jitter in four parts.
        for _ in 0..4 {
            let bin = self.bin(after_s + pause_s * noise.between(0.5, 1.5));
            self.retries[bin][attempt + 1] += count / 4.0;
        }
    }

    fn bin(&self, after_s: f64) -> usize {
        let bins = ((after_s / BIN_S) as usize).min(BINS - 1);
        (self.at + bins) % BINS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets it be asked `per_s` times a second for some seconds; counts, and attempts per request.
    fn ask(upstream: &mut Upstream, seconds: u32, per_s: f64, noise: &mut Noise) -> (Net, f64) {
        let mut net = Net::default();
        for _ in 0..10 * seconds {
            upstream.step(0.1, per_s / 10.0, &mut net, noise);
        }
        let alpha = net.work_out() as f64 / (per_s * f64::from(seconds));
        (net, alpha)
    }

    fn quick() -> Backend {
        Backend::Answers {
            latency_s: 0.02,
            sigma: 0.3,
        }
    }

    #[test]
    fn a_quick_back_end_is_asked_once_and_answers_each_time() {
        let mut noise = Noise::new("quick", 1);
        for upstream in [Upstream::new(quick()), Upstream::new(quick()).kept()] {
            let (net, alpha) = ask(&mut upstream.clone(), 100, 50.0, &mut noise);
            assert!((alpha - 1.0).abs() < 0.02, "{alpha}");
            assert!(net.opened_turns_out - net.opened_turns_in < 20);
            assert_eq!(net.connect_failures, 0);
        }
    }

    #[test]
    fn retries_follow_from_the_policy_and_what_fails() {
        let mut noise = Noise::new("retries", 1);
        let silent_or = [
            (Backend::Refuses { share: 1.0 }, 4.0),
            (Backend::Refuses { share: 0.4 }, 1.0 + 0.4 + 0.16 + 0.064),
            (Backend::Silent, 4.0),
            (
                Backend::Answers {
                    latency_s: 9.0,
                    sigma: 0.1,
                },
                4.0,
            ),
        ];
        for (backend, expected) in silent_or {
            let mut upstream = Upstream::new(backend).retrying(4, 0.1, 1.5, 0.5);
            ask(&mut upstream, 10, 50.0, &mut noise);
            let (net, alpha) = ask(&mut upstream, 60, 50.0, &mut noise);
            assert!((alpha / expected - 1.0).abs() < 0.03, "{backend:?}: {alpha}");
            let refused = matches!(backend, Backend::Refuses { .. } | Backend::Silent);
            assert_eq!(refused, net.connect_failures > 0, "{backend:?}");
        }
    }

    /// The same trigger: with five attempts the overload feeds itself, with two it is over soon.
    #[test]
    fn an_overload_outlives_its_trigger_when_retries_keep_it_up() {
        let mut noise = Noise::new("metastable", 1);
        for (attempts, queue_s, stays) in [(5, 6.0, true), (2, 0.8, false)] {
            let backend = Backend::Queues {
                capacity_per_s: 180.0,
                queue_s,
            };
            let mut upstream = Upstream::new(backend).retrying(attempts, 0.1, 1.5, 0.7);
            let (_, calm) = ask(&mut upstream, 60, 100.0, &mut noise);
            ask(&mut upstream, 10, 400.0, &mut noise);
            ask(&mut upstream, 5, 100.0, &mut noise);
            let (net, after) = ask(&mut upstream, 60, 100.0, &mut noise);
            assert!((calm - 1.0).abs() < 0.05, "{calm}");
            assert_eq!(after > 2.0, stays, "{attempts} attempts: {after}");
            let answered = net.opened_turns_in as f64 / 6_000.0;
            assert_eq!(
                answered < 0.5,
                stays,
                "{attempts} attempts: {answered} of requests are answered"
            );
        }
    }
}
