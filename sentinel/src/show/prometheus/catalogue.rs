//! Every metric there is, in the order it is shown.

use super::{host::HOST, metric::Metric, scopes::SCOPES};

/// Part by part: the agent and the host first, then what is said of scopes.
pub(super) const CATALOGUE: [&[Metric]; 2] = [HOST, SCOPES];
