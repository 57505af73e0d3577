//! The service over real HTTP, each test against a process side of its own on a free port.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod administration;
mod audit;
mod backend;
mod bad_orders;
mod health;
mod helpers;
mod holds;
mod idempotency;
mod orders;
mod program;
mod queueing;
mod raw;
mod reading;
mod stopping;
