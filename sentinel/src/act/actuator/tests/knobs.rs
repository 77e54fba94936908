//! Floors, and what is left alone.

use crate::act::{
    action::Action,
    actuator::{
        ActuatorError, Knob,
        directory::holds,
        knob::{Found, wanted},
    },
};

fn found(text: &str, memory_bytes: Option<u64>) -> Found<'_> {
    Found {
        path: "/shop",
        text,
        memory_bytes,
        page_bytes: 4096,
    }
}

fn cpu(quota_us: u64, period_us: u64) -> Action {
    Action::CpuMax {
        quota_us,
        period_us,
        used_us_per_s: 1,
    }
}

#[test]
fn a_limit_is_written_as_the_kernel_writes_it() {
    let high = Action::MemoryHigh { bytes: 10_000_000 };
    for (action, text, memory_bytes, written) in [
        (cpu(50_000, 100_000), "max 100000", None, "50000 100000"),
        (Action::CpuWeight { weight: 25 }, "100", None, "25"),
        (high, "max", Some(12_000_000), "9998336"),
        (Action::Freeze, "0", None, "1"),
    ] {
        assert_eq!(wanted(&action, found(text, memory_bytes)).as_deref(), Ok(written));
    }
}

#[test]
fn what_is_as_tight_already_is_left() {
    let high = Action::MemoryHigh { bytes: 1 << 24 };
    for (action, text) in [
        (cpu(50_000, 100_000), "50000 100000"),
        // The same share in another period, and a smaller one.
        (cpu(50_000, 100_000), "5000 10000"),
        (cpu(50_000, 100_000), "40000 100000"),
        (Action::CpuWeight { weight: 100 }, "100"),
        (Action::CpuWeight { weight: 101 }, "100"),
        (high, "16777216"),
        (Action::Freeze, "1"),
    ] {
        let answer = wanted(&action, found(text, Some(0)));
        assert!(
            matches!(answer, Err(ActuatorError::Tighter { .. })),
            "{action:?} {answer:?}"
        );
    }
}

#[test]
fn no_limit_goes_below_its_floor() {
    let weight = |weight| wanted(&Action::CpuWeight { weight }, found("101", None));
    assert_eq!(weight(26).as_deref(), Ok("26"));
    assert!(matches!(
        weight(25),
        Err(ActuatorError::Floor {
            least: 26,
            has: 101,
            ..
        })
    ));
    let current = Some(8 << 20);
    let high = |bytes| wanted(&Action::MemoryHigh { bytes }, found("max", current));
    assert_eq!(high(4 << 20).as_deref(), Ok("4194304"));
    assert!(matches!(
        high((4 << 20) - 1),
        Err(ActuatorError::Floor { least: 4_194_304, .. })
    ));
}

#[test]
fn what_could_not_be_put_back_is_left() {
    for (action, text) in [
        // An idle cgroup shows no weight, and takes none.
        (Action::CpuWeight { weight: 50 }, "0"),
        (cpu(50_000, 100_000), "max"),
        (cpu(50_000, 100_000), "max 0"),
        (Action::Freeze, ""),
        (Action::MemoryHigh { bytes: 1 << 24 }, "-1"),
    ] {
        let answer = wanted(&action, found(text, None));
        assert!(
            matches!(answer, Err(ActuatorError::NotRestorable { .. })),
            "{action:?} {answer:?}"
        );
    }
}

#[test]
fn a_budget_for_retries_is_none_of_its_files() {
    let budget = Action::RetryBudget {
        per_s: 10,
        fan_out_milli: 1_000,
    };
    assert!(!Knob::of(&budget).is_file());
    assert!(matches!(
        wanted(&budget, found("0", None)),
        Err(ActuatorError::NotMine { .. })
    ));
}

#[test]
fn a_cgroup_holds_itself_and_what_is_below_it() {
    assert!(holds("/a", "/a") && holds("/a", "/a/b"));
    assert!(!holds("/a", "/") && !holds("/a", "/ab") && !holds("/a/b", "/a"));
}
