//! A shop that can fall into a storm, and its neighbour: client, gateway and backend, twice, each in a cgroup of its own.
//!
//! Comes in: a setting and which program is the gateway. Goes out: a [`Course`]. Never leaves the loopback device.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Serialize, de::DeserializeOwned};

use super::{course::Course, nginx::Nginx};
use crate::{
    cgroup::Cgroup,
    haproxy::{Haproxy, RETRIES},
    overload::{Setting, Trigger},
    services::Services,
    workload::Workload,
};

/// Everybody in a shop. The neighbour is built like the shop and has nothing to do with it.
const SERVICES: [&str; 6] = [
    "client",
    "gateway",
    "stock",
    "neighbour-client",
    "neighbour",
    "neighbour-stock",
];
/// Requests the backend lets wait.
const QUEUE: u32 = 1000;
/// Requests per second that the neighbour's client asks for.
const NEIGHBOUR_RPS: u32 = 100;
/// How long each part outlives the one that asks it, seconds.
const AFTER_S: f64 = 1.0;
const READY_LIMIT: Duration = Duration::from_secs(10);

/// Which program stands between client and backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    /// The one of the workloads: retries at once.
    Own,
    /// HAProxy, `retry-on all-retryable-errors`.
    Haproxy,
    /// nginx, `proxy_next_upstream`.
    Nginx,
}

/// A running shop; dropping it closes it.
#[derive(Debug)]
pub struct Shop {
    client: Workload,
    front: Front,
    stock: Workload,
    neighbour_client: Workload,
    neighbours: [Workload; 2],
    services: Services,
    begins_ns: u64,
    setting: Setting,
}

#[derive(Debug)]
enum Front {
    Own(Workload),
    Bought { _proxy: Bought },
}

#[derive(Debug)]
enum Bought {
    Haproxy { _proxy: Haproxy },
    Nginx { _proxy: Nginx },
}

impl Shop {
    /// Opens it.
    ///
    /// # Errors
    /// Something could not be started.
    pub fn open(gateway: Gateway, setting: Setting) -> Result<Self> {
        let Trigger::Load(factor) = setting.trigger else {
            anyhow::bail!("the trigger of a storm is a load");
        };
        ensure!(
            gateway == Gateway::Own || setting.retries == RETRIES,
            "a proxy retries {RETRIES} times"
        );
        let (all_s, late_s) = (setting.seconds(), setting.seconds() + 2.0 * AFTER_S);
        let services = Services::start(&SERVICES, late_s as u32 + 30)?;
        let stock = backend(services.cgroup("stock"), &setting, late_s)?;
        let (front, at) = front(&services, gateway, &setting, &stock)?;
        let second_stock = backend(services.cgroup("neighbour-stock"), &setting, late_s)?;
        let second_gateway = own(services.cgroup("neighbour"), &setting, &second_stock)?;
        let to = second_gateway.listen()?;
        let neighbour_client = start(
            services.cgroup("neighbour-client"),
            &format!("overload-client --to {to} --rps {NEIGHBOUR_RPS} --seconds {all_s}"),
        )?;
        let poisson = setting.seed.map_or(String::new(), |seed| format!(" --poisson {seed}"));
        let client = start(
            services.cgroup("client"),
            &format!(
                "overload-client --to {at} --rps {} --seconds {all_s} --trigger-factor {factor} \
                 --trigger-after-seconds {} --trigger-seconds {}{poisson}",
                setting.rps, setting.past_s, setting.trigger_s
            ),
        )?;
        Ok(Self {
            begins_ns: client.onset_ns() + nanoseconds(setting.past_s),
            client,
            front,
            stock,
            neighbour_client,
            neighbours: [second_gateway, second_stock],
            services,
            setting,
        })
    }

    /// The cgroup of the gateway: the one that storms.
    #[must_use]
    pub fn gateway(&self) -> &Cgroup {
        self.services.cgroup("gateway")
    }

    /// The path above all of its cgroups, as verdicts show it.
    #[must_use]
    pub fn family(&self) -> String {
        self.services.family()
    }

    /// When the trigger begins, `CLOCK_MONOTONIC`, nanoseconds; some milliseconds early, because starting takes time.
    #[must_use]
    pub const fn begins_ns(&self) -> u64 {
        self.begins_ns
    }

