//! How often lines are told of, and how soon they are known.

use std::time::Duration;

/// How often a process announces what it accepted, if it accepted anything.
pub const ANNOUNCED_EVERY: Duration = Duration::from_micros(ANNOUNCED_EVERY_MICROS as u64);
/// After so long every process has announced the orders of a moment.
pub const SETTLES_AFTER: Duration = Duration::from_micros(SETTLES_AFTER_MICROS);

pub(super) const ANNOUNCED_EVERY_MICROS: u32 = 100_000;
pub(super) const SETTLES_AFTER_MICROS: u64 = 500_000;
/// After so long a process announces again what did not change.
pub(super) const REPEATED_AFTER_MICROS: u64 = 5_000_000;
