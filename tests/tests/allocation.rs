//! Contract: judging a sample that changes nothing allocates nothing, so that memory does not grow with uptime.

use sentinel::{
    config::Config,
    judge::{Judge, JudgeConfig},
};
use sentinel_tests::synthetic::{Rig, origin};

#[test]
fn a_sample_that_changes_nothing_allocates_nothing() {
    let config = Config::default();
    let mut rig = Rig::new(1, &config, &["worker", "leaker", "a", "b", "c"]);
    rig.load("worker").busy_tasks = 4.0;
    rig.load("leaker").grows_mb = 20.0;
    // What an agent finds when it starts may just have started too: half of this is a warm-up.
    rig.run(80.0);
    let mut judge = Judge::new(JudgeConfig::from(&config), origin().into());
    let mut verdicts = Vec::new();
    let (warm_up, steady) = rig.samples.split_at(rig.samples.len() / 2);
    let judging_warm_up = allocation_counter::measure(|| {
        for sample in warm_up {
            judge.observe(sample, &mut verdicts);
        }
    });
    assert!(judging_warm_up.count_total > 0, "the counter counts");
    assert!(verdicts.len() >= 2, "both faults are there: {verdicts:#?}");
    let said = verdicts.len();
    let judging = allocation_counter::measure(|| {
        for sample in steady {
            judge.observe(sample, &mut verdicts);
        }
    });
    assert_eq!(judging.count_total, 0);
    assert_eq!(verdicts.len(), said);
}
