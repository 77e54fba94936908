//! Contract: the causes of waits other than a scope's own crowd, without a kernel: others that hold the CPUs, a limit, a
//! convoy.

use sentinel::judge::verdict::{Cause, Level, Signal};
use sentinel_tests::judging::{assert_calm, assert_no_veto, assert_veto, each_seed};

#[test]
fn a_scope_that_others_starve_is_a_victim_and_not_vetoed() {
    each_seed(&["hog", "victim"], |rig| {
        rig.load("victim").busy_tasks = 0.5;
        rig.run(20.0);
        rig.load("hog").busy_tasks = 8.0;
        rig.run(10.0);
        assert_veto(rig, "hog", Signal::Jitter, Cause::Thrash, 20.0, 3.0);
        let (_, victim) = rig
            .first("victim", Signal::Jitter, Level::Watch)
            .expect("it is watched");
        assert_eq!(victim.cause, Cause::Starved);
        assert_eq!(rig.worst("victim"), Level::Watch);
    });
}

#[test]
fn a_cpu_limit_is_named_as_throttling() {
    each_seed(&["limited", "bystander"], |rig| {
        rig.run(20.0);
        rig.load("limited").busy_tasks = 0.5;
        rig.load("limited").throttled = 0.6;
        rig.run(10.0);
        assert_veto(rig, "limited", Signal::Jitter, Cause::Throttled, 20.0, 3.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_victim_is_told_who_holds_the_cpus() {
    each_seed(&["victim", "hog"], |rig| {
        rig.load("victim").busy_tasks = 0.5;
        rig.run(20.0);
        rig.load("hog").busy_tasks = 8.0;
        rig.run(10.0);
        let (_, victim) = rig.first("victim", Signal::Jitter, Level::Watch).expect("watched");
        assert_eq!(victim.cause, Cause::Starved);
        assert!(victim.summary.contains("hog"), "{}", victim.summary);
    });
}

#[test]
fn a_cpu_limit_is_named_on_an_idle_host_even_where_its_tasks_are_not_counted_as_waiting() {
    each_seed(&["limited", "bystander"], |rig| {
        rig.run(20.0);
        rig.load("limited").light_cpus = 0.2;
        rig.load("limited").throttled = 0.5;
        // Kernels that take throttled tasks off the run-queue.
        rig.throttled_waits = false;
        rig.run(10.0);
        assert_veto(rig, "limited", Signal::Jitter, Cause::Throttled, 20.0, 6.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn a_little_throttling_is_watched_and_no_more() {
    each_seed(&["limited", "bystander"], |rig| {
        rig.run(20.0);
        rig.load("limited").light_cpus = 0.2;
        rig.load("limited").throttled = 0.1;
        rig.run(30.0);
        assert_no_veto(rig);
        let (_, verdict) = rig.first("limited", Signal::Jitter, Level::Watch).expect("watched");
        assert_eq!(verdict.cause, Cause::Throttled);
    });
}

#[test]
fn tasks_that_hand_each_other_the_cpu_and_get_no_further_are_a_convoy() {
    each_seed(&["store", "bystander"], |rig| {
        rig.load("store").light_cpus = 0.6;
        rig.load("store").wakeups_per_s = 400.0;
        rig.run(120.0);
        rig.load("store").light_cpus = 0.4;
        rig.load("store").wakeups_per_s = 20_000.0;
        rig.run(10.0);
        let (at, verdict) = rig.first("store", Signal::Jitter, Level::Watch).expect("watched");
        assert!(at - 120.0 <= 5.0 && verdict.cause == Cause::Convoy, "{verdict:#?}");
        assert!(verdict.features["voluntary_per_s"] > 10.0 * verdict.features["voluntary_baseline_per_s"]);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn more_requests_and_more_work_done_are_no_convoy() {
    each_seed(&["store", "bystander"], |rig| {
        rig.load("store").light_cpus = 0.2;
        rig.load("store").wakeups_per_s = 500.0;
        rig.run(120.0);
        rig.load("store").light_cpus = 1.6;
        rig.load("store").wakeups_per_s = 4_000.0;
        rig.run(60.0);
        assert_no_veto(rig);
        let convoy = rig.verdicts.iter().find(|v| v.cause == Cause::Convoy);
        assert!(convoy.is_none(), "{convoy:#?}");
    });
}
