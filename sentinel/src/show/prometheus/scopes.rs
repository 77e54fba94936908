//! Metrics of single scopes: level, value, velocity and acceleration of each signal, and what follows from them.

use super::metric::{Kind::Gauge, Metric, Samples, View};
use crate::{judge::verdict::Signal, show::state::SignalState};

const SCOPE: &[&str] = &["scope"];
const SIGNAL: &[&str] = &["scope", "signal"];
/// Seconds in a millisecond, the unit of jitter in verdicts.
const MS: f64 = 1e-3;
/// Bytes in a megabyte, the unit of fever in verdicts.
const MB: f64 = 1e6;

macro_rules! metrics {
    ($($name:literal, $unit:literal, $labels:expr, $help:literal, $read:expr;)*) => {
        &[$(Metric { name: $name, unit: $unit, kind: Gauge, labels: $labels, help: $help, read: $read }),*]
    };
}

#[rustfmt::skip]
pub(super) const SCOPES: &[Metric] = metrics![
    "sentinel_signal_level", "", SIGNAL, "Level of a signal: 0 unknown, 1 nominal, 2 watch, 3 veto", |view, out| every(view, out, |signal| Some(f64::from(signal.level as u8)));
    "sentinel_signal", "sigmas", SIGNAL, "How far the value lies above the scope's own past", |view, out| every(view, out, |signal| signal.sigma);
    "sentinel_signal_rarity", "decades", SIGNAL, "How rarely the scope's own past was as high: 3 is once in a thousand readings", |view, out| every(view, out, |signal| signal.rarity);
    "sentinel_scope_severity", "", SCOPE, "Level of the worst signal plus how rare its value is, from 0 to 4", |view, out| view.scopes.iter().for_each(|(label, scope)| out.add(&[label], scope.severity));
    "sentinel_jitter", "seconds", SCOPE, "Jitter: dispersion of run-queue wait", |view, out| one(view, out, Signal::Jitter, |signal| Some(signal.value? * MS));
    "sentinel_jitter_baseline", "seconds", SCOPE, "Its mean in the scope's own past", |view, out| one(view, out, Signal::Jitter, |signal| Some(signal.baseline?.mean * MS));
    "sentinel_jitter_velocity", "seconds_per_second", SCOPE, "Its first derivative", |view, out| one(view, out, Signal::Jitter, |signal| Some(signal.velocity_per_s? * MS));
    "sentinel_jitter_acceleration", "seconds_per_second_squared", SCOPE, "Its second derivative", |view, out| one(view, out, Signal::Jitter, |signal| Some(signal.acceleration_per_s2? * MS));
    "sentinel_fever", "bytes_per_second", SCOPE, "Fever: net page-allocation velocity", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.value? * MB));
    "sentinel_fever_baseline", "bytes_per_second", SCOPE, "Its mean in the scope's own past", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.baseline?.mean * MB));
    "sentinel_fever_velocity", "bytes_per_second_squared", SCOPE, "Its first derivative", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.velocity_per_s? * MB));
    "sentinel_fever_acceleration", "bytes_per_second_cubed", SCOPE, "Its second derivative", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.acceleration_per_s2? * MB));
    "sentinel_amplification", "ratio", SCOPE, "Amplification: work going out per work coming in", |view, out| one(view, out, Signal::Amplification, |signal| signal.value);
    "sentinel_amplification_baseline", "ratio", SCOPE, "Its mean in the scope's own past", |view, out| one(view, out, Signal::Amplification, |signal| Some(signal.baseline?.mean));
    "sentinel_amplification_velocity", "ratio_per_second", SCOPE, "Its first derivative", |view, out| one(view, out, Signal::Amplification, |signal| signal.velocity_per_s);
    "sentinel_amplification_acceleration", "ratio_per_second_squared", SCOPE, "Its second derivative", |view, out| one(view, out, Signal::Amplification, |signal| signal.acceleration_per_s2);
    "sentinel_amplification_phase", "", SCOPE, "Phase: 0 healthy, 1 overloaded, 2 amplifying, 3 metastable, 4 recovering", |view, out| one(view, out, Signal::Amplification, |signal| Some(f64::from(signal.phase? as u8)));
    "sentinel_overload_risk", "ratio", SCOPE, "Load times attempts per failure over capacity: from 1 on a failure would sustain itself", |view, out| one(view, out, Signal::Amplification, |signal| Some(signal.risk?.overload));
    "sentinel_exhaustion", "seconds", SCOPE, "Time until the memory limit is reached on the present course", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.forecast?.exhaustion_s));
    "sentinel_exhaustion_earliest", "seconds", SCOPE, "The lower end of that forecast", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.forecast?.earliest_s));
    "sentinel_exhaustion_latest", "seconds", SCOPE, "The upper end of that forecast; absent when it may never be reached", |view, out| one(view, out, Signal::Fever, |signal| signal.forecast?.latest_s);
    "sentinel_memory_limit", "bytes", SCOPE, "The limit that the forecast runs to", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.forecast?.limit_bytes as f64));
    "sentinel_forecast_inside", "ratio", SCOPE, "Share of the scope's scored forecasts whose interval held the true time", |view, out| one(view, out, Signal::Fever, |signal| Some(signal.forecast?.score?.inside_share));
];

/// One sample for each signal of each scope.
fn every(view: &View<'_>, out: &mut Samples, of: impl Fn(&SignalState) -> Option<f64>) {
    for (label, scope) in &view.scopes {
        for signal in &scope.signals {
            out.add(&[label, signal.signal.name()], of(signal));
        }
    }
}

/// One sample for each scope that has the signal.
fn one(view: &View<'_>, out: &mut Samples, which: Signal, of: impl Fn(&SignalState) -> Option<f64>) {
    for (label, scope) in &view.scopes {
        if let Some(signal) = scope.signals.iter().find(|signal| signal.signal == which) {
            out.add(&[label], of(signal));
        }
    }
}
