//! What only a real broker can break.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod deletions;
mod deployments;
mod faults;
mod lanes;
#[path = "../management/mod.rs"]
mod management;
mod nodes;
mod operator;
#[path = "../process/mod.rs"]
mod process;
mod proxied;
