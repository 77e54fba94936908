//! What the programs of each sensor cost, and which of them are left out to save it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shares of one CPU that programs inside the kernel took between two ticks. `None` while no event was timed as yet, or while
/// the sensor does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgramShares {
    /// At switches of tasks.
    pub sched: Option<f64>,
    /// At pages.
    pub mem: Option<f64>,
    /// At packets and connections.
    pub net: Option<f64>,
}

impl ProgramShares {
    /// All that is known.
    #[must_use]
    pub fn sum(&self) -> f64 {
        [self.sched, self.mem, self.net].into_iter().flatten().sum()
    }
}

/// Sensors that can be left out. Switches of tasks cannot: all others are attributed by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// Pages.
    pub mem: bool,
    /// Packets and connections.
    pub net: bool,
}

impl Spared {
    /// Each with its name.
    #[must_use]
    pub const fn named(self) -> [(&'static str, bool); 2] {
        [("mem", self.mem), ("net", self.net)]
    }
}
