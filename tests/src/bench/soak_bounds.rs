//! What has to hold of a soak, from what was found alone: nothing here looks at a machine.
//!
//! Counts have to be exact, or a loss that the agent counted itself has to explain what is missing; more than there was is
//! never right. What a process takes is compared between the readings after its warm-up, early ones with late ones.

use std::collections::BTreeMap;

use sentinel_common::loss::{
    LOSS_NAMES, NO_CGROUP_ID, NO_FREE_SLOT, NO_SOCKET, NO_SOCKET_CALLBACKS, NO_SOCKET_STORAGE, SLOT_NOT_STORED,
    SWITCH_UNSEEN,
};
use serde::Serialize;

use super::{soak_churn::Made, soak_ledger::Connections, soak_reading::Reading};
use crate::trial::report::Bound;

/// How much more the process may have resident late than early, KiB: what an allocator moves anyway.
const MOST_GROWTH_KIB: u64 = 1024;
/// And for each cgroup more than there ever were at a time: what is kept for one is kept for the next.
const MOST_EACH_KIB: u64 = 12;
/// Readings after the warm-up from which on growth can be told, and the shortest warm-up, seconds: windows of the judge fill.
const FEWEST: usize = 8;
const LEAST_WARM_UP_S: f64 = 60.0;
/// Losses by which a cgroup has no slot; what would have been counted for it was counted for `other`.
const WITHOUT_SLOT: [usize; 3] = [NO_FREE_SLOT, SLOT_NOT_STORED, NO_CGROUP_ID];
/// Losses by which a cgroup can be missing: also one whose only process was never seen to come to a CPU.
const UNMET: [usize; 4] = [NO_FREE_SLOT, SLOT_NOT_STORED, NO_CGROUP_ID, SWITCH_UNSEEN];
/// Losses by which a connection can be missing everywhere.
const WITHOUT_SOCKET: [usize; 3] = [NO_SOCKET_STORAGE, NO_SOCKET_CALLBACKS, NO_SOCKET];

/// One figure of a reading.
type Of = fn(&Reading) -> u64;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Asked {
    /// cgroups.
    pub cgroups: u64,
    /// Connections.
    pub connections: u64,
    /// Slots that the agent was given.
    pub slots: u32,
    /// Readings before this are the warm-up, seconds.
    pub warm_up_s: f64,
}

/// What happened.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Course {
    /// Readings, in order.
    pub readings: Vec<Reading>,
    /// What was asked for.
    pub asked: Asked,
    /// cgroups that were made, entered and destroyed; those of server and clients are among them.
    pub cgroups: u64,
    /// Of them those in which a task left a CPU or came to one, and so must be known.
    pub entered: u64,
    /// Of these the ones that the agent gave a slot.
    pub seen: u64,
    /// Of those without a slot the ones in which only a process was that was born there: no client connected from them.
    pub unseen_born: u64,
    /// The ones that it had a name for.
    pub named: u64,
    /// Connections that were made.
    pub made: Made,
    /// Connections that the agent counted for these cgroups.
    pub counted: Connections,
    /// Connections that it counted for nobody.
    pub other: Connections,
    /// Losses by kind.
    pub losses: BTreeMap<String, u64>,
    /// Slots that cgroups still had long after they were gone.
    pub slots_left: u64,
    /// Slots that could be handed out at the end.
    pub slots_usable: u64,
}

/// What had to hold, and what else there is to say.
#[must_use]
pub fn bounds(course: &Course) -> (Vec<Bound>, Vec<String>) {
    let mut findings = vec![
        format!("losses: {}", in_words(&course.losses)),
        format!(
            "{} of {} cgroups had a name before they were gone",
            course.named, course.entered
        ),
    ];
    if course.seen < course.entered {
        findings.push(format!(
            "of {} cgroups that had no slot {} had only a process that was born and ended in them",
            course.entered - course.seen,
            course.unseen_born
        ));
    }
    if course.made.overflows > 0 {
        findings.push(format!(
            "the host let {} connections fall because the queue of a server was full: they were not accepted",
            course.made.overflows
        ));
    }
    let mut bounds = work(course);
    match taken(course) {
        Some(more) => bounds.extend(more),
        None => findings.push(format!(
            "too short to tell whether it grows: that takes {FEWEST} readings after a warm-up of {LEAST_WARM_UP_S} s"
        )),
    }
    bounds.extend(slots(course));
    bounds.extend(counts(course));
    (bounds, findings)
}

