//! What is learned of each scope, as plain data that can be written down and given to a judge of a later run.
//!
//! Only what is slow to learn and looks only back: usual levels, ranks, hours of the week, slow means, capacity. Never a level, an alarm, a
//! lease, an incident or a window: those begin anew, so that no run carries an alarm of another one on or hides it. No clock, no I/O.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use crate::{
    sense::sample::{Scope, ScopeKind},
    time::Now,
};

/// What is older says nothing any more, seconds: a week, the longest rhythm there is.
const LONGEST_S: f64 = 7.0 * 86_400.0;
/// After another start of the host services come one by one: so long each is still looked up, nanoseconds.
const AWAITED_NS: u64 = 3_600_000_000_000;

/// How high a series usually is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// Mean, in the unit of the series.
    pub mean: f32,
    /// Variance, that unit squared.
    pub variance: f32,
    /// Readings it rests on.
    pub readings: u64,
    /// Real time they cover, seconds.
    pub seconds: f32,
}

/// What a series is used to at each hour of the week.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hours {
    /// Hour of the week, its last peak, and the one a week before; negative when not known. Hours of which nothing is known are not listed.
    pub peaks: Vec<(u16, f32, f32)>,
    /// The hour that is not over: hours since the epoch, peak, seconds measured, seconds of them anomalous.
    pub open: (u64, f32, f32, f32),
}

/// A slow mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// The mean.
    pub mean: f32,
    /// Real time it rests on, seconds.
    pub seconds: f32,
}

/// The limit of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Answers per second at the limit.
    pub per_s: f32,
    /// The highest ordinary rate of answers.
    pub peak_per_s: f32,
    /// Since it was last seen there, seconds.
    pub age_s: f32,
}

/// What is known of one series; each part only where something is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<Usual>,
    /// Weight of each bucket of its rank, one for each reading; what is missing at the end is zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rank: Vec<f32>,
    /// Its rhythm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// How long it has been followed, seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lived_s: f32,
    /// A slow mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Slow>,
    /// A limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

/// What is known of one scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeLearned {
    /// `host`, `cgroup` or `other`.
    pub kind: ScopeKind,
    /// Its path.
    pub path: String,
    /// Its cgroup, which means something only until the host is started anew.
    pub cgroup_id: u64,
    /// By name: `jitter.dispersion`.
    pub series: BTreeMap<Cow<'static, str>, Series>,
}

impl ScopeLearned {
    /// How long the scope has been followed, seconds.
    #[must_use]
    pub fn lived_s(&self) -> f32 {
        let lived = |series: &Series| series.lived_s.max(series.usual.map_or(0.0, |usual| usual.seconds));
        self.series.values().map(lived).fold(0.0, f32::max)
    }
}

/// With three digits, which is more than weights and peaks are compared by, and short to write.
pub(super) fn short(value: f64) -> f32 {
    if value == 0.0 || !value.is_finite() {
        return value as f32;
    }
    let scale = 10_f64.powf(2.0 - value.abs().log10().floor());
    ((value * scale).round() / scale) as f32
}

/// A statistic that is kept.
pub(super) trait Keeps {
    /// What is known; `None` where that is nothing yet.
    fn learned(&self) -> Option<Series>;

    /// Takes back what was known `age_s` seconds ago, as far as it still holds. What makes no sense is left out. Only for one that has
    /// learned nothing yet.
    fn take_back(&mut self, series: &Series, age_s: f64);
}

/// Statistics by name.
pub(super) type Kept<'a> = Vec<(&'static str, &'a dyn Keeps)>;
/// The same, to be given what was known.
pub(super) type KeptMut<'a> = Vec<(&'static str, &'a mut dyn Keeps)>;

/// Writes down what is known of a scope; `None` where that is nothing.
pub(super) fn picture(scope: &Scope, kept: &Kept<'_>) -> Option<ScopeLearned> {
    let series: BTreeMap<_, _> = kept
        .iter()
        .filter_map(|(name, one)| Some((Cow::Borrowed(*name), one.learned()?)))
        .collect();
    // A path that is not known yet names nothing.
    (!series.is_empty() && !scope.path.starts_with('?')).then(|| ScopeLearned {
        kind: scope.kind,
        path: scope.path.clone(),
        cgroup_id: scope.cgroup_id,
        series,
    })
}

