//! What only a real broker can break.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod deletions;
mod deployments;
mod faults;
mod lanes;
mod nodes;
#[path = "../process/mod.rs"]
mod process;
mod proxied;
