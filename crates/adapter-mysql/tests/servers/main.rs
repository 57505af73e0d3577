//! What only servers of a test's own can show: bad defaults, no right to write, a primary that
//! is demoted or killed.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

#[macro_use]
mod every_contract;
mod galera;
mod hanging_up;
mod hostile;
mod primary;
mod readiness;
mod scene;

#[path = "../harness/mod.rs"]
mod harness;
