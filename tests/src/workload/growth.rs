//! Memory that grows along a known course, until the kernel ends it or the time is over.
//!
//! What is held is brought to what is due every 50 ms; whatever was taken last is given back first.

use std::{hint, thread, time::Duration};

use anyhow::Result;
use clap::{Args, ValueEnum};
use rand_distr::{Distribution as _, StandardNormal};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};
use serde_json::json;

use super::{Deadline, memory::touched, ready, report};

const MB: f64 = 1e6;
const STEP: Duration = Duration::from_millis(50);
/// Memory is taken and given back in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;
/// Share of an accelerating course that comes from its square.
const SQUARE: f64 = 0.7;
/// Spread of the logarithm of the pace of a noisy course, and how much of it one second leaves to the next.
const SPREAD: f64 = 0.8;
const MEMORY: f64 = 0.5;

/// The course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Course {
    /// Evenly.
    Linear,
    /// Unevenly: the pace of each second is log-normal and depends on that of the second before.
    Noisy,
    /// A sawtooth whose floor rises.
    Sawtooth,
    /// Faster and faster.
    Accelerating,
    /// A sawtooth that gives back all it takes: no leak.
    Wave,
}

/// Memory along a course.
#[derive(Debug, Args)]
pub struct Growth {
    /// The course.
    #[arg(long, value_enum)]
    course: Course,
    /// What the course comes to after `--life-seconds`, without its waves.
    #[arg(long)]
    mb: f64,
    /// When.
    #[arg(long)]
    life_seconds: f64,
    /// Height of a wave.
    #[arg(long, default_value_t = 20.0)]
    wave_mb: f64,
    /// Length of a wave.
    #[arg(long, default_value_t = 8.0)]
    wave_seconds: f64,
    /// Seed of the noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End after this time.
    #[arg(long)]
    seconds: f64,
}

impl Growth {
    pub(super) fn run(self) -> Result<()> {
        let end = Deadline::after_seconds(self.seconds);
        let paces = self.paces();
        ready();
        let mut held: Vec<Vec<u8>> = Vec::new();
        while !end.is_over() {
            let due = self.due_mb(end.passed().as_secs_f64(), &paces) * MB;
            let pieces = (due / PIECE_BYTES as f64) as usize;
            held.truncate(pieces);
            while held.len() < pieces {
                held.push(touched(PIECE_BYTES));
            }
            thread::sleep(STEP.min(end.left()));
        }
        report(json!({ "bytes": hint::black_box(&held).len() * PIECE_BYTES }));
        Ok(())
    }

    /// What is to be held at this time, MB.
    fn due_mb(&self, at_s: f64, paces: &[f64]) -> f64 {
        let share = at_s / self.life_seconds;
        let wave = self.wave_mb * (at_s / self.wave_seconds).fract();
        match self.course {
            Course::Linear => self.mb * share,
            Course::Noisy => {
                let whole = (at_s as usize).min(paces.len());
                let part = paces.get(whole).map_or(0.0, |pace| pace * at_s.fract());
                let done: f64 = paces.iter().take(whole).sum();
                self.mb / self.life_seconds * (done + part)
            }
            Course::Sawtooth => self.mb * share + wave,
            Course::Accelerating => self.mb * ((1.0 - SQUARE) * share + SQUARE * share * share),
            Course::Wave => wave,
        }
    }

    /// The pace of each second, 1 on average.
    fn paces(&self) -> Vec<f64> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut state = 0.0;
        (0..self.seconds as usize)
            .map(|_| {
                let innovation: f64 = StandardNormal.sample(&mut random);
                state = MEMORY * state + (1.0 - MEMORY * MEMORY).sqrt() * innovation;
                (SPREAD * state - SPREAD * SPREAD / 2.0).exp()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(course: Course) -> Growth {
        Growth {
            course,
            mb: 100.0,
            life_seconds: 1000.0,
            wave_mb: 20.0,
            wave_seconds: 8.0,
            seed: 3,
            seconds: 1000.0,
        }
    }

    #[test]
    fn every_leak_comes_to_what_was_asked_at_the_end_of_its_life_and_a_wave_to_nothing() {
        for course in [Course::Linear, Course::Noisy, Course::Sawtooth, Course::Accelerating] {
            let growth = growth(course);
            let due = growth.due_mb(1000.0, &growth.paces());
            let off = if course == Course::Noisy { 15.0 } else { 1.0 };
            assert!((due - 100.0).abs() < off, "{course:?}: {due}");
        }
        assert!(growth(Course::Wave).due_mb(1000.0, &[]) < 1.0);
    }

    #[test]
    fn an_accelerating_course_is_behind_at_half_of_its_life() {
        assert!(growth(Course::Accelerating).due_mb(500.0, &[]) < 35.0);
    }
}
