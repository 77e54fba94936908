//! What became of every step, and the summary at the end. Comes in: steps; goes out: text and the exit code.
//! Never stops at a failed step: the ones after it still have something to say.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::process;

/// Tests (or checks, each counting as one) by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Ended well.
    pub(crate) passed: u32,
    /// Ended badly, or did not end.
    pub(crate) failed: u32,
    /// Not run, for a stated reason.
    pub(crate) skipped: u32,
}

impl Tally {
    /// One check that ended well.
    pub(crate) const PASSED: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One check that ended badly.
    pub(crate) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    /// One check that was not run.
    pub(crate) const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// Adds another tally.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The line this workspace's callers read: alone at the end of the output.
impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// A step's work: its tally, and what is worth a line in the summary.
type Work<'a> = Box<dyn FnOnce() -> Result<(Tally, String)> + Send + 'a>;

/// A step that may run beside others.
pub(crate) struct Job<'a> {
    name: String,
    work: Work<'a>,
}

impl<'a> Job<'a> {
    /// A step of this name.
    pub(crate) fn new(name: impl Into<String>, work: impl FnOnce() -> Result<(Tally, String)> + Send + 'a) -> Self {
        Self {
            name: name.into(),
            work: Box::new(work),
        }
    }
}

/// One finished step.
struct Step {
    name: String,
    tally: Tally,
    took: Duration,
    note: String,
}

impl Step {
    /// Does it.
    fn of(name: &str, work: impl FnOnce() -> Result<(Tally, String)>) -> Self {
        println!("\n== {name}");
        let start = process::now();
        let (tally, note) = work().unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            (Tally::FAILED, process::tail(&format!("{error:#}"), 1))
        });
        Self {
            name: name.to_owned(),
            tally,
            took: start.elapsed(),
            note,
        }
    }
}

/// Every step so far.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs one step: says its name, measures it, keeps its tally. An error counts as one failure, with its text as the note.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<(Tally, String)>) {
        self.steps.push(Step::of(name, work));
    }

    /// Runs steps side by side, so many at once, and keeps them in their order. Their output is mixed by lines.
    pub(crate) fn side_by_side(&mut self, lanes: usize, jobs: Vec<Job<'_>>) {
        let todo: Mutex<VecDeque<_>> = Mutex::new(jobs.into_iter().enumerate().collect());
        let done = Mutex::new(Vec::new());
        let next = || todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| {
                    while let Some((place, job)) = next() {
                        let step = Step::of(&job.name, job.work);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((place, step));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(place, _)| *place);
        self.steps.extend(done.into_iter().map(|(_, step)| step));
    }

    /// One step that either works or does not.
    pub(crate) fn check(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        self.step(name, || work().map(|()| (Tally::PASSED, String::new())));
    }

    /// One step that is not run.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.step(name, || {
            println!("skipped: {reason}");
            Ok((Tally::SKIPPED, format!("skipped: {reason}")))
        });
    }

    /// Prints the summary; the code is 1 if anything failed, or nothing ran.
    pub(crate) fn end(&self) -> ExitCode {
        let (text, sum) = self.summary();
        print!("{text}");
        ExitCode::from(u8::from(sum.failed > 0 || sum.passed == 0))
    }

    fn summary(&self) -> (String, Tally) {
        let mut sum = Tally::default();
        let mut text = String::from("\n== summary\n");
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for step in &self.steps {
            sum.add(step.tally);
            let word = match step.tally {
                Tally { failed: 1.., .. } => "FAIL",
                Tally { passed: 0, .. } => "skip",
                _ => "ok",
            };
            let note = if step.note.is_empty() {
                String::new()
            } else {
                format!("  {}", step.note)
            };
            let _ = writeln!(
                text,
                "{word:<4} {:<width$} {:>7.1} s  {}{note}",
                step.name,
                step.took.as_secs_f64(),
                step.tally
            );
        }
        let _ = writeln!(text, "{sum}");
        (text, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_sum_alone() {
        let mut report = Report::default();
        report.check("first", || Ok(()));
        report.step("second", || {
            Ok((
                Tally {
                    passed: 7,
                    failed: 2,
                    skipped: 0,
                },
                "two boots".into(),
            ))
        });
        report.check("third", || anyhow::bail!("broken"));
        let (text, _) = report.summary();
        assert_eq!(text.lines().last(), Some("8 passed, 3 failed"));
        assert!(text.contains("FAIL third") && text.ends_with('\n'), "{text}");
    }

    #[test]
    fn steps_side_by_side_all_run_two_at_once_and_stay_in_their_order() {
        let mut report = Report::default();
        let meet = std::sync::Barrier::new(2);
        let job = |name: &str, passed| {
            let meet = &meet;
            Job::new(name, move || {
                // Nobody passes alone.
                meet.wait();
                anyhow::ensure!(passed > 0, "broken");
                Ok((
                    Tally {
                        passed,
                        ..Tally::default()
                    },
                    String::new(),
                ))
            })
        };
        report.side_by_side(2, vec![job("a", 1), job("b", 2), job("c", 0), job("d", 4)]);
        let names: Vec<&str> = report.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert!(report.summary().0.ends_with("7 passed, 1 failed\n"));
    }

    #[test]
    fn skipped_steps_are_named_in_the_sum_and_do_not_fail_it() {
        let mut report = Report::default();
        report.check("first", || Ok(()));
        report.skip("second", "not asked for");
        let (text, sum) = report.summary();
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed, 1 skipped"));
        assert_eq!(sum.failed, 0);
    }
}
