//! What figures call processes.

pub(crate) const API: &str = "tickets api";
pub(crate) const WORKER: &str = "tickets worker";
/// A process that is both.
pub(crate) const ALL: &str = "tickets all";
/// This process.
pub(crate) const CLIENT: &str = "client";
