//! What a verdict shows of a scope's work. Decides nothing.

use super::{super::evidence::Evidence, Amplification, work::View};

impl Amplification {
    /// What a verdict shows.
    #[must_use]
    pub(in crate::judge) fn evidence(&self) -> Evidence {
        let sum = self.window.sum();
        let view = &sum
            .seconds()
            .map_or_else(View::default, |seconds| View::of(&sum.counts, seconds));
        let alpha = &self.pasts.alpha;
        let velocity = self.trajectory.as_ref().and_then(|trajectory| trajectory.velocity());
        let mut evidence = Evidence {
            value: view.alpha,
            baseline: alpha.published(),
            sigma: view.alpha.and_then(|value| alpha.sigmas(value)),
            rarity: view.alpha.and_then(|value| alpha.decades(value)),
            velocity_per_s: velocity.map(|slope| slope.per_s),
            acceleration_per_s2: self
                .trajectory
                .as_ref()
                .and_then(|trajectory| trajectory.acceleration_per_s2()),
            phase: Some(self.phases.phase()),
            risk: self.risk.published(),
            destination: self.worst.shown(self.end_ns),
            window_ms: sum.span_ns / 1_000_000,
            coverage: self.coverage,
            ..Evidence::default()
        };
        let usual = alpha.mean();
        evidence.feature("velocity_error_per_s", velocity.map(|slope| slope.error_per_s));
        evidence.feature("raw_ratio", view.raw_ratio);
        evidence.feature("work_out_per_s", view.out_per_s);
        evidence.feature("work_in_per_s", view.in_per_s);
        evidence.feature("work_in_baseline_per_s", self.pasts.inbound.mean());
        evidence.feature(
            "surplus_per_s",
            usual.map(|usual| view.out_per_s - usual * view.in_per_s),
        );
        evidence.feature("failed_per_s", view.failed_per_s);
        evidence.feature("failed_share", view.failed_share);
        evidence.feature("failed_share_baseline", self.usual_failed());
        evidence.feature("connect_attempts_per_s", view.attempts_per_s);
        evidence.feature("connect_failures_per_s", view.failures_per_s);
        evidence.feature("failing_share", view.failing_share);
        evidence.feature("repeated_failures_per_s", self.worst.failures_per_s());
        evidence.feature("requests_per_s", view.requests_per_s);
        evidence.feature("responses_per_s", view.responses_per_s);
        evidence.feature("unanswered_share", view.unanswered_share);
        evidence.feature("given_up_per_s", view.given_up_per_s);
        evidence.feature("retransmits_per_s", view.retransmits_per_s);
        evidence.feature("resets_in_per_s", view.resets_in_per_s);
        evidence.feature("packets_out_per_s", view.packets_out_per_s);
        evidence.feature("packets_in_per_s", view.packets_in_per_s);
        evidence.feature("packets_out_baseline_per_s", self.pasts.packets.mean());
        evidence.feature("phase_s", self.phases.seconds(self.end_ns));
        evidence
    }
}