    /// When the trigger ends, `CLOCK_MONOTONIC`, nanoseconds.
    #[must_use]
    pub fn ends_ns(&self) -> u64 {
        self.begins_ns + nanoseconds(self.setting.trigger_s)
    }

    /// What the gateway did so far; empty where it is not our own.
    #[must_use]
    pub fn attempts(&self) -> Vec<super::course::Attempts> {
        match &self.front {
            Front::Own(gateway) => slices(gateway),
            Front::Bought { .. } => Vec::new(),
        }
    }

    /// Waits for its end and returns what happened, and what `last` gives, which is done while the cgroups still are.
    ///
    /// # Errors
    /// A part failed.
    pub fn finish_beside<T>(mut self, last: impl FnOnce() -> Result<T>) -> Result<(Course, T)> {
        let limit = Duration::from_secs_f64(self.setting.seconds()) + READY_LIMIT;
        self.client.report(limit).context("the client")?;
        self.neighbour_client.report(limit).context("the neighbour's client")?;
        for (name, part) in ["gateway", "backend"].iter().zip(&mut self.neighbours) {
            ensure!(!part.ended()?, "the neighbour's {name} ended before its client");
        }
        ensure!(!self.stock.ended()?, "the backend ended before its client");
        let first_denied_ns = match &self.front {
            Front::Own(gateway) => gateway
                .event("denied", Duration::ZERO)
                .ok()
                .and_then(|event| event["monotonic_ns"].as_u64()),
            Front::Bought { .. } => None,
        };
        let course = Course {
            begins_ns: self.begins_ns,
            ends_ns: self.ends_ns(),
            client: slices(&self.client),
            gateway: self.attempts(),
            stock: slices(&self.stock),
            neighbour: slices(&self.neighbour_client),
            first_denied_ns,
        };
        Ok((course, last()?))
    }
}

fn front(services: &Services, gateway: Gateway, setting: &Setting, stock: &Workload) -> Result<(Front, String)> {
    let cgroup = services.cgroup("gateway");
    let backend = stock.listen()?;
    let tries = RETRIES + 1;
    let bought = |proxy| Front::Bought { _proxy: proxy };
    Ok(match gateway {
        Gateway::Own => {
            let gateway = own(cgroup, setting, stock)?;
            let at = gateway.listen()?.to_string();
            (Front::Own(gateway), at)
        }
        Gateway::Haproxy => {
            let proxy = Haproxy::start_with(cgroup, &vec![backend; tries as usize], setting.timeout_ms)?;
            let at = proxy.frontend().to_string();
            (bought(Bought::Haproxy { _proxy: proxy }), at)
        }
        Gateway::Nginx => {
            let proxy = Nginx::start(cgroup, backend, tries, setting.timeout_ms)?;
            let at = proxy.listen().to_string();
            (bought(Bought::Nginx { _proxy: proxy }), at)
        }
    })
}

fn own(cgroup: &Cgroup, setting: &Setting, stock: &Workload) -> Result<Workload> {
    let (to, seconds) = (stock.listen()?, setting.seconds() + AFTER_S);
    let (retries, timeout_ms) = (setting.retries, setting.timeout_ms);
    start(
        cgroup,
        &format!("overload-gateway --to {to} --retries {retries} --timeout-ms {timeout_ms} --seconds {seconds}"),
    )
}

fn backend(cgroup: &Cgroup, setting: &Setting, seconds: f64) -> Result<Workload> {
    let (service_ms, workers) = (setting.service_ms, setting.workers);
    start(
        cgroup,
        &format!("overload-backend --service-ms {service_ms} --workers {workers} --queue {QUEUE} --seconds {seconds}"),
    )
}

fn start(cgroup: &Cgroup, line: &str) -> Result<Workload> {
    Workload::start(cgroup, &line.split(' ').collect::<Vec<_>>())
}

/// The slices a part has printed.
fn slices<T: DeserializeOwned>(part: &Workload) -> Vec<T> {
    let texts = part.lines().texts();
    texts
        .iter()
        .filter(|line| line.contains("\"slice\""))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
