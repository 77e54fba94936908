//! Each bound of a soak breaks when what it is about is broken, and by nothing else. Over invented readings.

use super::*;

/// A soak of which everything holds.
fn good() -> Course {
    let reading = |minute: u32| Reading {
        at_s: f64::from(minute) * 60.0,
        // Grows while it warms up, and moves a little afterwards.
        resident_kib: if minute < 10 {
            9_000 + u64::from(minute) * 100
        } else {
            12_000 + u64::from(minute % 3) * 50
        },
        kernel_bytes: 4_000_000,
        most_slots: 200,
        descriptors: 60 + u64::from(minute.is_multiple_of(7)),
        threads: 4,
        ..Reading::default()
    };
    let connections = Connections {
        attempts: 1000,
        failures: 200,
        connects: 800,
        accepts: 800,
    };
    Course {
        readings: (0..=60).map(reading).collect(),
        asked: Asked {
            cgroups: 100,
            connections: 1000,
            slots: 64,
            warm_up_s: 600.0,
        },
        cgroups: 104,
        entered: 102,
        seen: 102,
        unseen_born: 0,
        named: 80,
        made: Made {
            connections,
            overflows: 0,
        },
        counted: connections,
        other: Connections::default(),
        losses: BTreeMap::from([("rss_first_seen".to_owned(), 5000)]),
        slots_left: 0,
        slots_usable: 64,
    }
}

/// What is broken after this was done to a good soak.
fn broken(spoil: impl Fn(&mut Course)) -> Vec<String> {
    let mut course = good();
    spoil(&mut course);
    let (bounds, _) = bounds(&course);
    bounds
        .into_iter()
        .filter(|bound| !bound.held)
        .map(|bound| bound.what)
        .collect()
}

fn one(found: &[String], about: &str) {
    assert!(matches!(found, [only] if only.contains(about)), "{about}: {found:?}");
}

/// Every reading from a minute on.
fn from(course: &mut Course, minute: usize, change: impl Fn(&mut Reading, u64)) {
    for (since, reading) in course.readings[minute..].iter_mut().enumerate() {
        change(reading, since as u64);
    }
}

#[test]
fn a_good_soak_holds_and_has_every_bound() {
    assert_eq!(broken(|_| {}), Vec::<String>::new());
    assert_eq!(bounds(&good()).0.len(), 13);
}

#[test]
fn work_that_was_not_done_is_said() {
    one(&broken(|course| course.cgroups = 99), "cgroups made");
    let fewer = broken(|course| {
        (course.made.connections.attempts, course.counted.attempts) = (999, 999);
    });
    one(&fewer, "connections attempted");
}

#[test]
fn what_grows_after_the_warm_up_is_said_and_a_warm_up_is_not() {
    let leak = |kib: u64| broken(move |course| from(course, 10, |one, minutes| one.resident_kib += minutes * kib));
    one(&leak(40), "KiB more resident");
    assert_eq!(leak(10), Vec::<String>::new());
    let crowd = |kib: u64| {
        broken(move |course| {
            from(course, 40, |one, _| {
                one.resident_kib += 100 * kib;
                one.most_slots += 100;
            });
        })
    };
    // One that comes while the early readings are taken is more than most of them knew.
    let early = broken(|course| {
        from(course, 19, |one, _| {
            one.resident_kib += 2000;
            one.most_slots += 100;
        });
    });
    assert_eq!(early, Vec::<String>::new());
    assert_eq!(crowd(20), Vec::<String>::new());
    one(&crowd(30), "KiB more resident");
    one(
        &broken(|course| from(course, 30, |one, _| one.kernel_bytes += 64)),
        "bytes of maps",
    );
    one(
        &broken(|course| from(course, 20, |one, minutes| one.descriptors += minutes / 10)),
        "descriptors",
    );
    one(&broken(|course| from(course, 40, |one, _| one.threads += 1)), "threads");
    assert_eq!(
        broken(|course| from(course, 5, |one, _| one.kernel_bytes += 64)),
        Vec::<String>::new()
    );
}

#[test]
fn a_soak_that_is_too_short_to_tell_of_growth_says_so() {
    let short: [fn(&mut Course); 2] = [
        |course| course.readings.truncate(12),
        |course| course.asked.warm_up_s = 4.0,
    ];
    for shorten in short {
        let mut course = good();
        shorten(&mut course);
        let (bounds, findings) = bounds(&course);
        assert_eq!(bounds.len(), 9);
        assert!(findings.iter().any(|line| line.contains("too short")), "{findings:?}");
    }
}

#[test]
fn a_slot_that_is_not_given_back_is_said_wherever_it_is() {
    one(&broken(|course| course.slots_left = 1), "cgroup that is gone");
    one(&broken(|course| course.slots_usable = 63), "handed out");
}

#[test]
fn what_is_missing_is_said_unless_a_loss_explains_it() {
    let lose = |course: &mut Course, kind: usize, count: u64| {
        course.losses.insert(LOSS_NAMES[kind].to_owned(), count);
    };
    one(&broken(|course| course.seen -= 2), "cgroups with a slot");
    one(&broken(|course| course.counted.attempts -= 2), "connection attempts");
    one(&broken(|course| course.counted.failures -= 2), "attempts refused");
    one(&broken(|course| course.counted.connects -= 2), "established");
    one(&broken(|course| course.counted.accepts -= 2), "accepted");
    for kind in UNMET {
        let found = broken(|course| {
            course.seen -= 2;
            lose(course, kind, 2);
        });
        assert_eq!(found, Vec::<String>::new());
    }
    let too_few = broken(|course| {
        course.counted.attempts -= 2;
        lose(course, NO_SOCKET_STORAGE, 1);
    });
    one(&too_few, "connection attempts");
    let another_kind = broken(|course| {
        course.seen -= 2;
        lose(course, NO_SOCKET_STORAGE, 2);
    });
    one(&another_kind, "cgroups with a slot");
    let without_slot = |in_other: u64| {
        broken(move |course| {
            course.counted.connects -= 2;
            course.other.connects = in_other;
            course.losses.insert(LOSS_NAMES[NO_FREE_SLOT].to_owned(), 50);
        })
    };
    assert_eq!(without_slot(2), Vec::<String>::new());
    one(&without_slot(1), "established");
    let fell = broken(|course| {
        course.counted.accepts -= 2;
        course.made.overflows = 2;
    });
    assert_eq!(fell, Vec::<String>::new());
}

#[test]
fn more_than_there_was_is_never_right() {
    let more = broken(|course| {
        course.counted.attempts += 1;
        course.losses.insert(LOSS_NAMES[NO_FREE_SLOT].to_owned(), 9);
    });
    one(&more, "connection attempts");
}