/// What an earlier run knew, until each scope is found again.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    scopes: BTreeMap<(ScopeKind, String), ScopeLearned>,
    saved: Now,
    same_boot: bool,
    first_ns: Option<u64>,
    recalled: usize,
}

impl Remembered {
    /// Of a run that wrote it down at `saved`. `same_boot`: the host has not been started anew since.
    #[must_use]
    pub fn new(scopes: Vec<ScopeLearned>, saved: Now, same_boot: bool) -> Self {
        let by_name = |learned: ScopeLearned| ((learned.kind, learned.path.clone()), learned);
        Self {
            scopes: scopes.into_iter().map(by_name).collect(),
            saved,
            same_boot,
            first_ns: None,
            recalled: 0,
        }
    }

    /// Seconds since it was written down; `None` when that is not known, because the clock was set back, or too long ago.
    #[must_use]
    pub fn age_s(&self, now: Now) -> Option<f64> {
        let wall_s = (now.unix_ms - self.saved.unix_ms) as f64 / 1e3;
        let age_s = if self.same_boot {
            let since_ns = now.monotonic_ns.checked_sub(self.saved.monotonic_ns)?;
            // That clock stands still while the host is suspended.
            wall_s.max(since_ns as f64 / 1e9)
        } else {
            wall_s
        };
        (0.0..=LONGEST_S).contains(&age_s).then_some(age_s)
    }

    /// Scopes that were found again.
    #[must_use]
    pub const fn recalled(&self) -> usize {
        self.recalled
    }

