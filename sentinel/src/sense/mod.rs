//! From counters to samples: differences over elapsed time, per scope.
#![forbid(unsafe_code)]

pub mod attention;
pub mod cgroups;
pub mod delta;
pub mod limits;
pub mod live;
pub mod liveness;
pub mod mount;
pub mod naming;
pub mod origin;
pub mod price;
pub mod record;
pub mod replay;
pub mod sample;
pub mod series;
mod slots;
pub mod spare;

pub use sample::Sample;

use self::{
    liveness::Change,
    spare::{ProgramShares, Spared},
};
use crate::time::Now;

/// Where samples come from: the running kernel. The edge at which tests put their own.
pub trait Source {
    /// Reads what was counted since the last reading: every sensor when it is a `tick`, else the network sensor only.
    fn read(&mut self, now: Now, tick: bool) -> Sample;

    /// A sensor that does not run any more, or runs again, since the last call.
    fn changed(&mut self, _now: Now) -> Option<Change> {
        None
    }

    /// What the programs took between the last two ticks.
    fn program_shares(&self) -> ProgramShares {
        ProgramShares::default()
    }

    /// Sensors that can be left out and taken up again.
    fn sparable(&self) -> Spared {
        Spared::default()
    }

    /// Leaves these sensors out from now on, and takes the others up again.
    fn spare(&mut self, _spared: Spared, _now: Now) {}
}
