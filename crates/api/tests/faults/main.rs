//! Faults on the way from an order to its verdict: processes are killed or
//! frozen, connections cut, stalled and slow, while buyers order. After each:
//! every `202` has one verdict, nothing is oversold or undersold, nobody was
//! overtaken, and the audit finds nothing.
//!
//! What is drawn at random comes from one seed, which is printed;
//! `TICKETS_FAULT_SEED` gives it again.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod alerts;
mod broker;
mod buyers;
mod cluster;
mod database;
mod deployment;
mod frozen;
mod handover;
mod killed;
mod listeners;
mod listening;
mod orders;
mod pair;
mod poison;
mod priorities;
mod probes;
mod prometheus;
mod proof;
mod scene;
mod seed;

#[path = "../api_on_services/backend.rs"]
mod backend;

/// What a service answers while it is broken is documented, too.
#[path = "../api/contract.rs"]
#[allow(dead_code, reason = "one of the programs that have this file uses all")]
mod contract;
