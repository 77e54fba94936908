//! Whole leaks against the judge of fever: the courses of the trial `leak`, each until its memory is gone, scored as there.

use crate::{
    config::Config,
    judge::{
        context::Context,
        evidence::{Reading, SECOND_NS},
        fever::{Fever, Limits},
        statistics::chance::uniform,
        threshold::Ladder,
        verdict::{Forecast, Level},
    },
    sense::sample::{Mem, Origin, ScopeSample},
};

const PAGE_BYTES: f64 = 4096.0;
/// Time a cgroup exists before its leak begins, seconds, and what its processes hold beside their course, MB.
const PAST_S: f64 = 6.0;
const BASE_MB: f64 = 1.6;
/// Room above the course, MB.
const ROOM_MB: f64 = 4.0;
/// Memory is taken in pieces of this size, MB.
const PIECE_MB: f64 = 0.262_144;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Linear,
    Noisy,
    Sawtooth,
    Accelerating,
    /// Gives back all it takes: no leak.
    Wave,
}

/// Each with the share of its life for which its forecast is to be within a quarter of the truth, as the trial asks for it.
const KINDS: [(Kind, f64); 4] = [
    (Kind::Linear, 0.5),
    (Kind::Noisy, 0.2),
    (Kind::Sawtooth, 0.2),
    (Kind::Accelerating, 0.15),
];

/// Numbers that look random, one after the other.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        uniform(self.0)
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.uniform()
    }

    /// About normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// A leak as `growth` of the trials' workloads makes it.
struct Leak {
    kind: Kind,
    mb: f64,
    wave_mb: f64,
    life_s: f64,
    paces: Vec<f64>,
}

impl Leak {
    fn new(kind: Kind, life_s: f64, random: &mut Random) -> Self {
        let life_s = life_s * random.between(0.8, 1.2);
        let mut state = 0.0;
        let paces = (0..3 * life_s as usize)
            .map(|_| {
                state = 0.5 * state + 0.75_f64.sqrt() * random.normal();
                (0.8 * state - 0.32_f64).exp()
            })
            .collect();
        Self {
            kind,
            mb: random.between(60.0, 140.0) * (life_s / 150.0).max(1.0),
            wave_mb: 20.0,
            life_s,
            paces,
        }
    }

    fn limit_mb(&self) -> f64 {
        let wave_mb = if self.kind == Kind::Sawtooth { self.wave_mb } else { 0.0 };
        self.mb + wave_mb + ROOM_MB
    }

    fn due_mb(&self, at_s: f64) -> f64 {
        if at_s < 0.0 {
            return 0.0;
        }
        let share = at_s / self.life_s;
        let wave = self.wave_mb * (at_s / 8.0).fract();
        match self.kind {
            Kind::Linear => self.mb * share,
            Kind::Noisy => {
                let done: f64 = self.paces.iter().take(at_s as usize).sum();
                let part = self.paces.get(at_s as usize).map_or(0.0, |pace| pace * at_s.fract());
                self.mb / self.life_s * (done + part)
            }
            Kind::Sawtooth => self.mb * share + wave,
            Kind::Accelerating => self.mb * (0.3 * share + 0.7 * share * share),
            Kind::Wave => wave,
        }
    }

    fn held_mb(&self, at_s: f64) -> f64 {
        (self.due_mb(at_s) / PIECE_MB).floor() * PIECE_MB
    }

    /// When memory is gone.
    fn end_s(&self) -> f64 {
        let mut at_s = 0.0;
        while self.held_mb(at_s) + BASE_MB < self.limit_mb() {
            at_s += 0.05;
        }
        at_s
    }
}

/// What became of one leak.
#[derive(Debug)]
struct Run {
    /// Share of its life for which the forecast was within a quarter of the truth.
    close_share: f64,
    /// The interval stated with the first alarm held the truth.
    alarm_inside: bool,
    forecasts: usize,
}

