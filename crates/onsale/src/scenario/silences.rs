//! What faults may cost at most, in silences: `docs/LOAD.md` explains these.

use super::faults::FaultKind;

/// Required of faults, each limit by their kind and in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SilenceLimits {
    /// Of the longest time in which orders for a show waited and none got its verdict.
    pub(crate) show_without_verdict: Vec<(FaultKind, f64)>,
    /// Of the same time without an acceptance, less what the fault itself lasted.
    pub(crate) accepted_again: Vec<(FaultKind, f64)>,
}
