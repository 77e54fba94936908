//! Metrics of the agent, the host as a whole, and what was said.

use std::collections::BTreeSet;

use super::metric::{
    Kind::{Counter, Gauge},
    Metric, Samples, View, path_label,
};
use crate::{act::LeaseView, show::state::LevelCounts};

const NONE: &[&str] = &[];
const LEASE: &[&str] = &["scope", "action"];
/// Bytes in a megabyte, the unit of memory rates in a document.
const MB: f64 = 1e6;

macro_rules! metrics {
    ($($kind:expr, $name:literal, $unit:literal, $labels:expr, $help:literal, $read:expr;)*) => {
        &[$(Metric { name: $name, unit: $unit, kind: $kind, labels: $labels, help: $help, read: $read }),*]
    };
}

#[rustfmt::skip]
pub(super) const HOST: &[Metric] = metrics![
    Gauge, "sentinel_build_info", "", &["version", "kernel", "autonomy"], "Always 1; the labels say what runs here", |view, out| {
        let document = view.document;
        out.add(&[&document.agent.version, &document.host.kernel, document.agent.autonomy.name()], 1.0);
    };
    Gauge, "sentinel_start_timestamp", "seconds", NONE, "When the run began, Unix time", |view, out| out.add(&[], view.document.agent.began_unix_ms as f64 / 1e3);
    Gauge, "sentinel_heartbeat_timestamp", "seconds", NONE, "When the last reading was judged, Unix time; it stands still when the agent hangs", |view, out| out.add(&[], view.document.unix_ms as f64 / 1e3);
    Counter, "sentinel_ticks", "", NONE, "Ticks", |view, out| out.add(&[], view.document.agent.ticks as f64);
    Counter, "sentinel_late_ticks", "", NONE, "Ticks that began later than half an interval after their time", |view, out| out.add(&[], view.document.agent.late_ticks as f64);
    Counter, "sentinel_cpu", "seconds", NONE, "CPU time of the agent, all its threads; its programs in the kernel are not in it", |view, out| out.add(&[], view.document.agent.own.cpu_s);
    Gauge, "sentinel_programs_cpu", "ratio", &["sensor"], "Share of one CPU that the agent's programs took inside the kernel between the last two ticks, by sensor; missing while it is not known", |view, out| {
        let programs = view.document.agent.own.programs;
        for (sensor, share) in [("sched", programs.sched), ("mem", programs.mem), ("net", programs.net)] {
            out.add(&[sensor], share);
        }
    };
    Gauge, "sentinel_cost", "ratio", NONE, "Share of one CPU that the agent and its programs cost, in the mean of the last seconds", |view, out| out.add(&[], view.document.agent.own.cost_share);
    Gauge, "sentinel_cost_budget", "ratio", NONE, "Share of one CPU that they may cost", |view, out| out.add(&[], view.document.agent.own.budget_share);
    Gauge, "sentinel_left_out", "", NONE, "How many of readings between ticks, pages and packets are left out so that the budget holds", |view, out| out.add(&[], Some(f64::from(view.document.agent.own.left_out)));
    Gauge, "sentinel_resident_memory", "bytes", NONE, "Resident memory of the agent", |view, out| out.add(&[], view.document.agent.own.resident_bytes.map(|bytes| bytes as f64));
    Counter, "sentinel_lost", "", &["kind"], "What was lost or missed in the kernel, by kind; kinds that never happened are absent", |view, out| {
        view.document.losses.iter().for_each(|(kind, count)| out.add(&[kind], *count as f64));
    };
    Gauge, "sentinel_sensor_unavailable", "", &["sensor"], "1 for each sensor that does not run", |view, out| {
        view.document.unavailable.iter().for_each(|sensor| out.add(&[&sensor.sensor], 1.0));
    };
    Counter, "sentinel_surface_lost", "records", &["surface"], "Records that did not get through to a surface and never will; for metrics that are sent, whole exports", |view, out| {
        view.document.agent.surfaces.iter().for_each(|surface| out.add(&[&surface.name], surface.lost as f64));
    };
    Gauge, "sentinel_surface_unwell", "", &["surface"], "1 for a surface that takes nothing now, 0 for one that works", |view, out| {
        view.document.agent.surfaces.iter().for_each(|surface| out.add(&[&surface.name], f64::from(u8::from(surface.unwell.is_some()))));
    };
    Gauge, "sentinel_scopes", "", &["signal", "level"], "Scopes at each level, all of them", |view, out| levels(&view.document.levels, out);
    Gauge, "sentinel_scopes_not_listed", "", &["signal", "level"], "Scopes at each level that have no series of their own: the least severe", |view, out| levels(&view.document.rest.levels, out);
    Counter, "sentinel_verdicts", "", &["signal", "level"], "Verdicts: changes of level", |view, out| levels(&view.document.totals.verdicts, out);
    Counter, "sentinel_incidents", "", NONE, "Incidents that began", |view, out| out.add(&[], view.document.totals.incidents as f64);
    Gauge, "sentinel_incidents_open", "", NONE, "Incidents that are open", |view, out| {
        let document = view.document;
        let open = document.incidents.iter().filter(|incident| incident.ended.is_none()).count();
        out.add(&[], open as f64 + document.incidents_not_listed as f64);
    };
    Counter, "sentinel_outcomes", "", &["result"], "What became of actions: `began`, `effective`, `ended`, `failed`, ..; kinds that never happened are absent", |view, out| {
        view.document.totals.outcomes.iter().for_each(|(kind, count)| out.add(&[kind], *count as f64));
    };
    Gauge, "sentinel_plans_waiting", "", NONE, "Plans that wait for approval", |view, out| out.add(&[], view.document.waiting.len() as f64);
    Gauge, "sentinel_leases", "", NONE, "Actions that hold", |view, out| out.add(&[], view.document.leases.len() as f64);
    Gauge, "sentinel_lease_left", "seconds", LEASE, "Time until an action lapses, unless it is renewed", |view, out| leases(view, out, |lease| Some(lease.left_ms as f64 / 1e3));
    Gauge, "sentinel_lease_refused", "attempts", LEASE, "What an action that holds has refused so far", |view, out| leases(view, out, |lease| lease.refused.map(|count| count as f64));
    Gauge, "sentinel_lease_allowed", "attempts", LEASE, "What an action that holds has let through so far", |view, out| leases(view, out, |lease| lease.allowed.map(|count| count as f64));
    Gauge, "sentinel_host_run_queue", "tasks", NONE, "Mean run-queue length of a CPU, the running task included", |view, out| out.add(&[], view.document.host.rates.run_queue);
    Gauge, "sentinel_host_waiting", "seconds_per_second", NONE, "Time that tasks waited for a CPU", |view, out| out.add(&[], view.document.host.rates.waiting_ms_per_s.map(|ms| ms / 1e3));
    Gauge, "sentinel_host_memory_growth", "bytes_per_second", NONE, "Memory taken and not given back", |view, out| out.add(&[], view.document.host.rates.memory_mb_per_s.map(|mb| mb * MB));
    Gauge, "sentinel_host_traffic", "packets_per_second", NONE, "Packets, both directions, loopback included", |view, out| out.add(&[], view.document.host.rates.packets_per_s);
    Gauge, "sentinel_host_connects", "attempts_per_second", NONE, "TCP connection attempts", |view, out| out.add(&[], view.document.host.rates.attempts_per_s);
    Gauge, "sentinel_host_memory", "bytes", NONE, "Memory of the host", |view, out| out.add(&[], view.document.host.memory_total_bytes.map(|bytes| bytes as f64));
    Gauge, "sentinel_host_memory_available", "bytes", NONE, "Memory the kernel could hand out without swapping", |view, out| out.add(&[], view.document.host.memory_available_bytes.map(|bytes| bytes as f64));
    Counter, "sentinel_http_requests", "", &["code"], "Requests answered by the agent, by status code; 0 is any other", |view, out| {
        let requests = view.served.into_iter().flat_map(|served| &served.requests);
        requests.for_each(|(code, count)| out.add(&[&code.to_string()], *count as f64));
    };
    Gauge, "sentinel_http_connections", "", NONE, "Connections to the agent", |view, out| out.add(&[], view.served.map(|served| served.connections as f64));
    Gauge, "sentinel_http_viewers", "", NONE, "Viewers of the event stream", |view, out| out.add(&[], view.served.map(|served| served.viewers as f64));
    Counter, "sentinel_http_closed", "", &["reason"], "Connections closed before their time: `slow` took nothing, `too_many` were there, `unreadable` was no HTTP or too slow", |view, out| {
        let closed = view.served.into_iter().flat_map(|served| &served.closed);
        closed.for_each(|(reason, count)| out.add(&[reason], *count as f64));
    };
    Counter, "sentinel_http_missed_records", "", NONE, "Records that a viewer of the event stream came too late for", |view, out| out.add(&[], view.served.map(|served| served.missed as f64));
];

/// One sample for each action that holds; of two on one scope the older.
fn leases(view: &View<'_>, out: &mut Samples, of: impl Fn(&LeaseView) -> Option<f64>) {
    let mut seen = BTreeSet::new();
    for lease in &view.document.leases {
        let scope = path_label(&lease.scope, lease.cgroup_id);
        if seen.insert((scope.clone(), &lease.action)) {
            out.add(&[&scope, &lease.action], of(lease));
        }
    }
}

fn levels(counts: &[LevelCounts], out: &mut Samples) {
    for counts in counts {
        for (level, count) in counts.each() {
            out.add(&[counts.signal.name(), level.name()], count as f64);
        }
    }
}
