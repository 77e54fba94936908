//! Contract: cgroups that come and go and short connections leave nothing behind in the agent, and all of them are counted.
//!
//! A short soak by the code of `cargo xtask bench soak`; the hour is for that. Its bounds are about counts: a slow machine only
//! takes longer. Needs root and cgroup v2.

use anyhow::{Result, ensure};
use sentinel_tests::bench::soak::Soak;

#[test]
fn cgroups_that_come_and_go_leave_no_slot_behind_and_no_connection_is_missing() -> Result<()> {
    let soak = Soak {
        minutes: 0.2,
        cgroups: 300,
        connections: 3000,
        every: 4.0,
        // A look for cgroups whose end was not reported comes every sixty ticks.
        interval: 100,
        slots: 256,
    };
    let report = soak.run()?;
    println!("{report}");
    ensure!(report.held(), "a bound is broken: {report}");
    Ok(())
}
