//! What was lost, by the signal it matters to.

use crate::sense::sample::Loss;

use super::{
    evidence::SECOND_NS,
    statistics::window::{Counts, Window},
    verdict::Signal,
};

/// Losses that make a slot's counts incomplete, whatever the sensor.
const ALL: [&str; 3] = ["no_free_slot", "slot_not_stored", "no_cgroup_id"];
// Not among them: what was counted all the same, only less exactly (`wait_fallback`, `rss_first_seen`,
// `role_inferred`), and packets that have no turns to miss (`unparsed_packet`: ICMP and the like).
const JITTER: [&str; 5] = [
    "switch_unseen",
    "run_queue_unread",
    "run_queue_other_cpu",
    "run_queue_sample_missed",
    "sched_run_missed",
];
const FEVER: [&str; 4] = ["pages_unread", "pages_moved", "rss_unread", "mem_run_missed"];
const AMPLIFICATION: [&str; 3] = ["no_socket_storage", "no_socket", "no_socket_callbacks"];

#[derive(Clone, Copy, Debug, Default)]
struct BySignal([u64; 3]);

impl Counts for BySignal {
    fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(count);
        }
    }
}

/// Losses of the last three seconds.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    window: Window<BySignal, 6>,
    last_ns: Option<u64>,
}

impl Default for Losses {
    fn default() -> Self {
        Self {
            window: Window::new(3 * SECOND_NS),
            last_ns: None,
        }
    }
}

impl Losses {
    /// Takes in the losses of a sample; returns those of the window, by signal.
    pub(super) fn observe(&mut self, now_ns: u64, losses: &[Loss]) -> [u64; 3] {
        let elapsed_ns = now_ns.saturating_sub(self.last_ns.unwrap_or(now_ns));
        self.last_ns = Some(now_ns);
        let mut counts = BySignal::default();
        for loss in losses {
            for signal in Signal::ALL {
                if matters(&loss.kind, signal) {
                    let sum = &mut counts.0[signal as usize];
                    *sum = sum.saturating_add(loss.count);
                }
            }
        }
        self.window.push(now_ns, elapsed_ns, &counts);
        self.window.sum().counts.0
    }
}

fn matters(kind: &str, signal: Signal) -> bool {
    let own: &[&str] = match signal {
        Signal::Jitter => &JITTER,
        Signal::Fever => &FEVER,
        Signal::Amplification => &AMPLIFICATION,
        Signal::Cost => &[],
    };
    ALL.contains(&kind) || own.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_loss_that_exists() {
        let known = sentinel_common::loss::LOSS_NAMES;
        let named = ALL.iter().chain(&JITTER).chain(&FEVER).chain(&AMPLIFICATION);
        for name in named {
            assert!(known.contains(name), "{name}");
        }
    }

    #[test]
    fn a_lost_socket_matters_to_amplification_only() {
        let loss = Loss {
            kind: "no_socket".to_owned(),
            count: 7,
        };
        assert_eq!(Losses::default().observe(1, &[loss]), [0, 0, 7]);
    }
}
