//! Incidents: one name for all that is said of one signal of one scope from its first alarm to the all-clear.
//!
//! An alarm soon after an all-clear is the same incident again: it flaps. One that begins while a likely cause of it is
//! open follows from that one: a cascade. Decides no level; only asks the ladder for more patience when it flaps.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    sense::sample::{Scope, ScopeKind},
    time::Now,
};

use super::{
    context::Context,
    evidence::SECOND_NS,
    verdict::{self, Cause, IncidentState, Level, Signal},
};

/// An alarm within this time after the all-clear is the same incident, nanoseconds.
const REOPEN_NS: u64 = 60 * SECOND_NS;
/// Returns from which on an incident is said to flap.
const FLAPS: u32 = 2;
/// The calm that an all-clear needs doubles with each return, up to this many times.
const MOST_DOUBLINGS: u32 = 4;
/// An incident may still be the cause of another this long after it ended, nanoseconds.
const AFTERMATH_NS: u64 = 10 * SECOND_NS;
/// Incidents remembered as possible causes.
const REMEMBERED: usize = 256;

#[derive(Clone, Debug)]
struct Open {
    id: Arc<str>,
    began: Now,
    ended: Option<Now>,
    peak_level: Level,
    peak: Option<(f64, Now)>,
    changes: u32,
    returns: u32,
    follows: Option<Arc<str>>,
}

/// The incident of one signal of one scope, open or lately ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Incident(Option<Box<Open>>);

/// What has just been said, as far as an incident depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) now: Now,
    pub(super) scope: &'a Arc<Scope>,
    pub(super) signal: Signal,
    pub(super) level: Level,
    pub(super) previous: Level,
    pub(super) cause: Cause,
    pub(super) value: Option<f64>,
}

impl Incident {
    /// Takes note of a value while the incident is open.
    pub(super) fn measure(&mut self, now: Now, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return;
        };
        if let Some(open) = self.0.as_mut().filter(|open| open.ended.is_none())
            && open.peak.is_none_or(|(peak, _)| value > peak)
        {
            open.peak = Some((value, now));
        }
    }

    /// How many times longer than usual calm has to last.
    #[must_use]
    pub(super) fn patience(&self) -> u64 {
        self.0.as_ref().map_or(1, |open| 1 << open.returns.min(MOST_DOUBLINGS))
    }

    /// The incident that a verdict belongs to. `id` names a new one.
    pub(super) fn belongs(
        &mut self,
        moment: &Moment<'_>,
        context: &mut Context,
        id: impl FnOnce() -> String,
    ) -> Option<verdict::Incident> {
        let state = self.turn(moment, id)?;
        self.measure(moment.now, moment.value);
        let open = self.0.as_mut()?;
        if open.follows.is_none() && state != IncidentState::Ended {
            open.follows = context.incidents.before(moment, &open.id, &open.began, context);
        }
        context.incidents.note(moment, open);
        Some(open.published(state, moment.now))
    }

    fn turn(&mut self, moment: &Moment<'_>, id: impl FnOnce() -> String) -> Option<IncidentState> {
        let alarmed = moment.level >= Level::Watch;
        let changed = u32::from(moment.level != moment.previous);
        match &mut self.0 {
            Some(open) if open.ended.is_none() => {
                open.changes += changed;
                open.peak_level = open.peak_level.max(moment.level);
                if moment.level != Level::Nominal {
                    return Some(IncidentState::Ongoing);
                }
                open.ended = Some(moment.now);
                Some(IncidentState::Ended)
            }
            Some(open) if alarmed && open.ended_within(moment.now, REOPEN_NS) => {
                open.ended = None;
                open.changes += changed;
                open.returns += 1;
                open.peak_level = open.peak_level.max(moment.level);
                Some(IncidentState::Ongoing)
            }
            _ if alarmed => {
                self.0 = Some(Box::new(Open {
                    id: id().into(),
                    began: moment.now,
                    ended: None,
                    peak_level: moment.level,
                    peak: None,
                    changes: 1,
                    returns: 0,
                    follows: None,
                }));
                Some(IncidentState::Began)
            }
            _ => None,
        }
    }
}

