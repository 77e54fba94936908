//! Orders and messages: what breaks a rule can neither be built nor decoded.

use serde_json::{Value, json};

use super::{lease, order, target};
use crate::act::{
    action::{Action, ActionError, LeaseId, Order, Target, Ttl},
    actuator::ActuatorError,
    message::{MAX_BYTES, MessageError, Reply, Request, decode, encode},
};

const CPU: Action = Action::CpuMax {
    quota_us: 50_000,
    period_us: 100_000,
    used_us_per_s: 2_000_000,
};

fn apply() -> Value {
    serde_json::from_slice(&encode(&Request::Apply(order(CPU).unwrap())).unwrap()).unwrap()
}

fn decoded(message: &Value) -> Result<Request, MessageError> {
    decode(message.to_string().as_bytes())
}

#[test]
fn a_message_comes_back_as_it_went() {
    let ttl_ms = Ttl::try_from(1_000).unwrap();
    let requests = [
        Request::Apply(order(CPU).unwrap()),
        Request::Renew {
            lease: lease("a"),
            ttl_ms,
        },
        Request::Revert { lease: lease("a") },
    ];
    for request in requests {
        assert_eq!(decode::<Request>(&encode(&request).unwrap()), Ok(request));
    }
    let reply = Reply::Refused(ActuatorError::Lapsed { lease: lease("a") });
    assert_eq!(decode::<Reply>(&encode(&reply).unwrap()), Ok(reply));
}

#[test]
fn a_rule_that_holds_when_an_order_is_built_holds_when_it_is_decoded() {
    assert!(decoded(&apply()).is_ok());
    for (pointer, bad, said) in [
        (
            "/message/apply/ttl_ms",
            json!(999),
            "ttl_ms is 999, and may be 1000 to 60000",
        ),
        ("/message/apply/ttl_ms", json!(60_001), "ttl_ms"),
        ("/message/apply/ttl_ms", json!(-1), "invalid value"),
        ("/message/apply/target/path", json!("/"), "it is the root"),
        (
            "/message/apply/target/path",
            json!("shop"),
            "does not begin at the root",
        ),
        (
            "/message/apply/target/path",
            json!("/a/../b"),
            "empty, too long, `.` or `..`",
        ),
        (
            "/message/apply/target/path",
            json!("/a//b"),
            "empty, too long, `.` or `..`",
        ),
        (
            "/message/apply/target/path",
            json!("/a/"),
            "empty, too long, `.` or `..`",
        ),
        ("/message/apply/target/path", json!("/a\u{0}"), "zero byte"),
        (
            "/message/apply/target/path",
            json!(format!("/{}", "a".repeat(256))),
            "too long",
        ),
        (
            "/message/apply/target/path",
            json!("/aaa".repeat(300)),
            "longer than 1024",
        ),
        ("/message/apply/target/cgroup_id", json!(1), "no cgroup below the root"),
        ("/message/apply/lease", json!(""), "is no lease id"),
        ("/message/apply/lease", json!("a b"), "is no lease id"),
        ("/message/apply/lease", json!("a".repeat(65)), "is no lease id"),
        ("/message/apply/reason", json!(""), "one sentence"),
        ("/message/apply/reason", json!("a\u{1b}[2J"), "one sentence"),
        ("/message/apply/reason", json!("a".repeat(513)), "one sentence"),
        ("/message/apply/action/quota_us", json!(999), "quota_us is 999"),
        ("/message/apply/action/period_us", json!(1_000_001), "period_us"),
        ("/message/apply/action/used_us_per_s", json!(0), "used_us_per_s"),
        ("/message/apply/action/quota_us", json!(49_999), "at least 50000 us"),
        ("/message/apply/action/kind", json!("reboot"), "unknown variant"),
    ] {
        let mut message = apply();
        *message.pointer_mut(pointer).unwrap() = bad.clone();
        let error = decoded(&message).unwrap_err().to_string();
        assert!(error.contains(said), "{pointer} = {bad}: {error}");
    }
}

#[test]
fn an_order_takes_at_most_three_quarters_of_what_was_measured() {
    let used = |quota_us, used_us_per_s| {
        order(Action::CpuMax {
            quota_us,
            period_us: 100_000,
            used_us_per_s,
        })
    };
    assert!(used(25_000, 1_000_000).is_ok());
    assert!(matches!(
        used(24_999, 1_000_000),
        Err(ActionError::Floor { least_us: 25_000, .. })
    ));
    // What hardly uses anything still has the kernel's least quota.
    assert!(used(1_000, 1).is_ok());
    assert!(matches!(used(999, 1), Err(ActionError::Range { name: "quota_us", .. })));
    // The largest numbers there are do not overflow.
    assert!(used(u64::MAX, u64::MAX).is_err());
    assert!(used(8_192_000_000, 8_192_000_000).is_ok());
}

#[test]
fn every_action_has_bounds() {
    let budget = |per_s, fan_out_milli| Action::RetryBudget { per_s, fan_out_milli };
    for good in [
        budget(10, 1_000),
        Action::CpuWeight { weight: 1 },
        Action::CpuWeight { weight: 10_000 },
        Action::MemoryHigh { bytes: 1 << 20 },
        Action::Freeze,
    ] {
        assert!(order(good.clone()).is_ok(), "{good:?}");
    }
    for bad in [
        budget(0, 1_000),
        budget(10, 100_001),
        budget(10_001, 1_000),
        Action::CpuWeight { weight: 0 },
        Action::CpuWeight { weight: 10_001 },
        Action::MemoryHigh { bytes: (1 << 20) - 1 },
        Action::MemoryHigh { bytes: u64::MAX },
    ] {
        assert!(matches!(order(bad.clone()), Err(ActionError::Range { .. })), "{bad:?}");
    }
}

#[test]
fn another_version_an_unknown_field_and_half_a_message_are_refused() {
    let mut later = apply();
    later["schema"] = json!("sentinel.action/2");
    later["message"] = json!({"of": "another kind"});
    let error = decoded(&later).unwrap_err();
    assert_eq!(
        error,
        MessageError::Version {
            found: "sentinel.action/2".into()
        }
    );
    for pointer in ["/message/apply", "/message/apply/target", "/message/apply/action", ""] {
        let mut message = apply();
        message.pointer_mut(pointer).unwrap()["force"] = json!(true);
        let error = decoded(&message).unwrap_err().to_string();
        assert!(error.contains("force"), "{pointer}: {error}");
    }
    let whole = encode(&Request::Apply(order(CPU).unwrap())).unwrap();
    for length in 0..whole.len() {
        assert!(matches!(
            decode::<Request>(&whole[..length]),
            Err(MessageError::Malformed { .. })
        ));
    }
    assert!(matches!(
        decode::<Request>(&vec![b' '; MAX_BYTES + 1]),
        Err(MessageError::TooLong { .. })
    ));
}

#[test]
fn the_longest_order_fits_into_a_message() {
    // The longest names, made of what JSON writes longest.
    let path: String = "/\u{1}".repeat(512);
    let target = Target::new(path, u64::MAX).unwrap();
    let ttl = Ttl::try_from(60_000).unwrap();
    let id = LeaseId::new("a".repeat(64)).unwrap();
    let order = Order::new(id, target, Action::Freeze, ttl, "\"".repeat(512)).unwrap();
    assert!(encode(&Request::Apply(order)).is_ok());
}

#[test]
fn a_target_keeps_what_it_was_given() {
    let target = target();
    assert_eq!((target.path(), target.cgroup_id()), ("/shop.slice/api.service", 4711));
}
