//! Contract: the judge of run-queue waits, without a kernel. Each load is shown with twenty seeds.

use sentinel::{
    config::Config,
    judge::verdict::{Cause, Level, Signal},
};
use sentinel_tests::{
    judging::{assert_calm, assert_no_veto, assert_veto, busy, each_seed},
    synthetic::Rig,
};

#[test]
fn a_clean_load_step_raises_no_veto() {
    each_seed(&["web", "bystander"], |rig| {
        rig.load("web").light_cpus = 0.4;
        rig.load("web").wakeups_per_s = 400.0;
        rig.run(60.0);
        rig.load("web").light_cpus = 1.7;
        rig.load("web").wakeups_per_s = 1700.0;
        rig.run(60.0);
        assert_no_veto(rig);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn one_or_two_busy_tasks_on_two_cpus_are_full_but_not_crowded() {
    for tasks in [1.0, 2.0] {
        each_seed(&["worker", "bystander"], |rig| {
            rig.run(20.0);
            rig.load("worker").busy_tasks = tasks;
            rig.run(60.0);
            assert_no_veto(rig);
            assert_calm(rig, "bystander");
        });
    }
}

#[test]
fn four_busy_tasks_on_two_cpus_are_thrash_within_three_seconds() {
    each_seed(&["worker", "bystander"], |rig| {
        rig.run(20.0);
        rig.load("worker").busy_tasks = 4.0;
        rig.run(10.0);
        assert_veto(rig, "worker", Signal::Jitter, Cause::Thrash, 20.0, 3.0);
        assert_calm(rig, "bystander");
        let (_, host) = rig.first("host", Signal::Jitter, Level::Watch).expect("it is watched");
        assert!(host.summary.contains("worker"), "{}", host.summary);
        assert!(
            rig.first("host", Signal::Jitter, Level::Veto).is_none(),
            "one page is enough"
        );
    });
}

#[test]
fn thrash_clears_within_five_seconds_of_its_end() {
    each_seed(&["worker"], |rig| {
        rig.run(20.0);
        rig.load("worker").busy_tasks = 4.0;
        rig.run(10.0);
        rig.load("worker").busy_tasks = 0.0;
        rig.run(5.0);
        assert_eq!(rig.level("worker", Signal::Jitter), Level::Nominal);
        let last = rig.verdicts.iter().rfind(|v| v.scope.name() == "worker").unwrap();
        assert_eq!((last.level, last.cause), (Level::Nominal, Cause::None));
    });
}

#[test]
fn thrash_that_was_there_from_the_start_is_found_after_the_warm_up() {
    each_seed(&["worker", "bystander"], |rig| {
        rig.load("worker").busy_tasks = 4.0;
        rig.run(10.0);
        assert_veto(rig, "worker", Signal::Jitter, Cause::Thrash, 0.0, 6.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn thrash_in_a_cgroup_that_has_just_appeared_needs_no_long_warm_up() {
    each_seed(&["bystander", "new"], |rig| {
        rig.cgroups[1].1 = None;
        rig.run(20.0);
        rig.cgroups[1].1 = Some(busy(4.0));
        rig.run(5.0);
        assert_veto(rig, "new", Signal::Jitter, Cause::Thrash, 20.0, 3.0);
        assert_calm(rig, "bystander");
    });
}

#[test]
fn thrash_does_not_become_the_new_normal() {
    let mut rig = Rig::new(7, &Config::default(), &["worker"]);
    rig.run(60.0);
    rig.load("worker").busy_tasks = 4.0;
    rig.run(600.0);
    assert_eq!(rig.level("worker", Signal::Jitter), Level::Veto);
}

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
