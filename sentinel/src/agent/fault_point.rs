//! Where a test ends or halts the agent in the middle of a reading. Only in builds with the feature `fault-points`: the agent as
//! it is shipped passes every stage and knows nothing of this. Never does anything before an action holds.

/// The stages of a reading, in their order. What a test may ask for is the name in small letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A sample was read and not yet judged.
    Read,
    /// It was judged, and nothing was planned.
    Judge,
    /// What verdicts call for was ordered.
    Plan,
    /// What holds was compared with what was expected of it.
    Observe,
    /// Every surface has heard of it.
    Publish,
    /// What holds was renewed.
    Tend,
}

#[cfg(not(feature = "fault-points"))]
pub(super) use without::FaultPoint;

#[cfg(feature = "fault-points")]
pub(super) use with::FaultPoint;

#[cfg(not(feature = "fault-points"))]
mod without {
    use super::Stage;

    /// Nothing.
    pub(in crate::agent) struct FaultPoint;

    impl FaultPoint {
        pub(in crate::agent) const fn from_environment() -> Self {
            Self
        }

        pub(in crate::agent) const fn pass(&mut self, _: Stage, _: bool) {}
    }
}

#[cfg(feature = "fault-points")]
mod with {
    use nix::sys::signal::{Signal, raise};

    use super::Stage;

    /// `STAGE:SIGNAL`, as `judge:SIGKILL`.
    const VARIABLE: &str = "SENTINEL_FAULT_POINT";
    /// The passes of the stage while something holds, of which the last one is the fault.
    const PASSES: u32 = 3;

    /// What a test asked for.
    pub(in crate::agent) struct FaultPoint {
        asked: Option<(Stage, Signal)>,
        passes: u32,
    }

    impl FaultPoint {
        pub(in crate::agent) fn from_environment() -> Self {
            let asked = std::env::var(VARIABLE).ok().and_then(|text| parsed(&text));
            Self { asked, passes: 0 }
        }

        pub(in crate::agent) fn pass(&mut self, stage: Stage, holds: bool) {
            let Some((at, signal)) = self.asked.filter(|(at, _)| *at == stage && holds) else {
                return;
            };
            self.passes += 1;
            if self.passes == PASSES {
                self.asked = None;
                // One that ends the process does not come back; one that halts it comes back when it is continued.
                let done = raise(signal);
                tracing::warn!("went on after the fault at {at:?}: {done:?}");
            }
        }
    }

    fn parsed(text: &str) -> Option<(Stage, Signal)> {
        let (stage, signal) = text.split_once(':')?;
        let all = [
            Stage::Read,
            Stage::Judge,
            Stage::Plan,
            Stage::Observe,
            Stage::Publish,
            Stage::Tend,
        ];
        let stage = all.into_iter().find(|one| format!("{one:?}").to_lowercase() == stage)?;
        Some((stage, signal.parse().ok()?))
    }
}
