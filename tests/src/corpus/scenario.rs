//! A scenario: a host, a script that changes what its cgroups want, and what is true of it.

use sentinel::{judge::verdict::Phase, sense::sample::Sample};

use super::{
    cgroup::{Cgroup, bystanders},
    model::Model,
    noise::Noise,
    truth::{Allowance, Truth},
};

/// Called before each step of the model: the model, seconds from the beginning, seconds to come.
pub type Script = Box<dyn FnMut(&mut Model, f64, f64) + Send>;

/// One recording in the making.
pub struct Scenario {
    /// The host.
    pub model: Model,
    /// How long it runs, seconds.
    pub seconds: f64,
    /// Longest step of the model, seconds.
    pub step_s: f64,
    /// Its faults.
    pub truths: Vec<Truth>,
    /// What may be said beside.
    pub allowances: Vec<Allowance>,
    /// Phases that must never be named, by scope.
    pub never: Vec<(String, Phase)>,
    /// No forecast may be given in it.
    pub no_forecast: bool,
    /// It ends a few seconds after memory ran out.
    pub ends_at_exhaustion: bool,
    script: Script,
}

/// How long a scenario goes on after memory ran out, seconds.
const AFTERMATH_S: f64 = 5.0;

impl Scenario {
    /// A host with bystanders, on which nothing else happens yet. Two CPUs and 8 GB, now and then four times that.
    #[must_use]
    pub fn new(mut noise: Noise, seconds: f64) -> Self {
        let (cpus, memory_mb) = noise.pick(&[(2, 8_000.0), (2, 8_000.0), (2, 8_000.0), (8, 32_000.0)]);
        Self::on(cpus, memory_mb, noise, seconds)
    }

    /// The same with these CPUs and MB of memory.
    #[must_use]
    pub fn on(cpus: u32, memory_mb: f64, mut noise: Noise, seconds: f64) -> Self {
        let crowd = bystanders(&mut noise);
        let mut model = Model::new(cpus, memory_mb, noise);
        // One kernel in ten does not tell resident pages.
        model.rss_known = !model.noise.chance(0.1);
        for cgroup in crowd {
            model.add(cgroup);
        }
        Self {
            model,
            seconds,
            step_s: 0.1,
            truths: Vec::new(),
            allowances: Vec::new(),
            never: Vec::new(),
            no_forecast: false,
            ends_at_exhaustion: false,
            script: Box::new(|_, _, _| {}),
        }
    }

    /// With one more cgroup.
    #[must_use]
    pub fn with(mut self, cgroup: Cgroup) -> Self {
        self.model.add(cgroup);
        self
    }

    /// With a script.
    #[must_use]
    pub fn script(mut self, script: impl FnMut(&mut Model, f64, f64) + Send + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// Its script, to be part of another.
    pub fn take_script(&mut self) -> Script {
        std::mem::replace(&mut self.script, Box::new(|_, _, _| {}))
    }

    /// With a fault.
    #[must_use]
    pub fn truth(mut self, truth: Truth) -> Self {
        self.ends_at_exhaustion |= truth.exhausts.is_some();
        self.truths.push(truth);
        self
    }

    /// With something that may be said.
    #[must_use]
    pub fn allow(mut self, allowance: Allowance) -> Self {
        self.allowances.push(allowance);
        self
    }

    /// The next sample; `None` at the end.
    pub fn next_sample(&mut self) -> Option<&Sample> {
        let ended = match (&self.model.exhausted, self.ends_at_exhaustion) {
            (Some((at_s, _)), true) => self.model.seconds() >= at_s + AFTERMATH_S,
            _ => false,
        };
        if ended || self.model.seconds() >= self.seconds {
            return None;
        }
        Some(self.model.advance(self.step_s, &mut self.script))
    }
}