impl Open {
    fn ended_within(&self, now: Now, ns: u64) -> bool {
        self.ended
            .is_some_and(|ended| now.monotonic_ns.saturating_sub(ended.monotonic_ns) <= ns)
    }

    fn published(&self, state: IncidentState, now: Now) -> verdict::Incident {
        let until = self.ended.unwrap_or(now).monotonic_ns;
        verdict::Incident {
            id: self.id.to_string(),
            state,
            began: self.began.rfc3339(),
            ended: self.ended.map(|ended| ended.rfc3339()),
            seconds: until.saturating_sub(self.began.monotonic_ns) as f64 / 1e9,
            peak_level: self.peak_level,
            peak: self.peak.map(|(peak, _)| peak),
            peak_time: self.peak.map(|(_, at)| at.rfc3339()),
            changes: self.changes,
            flapping: self.returns >= FLAPS,
            follows: self.follows.as_deref().map(str::to_owned),
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    id: Arc<str>,
    scope: Arc<Scope>,
    signal: Signal,
    cause: Cause,
    began_ns: u64,
    ended_ns: Option<u64>,
}

/// Incidents of the whole host that another one may follow from.
#[derive(Clone, Debug, Default)]
pub(super) struct Register(VecDeque<Entry>);

impl Register {
    fn note(&mut self, moment: &Moment<'_>, open: &Open) {
        let ended_ns = open.ended.map(|ended| ended.monotonic_ns);
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.id == open.id) {
            entry.ended_ns = ended_ns;
            if moment.cause != Cause::None {
                entry.cause = moment.cause;
            }
            return;
        }
        if self.0.len() == REMEMBERED {
            let oldest = self.0.iter().position(|entry| entry.ended_ns.is_some()).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push_back(Entry {
            id: Arc::clone(&open.id),
            scope: Arc::clone(moment.scope),
            signal: moment.signal,
            cause: moment.cause,
            began_ns: open.began.monotonic_ns,
            ended_ns,
        });
    }

    /// The incident that this one follows from: another signal of the same scope that was first; for a starved scope the
    /// one that crowds the CPUs; for the host the scope that has most to do with it.
    fn before(&self, moment: &Moment<'_>, own: &str, began: &Now, context: &Context) -> Option<Arc<str>> {
        let behind = match (moment.scope.kind, moment.signal) {
            (ScopeKind::Host, Signal::Jitter) => context.waiting.scope.as_ref(),
            (ScopeKind::Host, Signal::Fever) => context.growing.scope.as_ref(),
            _ => None,
        };
        let explains = |entry: &&Entry| {
            let first =
                entry.began_ns < began.monotonic_ns && entry.scope == *moment.scope && entry.signal != moment.signal;
            let crowds = moment.cause == Cause::Starved
                && entry.signal == Signal::Jitter
                && entry.cause == Cause::Thrash
                && entry.scope.kind == ScopeKind::Cgroup
                && entry.scope != *moment.scope;
            let part = behind.is_some_and(|(scope, _)| *scope == entry.scope) && entry.signal == moment.signal;
            first || crowds || part
        };
        self.0
            .iter()
            .filter(|entry| *entry.id != *own && entry.is_recent(moment.now.monotonic_ns))
            .find(explains)
            .map(|entry| Arc::clone(&entry.id))
    }
}

impl Entry {
    fn is_recent(&self, now_ns: u64) -> bool {
        self.ended_ns
            .is_none_or(|ended_ns| now_ns.saturating_sub(ended_ns) <= AFTERMATH_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sense::sample::Origin;

    struct Scene {
        context: Context,
        scope: Arc<Scope>,
        incident: Incident,
        level: Level,
        ids: u32,
    }

    fn scope(path: &str) -> Arc<Scope> {
        Arc::new(Scope {
            kind: ScopeKind::Cgroup,
            path: path.to_owned(),
            ..Scope::default()
        })
    }

    impl Scene {
        fn new() -> Self {
            Self {
                context: Context::new(&Origin::default(), 1.0),
                scope: scope("/shop"),
                incident: Incident::default(),
                level: Level::Nominal,
                ids: 0,
            }
        }

        fn say(&mut self, second: u64, level: Level, cause: Cause, value: f64) -> Option<verdict::Incident> {
            let now = Now {
                unix_ms: second as i64 * 1000,
                monotonic_ns: second * SECOND_NS,
            };
            let moment = Moment {
                now,
                scope: &self.scope,
                signal: Signal::Jitter,
                level,
                previous: self.level,
                cause,
                value: Some(value),
            };
            self.level = level;
            self.ids += 1;
            let id = format!("{}-{}", self.scope.path, self.ids);
            self.incident.belongs(&moment, &mut self.context, || id)
        }
    }

    #[test]
    fn it_has_a_beginning_a_peak_and_an_end() {
        let mut scene = Scene::new();
        assert_eq!(scene.say(1, Level::Nominal, Cause::None, 1.0), None);
        let began = scene.say(2, Level::Watch, Cause::Thrash, 3.0).unwrap();
        assert_eq!((began.state, began.ended.as_deref()), (IncidentState::Began, None));
        assert_eq!(began.began, "1970-01-01T00:00:02.000Z");
        let peak = Now {
            unix_ms: 3000,
            monotonic_ns: 3 * SECOND_NS,
        };
        scene.incident.measure(peak, Some(9.0));
        scene.incident.measure(peak, Some(f64::NAN));
        let worse = scene.say(4, Level::Veto, Cause::Thrash, 5.0).unwrap();
        assert_eq!((worse.state, worse.peak), (IncidentState::Ongoing, Some(9.0)));
        assert_eq!(worse.peak_time.as_deref(), Some("1970-01-01T00:00:03.000Z"));
        let ended = scene.say(9, Level::Nominal, Cause::None, 1.0).unwrap();
        assert_eq!(
            (ended.state, ended.peak_level, ended.changes),
            (IncidentState::Ended, Level::Veto, 3)
        );
        assert!((ended.seconds - 7.0).abs() < 1e-9);
        assert_eq!(began.id, ended.id);
        assert_eq!(scene.say(10, Level::Nominal, Cause::None, 1.0), None);
    }

    #[test]
    fn missing_data_does_not_end_it() {
        let mut scene = Scene::new();
        scene.say(1, Level::Veto, Cause::Thrash, 1.0);
        let unknown = scene.say(5, Level::Unknown, Cause::None, 1.0).unwrap();
        assert_eq!(unknown.state, IncidentState::Ongoing);
    }

    #[test]
    fn what_comes_back_soon_is_the_same_and_flaps_and_needs_longer_calm() {
        let mut scene = Scene::new();
        let first = scene.say(0, Level::Watch, Cause::Thrash, 1.0).unwrap();
        for round in 1..=3 {
            scene.say(20 * round, Level::Nominal, Cause::None, 1.0);
            let again = scene.say(20 * round + 5, Level::Watch, Cause::Thrash, 1.0).unwrap();
            assert_eq!(again.id, first.id);
            assert_eq!(again.flapping, round >= 2);
        }
        assert_eq!(scene.incident.patience(), 8);
        scene.say(100, Level::Nominal, Cause::None, 1.0);
        let later = scene.say(161, Level::Watch, Cause::Thrash, 1.0).unwrap();
        assert_ne!(later.id, first.id);
        assert_eq!(scene.incident.patience(), 1);
    }

    #[test]
    fn a_starved_scope_follows_the_one_that_crowds_it() {
        let mut scene = Scene::new();
        let culprit = scene.say(1, Level::Veto, Cause::Thrash, 1.0).unwrap();
        scene.scope = scope("/victim");
        scene.incident = Incident::default();
        scene.level = Level::Nominal;
        let victim = scene.say(2, Level::Watch, Cause::Starved, 1.0).unwrap();
        assert_eq!(victim.follows, Some(culprit.id));
        scene.scope = scope("/other");
        scene.incident = Incident::default();
        scene.level = Level::Nominal;
        let unrelated = scene.say(3, Level::Watch, Cause::Throttled, 1.0).unwrap();
        assert_eq!(unrelated.follows, None);
    }
}
