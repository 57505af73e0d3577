//! What is tried with bytes from outside: `run` of each module panics where something is wrong.
//! libFuzzer makes the bytes up in `fuzz`, which is a workspace of its own, and a test here changes
//! the seeds at random.

#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target fails by a panic"
)]

pub mod connections;
pub mod documents;
pub mod key_sets;
pub mod limits;
pub mod receipts;
pub mod requests;
pub mod scenarios;
pub mod settings;
mod support;
pub mod tokens;
pub mod values;
pub mod websockets;
pub mod wire;
