//! What a cgroup of the model wants of the CPUs.

use super::noise::Wander;

/// What one cgroup wants of the CPUs.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Tasks that always want to run.
    pub busy: f64,
    /// Mean demand of short jobs, CPU seconds per second.
    pub short_cpus: f64,
    /// Mean length of a short job, milliseconds.
    pub service_ms: f64,
    /// Most short jobs that are runnable at a time.
    pub workers: f64,
    /// Burstiness: half the sum of the squared coefficients of variation of arrivals and lengths; 1 is M/M/k.
    pub variability: f64,
    /// How the demand wanders.
    pub wander: Wander,
    /// `cpu.max`, CPUs.
    pub quota_cpus: Option<f64>,
    /// Lock handoffs per second: each a voluntary switch, a wake-up and a short wait.
    pub handoffs_per_s: f64,
    /// No noise at all.
    pub steady: bool,
    /// What was not served yet, CPU seconds.
    pub(super) backlog_s: f64,
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            busy: 0.0,
            short_cpus: 0.003,
            service_ms: 0.3,
            workers: 4.0,
            variability: 1.0,
            wander: Wander::new(0.3, 20.0),
            quota_cpus: None,
            handoffs_per_s: 0.0,
            steady: false,
            backlog_s: 0.0,
        }
    }
}