/// Lets it run until `end_s`, with a reading each second. It is late by `late_s` on average: the host has other work too.
fn run(leak: &Leak, end_s: f64, late_s: f64, random: &mut Random) -> Run {
    let config = Config::default().fever;
    let origin = Origin {
        cpus: 2,
        page_bytes: PAGE_BYTES as u64,
        ..Origin::default()
    };
    let mut context = Context::new(&origin, 1.0);
    (context.total_mb, context.available_mb) = (Some(8000.0), Some(5000.0));
    let (mut fever, mut ladder) = (Fever::new(false, true), Ladder::new(true));
    let start_ns = 1000 * SECOND_NS;
    let mut at_s = -PAST_S + random.uniform();
    let (mut held, mut before_ns) = (0_i64, 0);
    let mut readings: Vec<(f64, Level, Option<Forecast>)> = Vec::new();
    while at_s < end_s {
        let behind_s = -late_s * random.between(1e-9, 1.0).ln();
        let mb = leak.held_mb(at_s - behind_s) + if at_s < 0.0 { 0.4 } else { 1.0 };
        let pages = (mb * 1e6 / PAGE_BYTES) as i64;
        let moved = pages - held;
        held = pages;
        let churn = random.between(0.0, 40.0) as u64;
        let mem = Mem {
            allocated_pages: churn + moved.max(0) as u64,
            freed_pages: churn + (-moved).max(0) as u64,
            rss_anon_pages: Some(moved),
            ..Mem::default()
        };
        // What the kernel charges ahead for each CPU.
        let charged_mb = random.between(0.0, 0.5);
        let scope = ScopeSample {
            memory_max_bytes: Some((leak.limit_mb() * 1e6) as u64),
            memory_current_bytes: Some(((mb + BASE_MB - 1.0 + charged_mb) * 1e6) as u64),
            memory_reclaimable_bytes: Some(100_000),
            ..ScopeSample::default()
        };
        let end_ns = start_ns.saturating_add_signed((at_s * 1e9) as i64);
        if before_ns > 0 {
            let reading = Reading {
                end_ns,
                elapsed_ns: end_ns - before_ns,
                unix_s: 1_700_000_000,
                readings: 1,
            };
            let finding = fever.observe(reading, &mem, Limits::of(&scope), &context, &config);
            let level = ladder.step(end_ns, reading.elapsed_ns, finding.wanted, &finding.hold);
            if at_s > 0.0 {
                readings.push((end_s - at_s, level, fever.forecast()));
            }
        }
        before_ns = end_ns;
        at_s += 1.0 + random.between(-0.005, 0.005);
    }
    score(&readings)
}

fn score(readings: &[(f64, Level, Option<Forecast>)]) -> Run {
    let given = || {
        let some = |(left_s, level, forecast): &(f64, Level, Option<Forecast>)| Some((*left_s, *level, (*forecast)?));
        readings.iter().filter_map(some)
    };
    let close = given().filter(|(left_s, _, forecast)| (forecast.exhaustion_s - left_s).abs() <= 0.25 * left_s);
    let alarm = given().find(|(_, level, _)| *level >= Level::Watch);
    Run {
        close_share: close.count() as f64 / readings.len() as f64,
        alarm_inside: alarm.is_some_and(|(left_s, _, forecast)| {
            forecast.earliest_s <= left_s && forecast.latest_s.is_none_or(|latest_s| left_s <= latest_s)
        }),
        forecasts: given().count(),
    }
}

fn runs(kind: Kind, life_s: f64, late_s: f64, count: u64) -> Vec<Run> {
    let one = |seed: u64| {
        let mut random = Random(seed << 32);
        let leak = Leak::new(kind, life_s, &mut random);
        let end_s = if kind == Kind::Wave { life_s } else { leak.end_s() };
        run(&leak, end_s, late_s, &mut random)
    };
    (0..count).map(one).collect()
}

/// Shares of life within a quarter of the truth, least first, and how many first alarms held it.
fn figures(runs: &[Run]) -> (Vec<f64>, usize) {
    let mut close: Vec<f64> = runs.iter().map(|run| run.close_share).collect();
    close.sort_by(f64::total_cmp);
    (close, runs.iter().filter(|run| run.alarm_inside).count())
}

#[test]
fn leaks_of_two_minutes_and_a_half_are_foreseen_as_the_trial_asks_for() {
    let (mut inside, mut all) = (0, 0);
    for (kind, least) in KINDS {
        let (close, alarms) = figures(&runs(kind, 150.0, 0.05, 24));
        let middle = close[close.len() / 2];
        assert!(middle >= least, "{kind:?}: {:.0} % of life", 100.0 * middle);
        (inside, all) = (inside + alarms, all + close.len());
    }
    assert!(
        10 * inside >= 9 * all,
        "the truth was inside {inside} of {all} intervals"
    );
    let waved = &runs(Kind::Wave, 600.0, 0.05, 1)[0];
    assert_eq!(waved.forecasts, 0, "a sawtooth without a leak");
}
