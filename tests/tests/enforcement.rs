//! Contract: a policy in the kernel limits its scope and nobody else, and lapses by itself.
//!
//! Everything happens in cgroups of the test, on loopback. Needs root.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sentinel::kernel::enforce::{Connects, Enforcer, Limits, Refusal, Scope};
use sentinel_tests::{
    cgroup::{Cgroup, Family},
    workload::Workload,
};
use serde_json::Value;

#[path = "enforcement/admission.rs"]
mod admission;
#[path = "enforcement/budget.rs"]
mod budget;
#[path = "enforcement/cost.rs"]
mod cost;
#[path = "enforcement/input.rs"]
mod input;
#[path = "enforcement/lease.rs"]
mod lease;
#[path = "enforcement/neighbours.rs"]
mod neighbours;

const TTL: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(60);

fn scope(cgroup: &Cgroup) -> Result<Scope> {
    Ok(Scope {
        path: cgroup.dir().to_owned(),
        id: cgroup.id()?,
    })
}

/// One attempt for each request, a fifth more, and so many per second.
fn reserve(reserve_per_s: u32) -> Limits {
    Limits {
        connects: Some(Connects {
            fan_out_permille: 1000,
            reserve_per_s,
            by_answers: false,
        }),
        accepts: None,
    }
}

/// A server in a cgroup, and where it listens.
fn server(cgroup: &Cgroup) -> Result<(Workload, String)> {
    let server = Workload::start(cgroup, &["tcp-server", "--echo", "--seconds", "120"])?;
    let at = server.listen()?.to_string();
    Ok((server, at))
}

/// Attempts that begin now.
fn begin(cgroup: &Cgroup, to: &str, args: &[&str]) -> Result<Workload> {
    Workload::start(cgroup, &[&["attempts", "--to", to], args].concat())
}

/// Attempts from begin to end, and what they came to.
fn attempt(cgroup: &Cgroup, to: &str, args: &[&str]) -> Result<Value> {
    begin(cgroup, to, args)?.report(LIMIT)
}

/// Attempts in all.
fn all(report: &Value) -> Result<u64> {
    report["attempts"].as_u64().context("attempts")
}

/// Attempts that ended so.
fn ended(report: &Value, end: &str) -> u64 {
    report["ends"][end].as_u64().unwrap_or(0)
}

/// The number of the error that a refusal ends with here.
fn errno(enforcer: &Enforcer) -> &'static str {
    match enforcer.refusal() {
        Refusal::ConnectionRefused => "111",
        Refusal::NotPermitted => "1",
    }
}

/// Every attempt succeeded.
fn assert_free(who: &str, report: &Value) -> Result<()> {
    assert!(all(report)? > 0, "{who} attempted nothing: {report}");
    assert_eq!(ended(report, "ok"), all(report)?, "{who}: {report}");
    Ok(())
}

/// A gateway under test, a backend that answers, and where.
struct Shop {
    gateway: Cgroup,
    backend: Cgroup,
    at: String,
    _server: Workload,
    family: Family,
}

impl Shop {
    fn open() -> Result<Self> {
        let family = Family::new()?;
        let (gateway, backend) = (family.cgroup("gateway")?, family.cgroup("backend")?);
        let (server, at) = server(&backend)?;
        Ok(Self {
            gateway,
            backend,
            at,
            _server: server,
            family,
        })
    }
}