/// What was asked for was done: a soak in which nothing happened shows nothing.
fn work(course: &Course) -> Vec<Bound> {
    let asked = course.asked;
    vec![
        Bound::new(
            format!("at least {} cgroups made, entered and destroyed", asked.cgroups),
            course.cgroups.to_string(),
            course.cgroups >= asked.cgroups,
        ),
        Bound::new(
            format!("{} connections attempted", asked.connections),
            course.made.connections.attempts.to_string(),
            course.made.connections.attempts == asked.connections,
        ),
    ]
}

/// What the agent takes does not grow: in the last quarter of the readings after the warm-up against the first. `None` where
/// there are too few to say.
fn taken(course: &Course) -> Option<Vec<Bound>> {
    let warm = course
        .readings
        .iter()
        .filter(|reading| reading.at_s >= course.asked.warm_up_s);
    let warm: Vec<&Reading> = warm.collect();
    if warm.len() < FEWEST || course.asked.warm_up_s < LEAST_WARM_UP_S {
        return None;
    }
    let (early, late) = (&warm[..warm.len() / 4], &warm[warm.len() - warm.len() / 4..]);
    let (was, is) = (
        median(early, |one| one.resident_kib),
        median(late, |one| one.resident_kib),
    );
    // Each is monotone, so that both medians are of the same moment.
    let more = median(late, |one| one.most_slots).saturating_sub(median(early, |one| one.most_slots));
    let mut bounds = vec![Bound::new(
        format!(
            "at most {MOST_GROWTH_KIB} KiB more resident late than early, and {MOST_EACH_KIB} for each cgroup of a new peak"
        ),
        format!("{was} KiB, then {is} KiB, {more} cgroups more"),
        is <= was + MOST_GROWTH_KIB + more * MOST_EACH_KIB,
    )];
    let flat: [(&str, Of); 3] = [
        ("bytes of maps and programs", |one| one.kernel_bytes),
        ("descriptors", |one| one.descriptors),
        ("threads", |one| one.threads),
    ];
    for (what, of) in flat {
        let (was, is) = (median(early, of), median(late, of));
        bounds.push(Bound::new(
            format!("no more {what} late than early"),
            format!("{was}, then {is}"),
            is <= was,
        ));
    }
    Some(bounds)
}

/// No slot stays with a cgroup that is gone, and none is lost on the way.
fn slots(course: &Course) -> Vec<Bound> {
    vec![
        Bound::new(
            "no slot left with a cgroup that is gone",
            course.slots_left.to_string(),
            course.slots_left == 0,
        ),
        Bound::new(
            format!("all of {} slots can be handed out at the end", course.asked.slots),
            course.slots_usable.to_string(),
            course.slots_usable == u64::from(course.asked.slots),
        ),
    ]
}

/// Nothing is missing that no loss explains.
fn counts(course: &Course) -> Vec<Bound> {
    let losses = |kinds: &[usize]| -> u64 {
        let counts = kinds.iter().filter_map(|kind| course.losses.get(LOSS_NAMES[*kind]));
        counts.sum()
    };
    let (slots, sockets) = (losses(&WITHOUT_SLOT), losses(&WITHOUT_SOCKET));
    let exact = |what: &str, made: u64, counted: u64, explained: u64| {
        Bound::new(
            format!("{what}: all counted, or missing by a loss"),
            format!("{counted} of {made}, losses explain up to {explained}"),
            counted <= made && made - counted <= explained,
        )
    };
    let (made, counted, other) = (course.made.connections, course.counted, course.other);
    // Who has no slot is counted for `other`, as often as that loss says at the most.
    let missing = |other: u64| slots.min(other) + sockets;
    vec![
        exact("cgroups with a slot", course.entered, course.seen, losses(&UNMET)),
        exact(
            "connection attempts",
            made.attempts,
            counted.attempts,
            missing(other.attempts),
        ),
        exact(
            "attempts refused",
            made.failures,
            counted.failures,
            missing(other.failures),
        ),
        exact(
            "connections established",
            made.connects,
            counted.connects,
            missing(other.connects),
        ),
        exact(
            "connections accepted",
            made.accepts,
            counted.accepts,
            missing(other.accepts) + course.made.overflows,
        ),
    ]
}

fn median(readings: &[&Reading], of: Of) -> u64 {
    let mut values: Vec<u64> = readings.iter().map(|reading| of(reading)).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn in_words(losses: &BTreeMap<String, u64>) -> String {
    let each = losses.iter().filter(|(_, count)| **count > 0);
    let words: Vec<String> = each.map(|(kind, count)| format!("{kind} {count}")).collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
#[path = "soak_bounds_tests.rs"]
mod tests;