    /// Scopes that were not found again yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.scopes.len()
    }

    /// What was known of a scope, and how many seconds ago: the same kind and path, and the same cgroup unless the host has been started
    /// anew. Another cgroup under an old path is another life of the service, and begins from nothing.
    pub(super) fn recall(&mut self, scope: &Scope, now: Now) -> Option<(ScopeLearned, f64)> {
        if self.scopes.is_empty() {
            return None;
        }
        let age_s = self.age_s(now)?;
        let learned = self.scopes.remove(&(scope.kind, scope.path.clone()))?;
        if self.same_boot && learned.cgroup_id != scope.cgroup_id {
            return None;
        }
        self.recalled += 1;
        Some((learned, age_s))
    }

    /// After a reading: what can no longer be found is forgotten.
    pub(super) fn settle(&mut self, now: Now) {
        let first_ns = *self.first_ns.get_or_insert(now.monotonic_ns);
        let awaited = !self.same_boot && now.monotonic_ns.saturating_sub(first_ns) < AWAITED_NS;
        if !awaited && !self.scopes.is_empty() {
            self.scopes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{amplification::Amplification, fever::Fever, jitter::Jitter};

    fn at(unix_ms: i64, monotonic_s: u64) -> Now {
        Now {
            unix_ms,
            monotonic_ns: monotonic_s * 1_000_000_000,
        }
    }

    fn learned(path: &str, cgroup_id: u64) -> ScopeLearned {
        ScopeLearned {
            kind: ScopeKind::Cgroup,
            path: path.into(),
            cgroup_id,
            series: BTreeMap::new(),
        }
    }

    fn scope(path: &str, cgroup_id: u64) -> Scope {
        Scope {
            kind: ScopeKind::Cgroup,
            path: path.into(),
            cgroup_id,
            ..Scope::default()
        }
    }

    fn remembered(same_boot: bool) -> Remembered {
        let scopes = vec![learned("/a", 1), learned("/b", 2)];
        Remembered::new(scopes, at(1_000_000, 1000), same_boot)
    }

    #[test]
    fn within_a_boot_it_is_the_cgroup_that_counts_and_after_one_the_path() {
        let now = at(1_010_000, 1010);
        let mut same = remembered(true);
        assert_eq!(same.recall(&scope("/a", 1), now), Some((learned("/a", 1), 10.0)));
        assert_eq!(same.recall(&scope("/b", 9), now), None, "another life of it");
        assert_eq!(same.recall(&scope("/c", 3), now), None);
        assert_eq!(same.recalled(), 1);
        let (found, age_s) = remembered(false).recall(&scope("/b", 9), at(1_060_000, 5)).unwrap();
        assert_eq!((found.path.as_str(), age_s), ("/b", 60.0));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_the_age_unknown_and_nothing_is_taken_over() {
        assert_eq!(remembered(false).recall(&scope("/a", 1), at(999_999, 5)), None);
        assert_eq!(remembered(true).recall(&scope("/a", 1), at(1_010_000, 999)), None);
        // Within a boot there is another clock to go by.
        let set_back = remembered(true).recall(&scope("/a", 1), at(0, 1010));
        assert_eq!(set_back.map(|(_, age_s)| age_s), Some(10.0));
    }

    /// What is given to the statistic of a number, and comes back from the one of the same number.
    fn comes_back<T>(judge: &mut T, kept: fn(&T) -> Kept<'_>, kept_mut: fn(&mut T) -> KeptMut<'_>) {
        let series = |number: usize| {
            let mean = number as f32 + 1.0;
            Series {
                usual: Some(Usual {
                    mean,
                    variance: 1.0,
                    readings: 100,
                    seconds: 100.0,
                }),
                slow: Some(Slow { mean, seconds: 100.0 }),
                limit: Some(Limit {
                    per_s: mean,
                    peak_per_s: mean,
                    age_s: 0.0,
                }),
                ..Series::default()
            }
        };
        for (number, (_, one)) in kept_mut(judge).into_iter().enumerate() {
            one.take_back(&series(number), 0.0);
        }
        let names: Vec<_> = kept_mut(judge).iter().map(|(name, _)| *name).collect();
        for (number, (name, one)) in kept(judge).iter().enumerate() {
            assert_eq!(*name, names[number]);
            let back = one.learned().unwrap();
            let means = [
                back.usual.map(|it| it.mean),
                back.slow.map(|it| it.mean),
                back.limit.map(|it| it.per_s),
            ];
            assert_eq!(means.into_iter().flatten().next(), Some(number as f32 + 1.0), "{name}");
        }
    }

    #[test]
    fn a_short_number_has_three_digits_and_is_near() {
        let numbers = [0.0, 0.001_234_56, 1.0, 123.456, 999.9, 1_234_567.0, -5.678_9];
        let short = numbers.map(short);
        assert_eq!(short, [0.0, 0.001_23, 1.0, 123.0, 1000.0, 1_230_000.0, -5.68]);
    }

    #[test]
    fn every_statistic_gets_back_what_was_its_own() {
        comes_back(&mut Jitter::default(), Jitter::kept, Jitter::kept_mut);
        comes_back(&mut Fever::new(false, false), Fever::kept, Fever::kept_mut);
        comes_back(
            &mut Amplification::default(),
            Amplification::kept,
            Amplification::kept_mut,
        );
    }

    #[test]
    fn time_in_suspend_counts_and_a_week_is_too_long() {
        assert_eq!(remembered(true).age_s(at(1_600_000, 1001)), Some(600.0));
        let week_ms = 7 * 86_400_000;
        assert!(remembered(false).age_s(at(1_000_000 + week_ms, 5)).is_some());
        assert_eq!(remembered(false).age_s(at(1_000_001 + week_ms, 5)), None);
    }

    #[test]
    fn what_cannot_come_back_is_forgotten() {
        let (mut same, mut other) = (remembered(true), remembered(false));
        same.settle(at(1_001_000, 1001));
        other.settle(at(1_001_000, 1));
        assert_eq!((same.waiting(), other.waiting()), (0, 2));
        other.settle(at(1_001_000, 3602));
        assert_eq!(other.waiting(), 0);
    }
}
