//! The contract of each port, written once as cases that every adapter runs.
//!
//! An adapter's test file names a function that builds a fresh harness, and
//! gets one test per case:
//!
//! ```ignore
//! async fn store() -> StoreHarness { /* an empty store, and a second connection to it */ }
//! port_contracts::user_repository_contract!(store);
//! port_contracts::ticket_ledger_contract!(store);
//! ```
//!
//! The adapter's crate needs tokio with `macros` and `rt-multi-thread` for it.
//! A case may take as long as [`DEADLINE`]; it waits for what must happen, never
//! for time to pass, except where something must *not* happen meanwhile. How long
//! it took is printed by [`measured`], never asserted.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "every line here is part of a test"
)]

/// Makes the macro of a port's contract out of its cases.
macro_rules! contract {
    ($dollar:tt $contract:ident, $port:ident, [$($case:ident),* $(,)?]) => {
        /// Makes a test of every case, or with `in_turn` one function that runs all; `$harness` is
        /// an async function that returns a fresh harness.
        #[macro_export]
        macro_rules! $contract {
            ($dollar harness:path $dollar(, $dollar mode:ident)?) => {
                $crate::__tests!($port, $dollar harness, [$($case),*] $dollar(, $dollar mode)?);
            };
        }
    };
}

mod clock;
pub mod dead_letters;
pub mod dependency;
pub mod fixtures;
mod harness;
pub mod lane_claims;
pub mod limit;
mod set_up;
pub mod show_repository;
pub mod state_cache;
mod support;
pub mod ticket_consumer;
pub mod ticket_events;
pub mod ticket_ledger;
pub mod ticket_publisher;
pub mod user_repository;

pub use clock::{ClockStall, ManualClock};
pub use harness::{
    Connect, EventsHarness, Harness, LimitHarness, QueueHarness, QueueUnderTest, StateCacheHarness,
    StoreHarness, StoreUnderTest,
};
pub use set_up::{
    DEAD_LETTER_CAPACITY, EVENT_BUFFER, HIGH_WEIGHT, LANES, QUEUE_CAPACITY, STANDARD_WEIGHT,
};
pub use support::{DEADLINE, measured, promised, within};

/// One test per case of a port. The module of the tests is called like the port's. With `in_turn`
/// it has a function instead that runs all cases, for servers that take long to start.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($port:ident, $harness:path, [$($case:ident),* $(,)?]) => {
        mod $port {
            #[allow(unused_imports, reason = "the harness may be named by its full path")]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let harness = $harness().await;
                    $crate::within(stringify!($case), $crate::$port::$case(&harness)).await;
                    $crate::Harness::verify(&harness).await;
                }
            )*
        }
    };
    ($port:ident, $harness:path, [$($case:ident),* $(,)?], in_turn) => {
        mod $port {
            use super::*;

            pub(super) async fn in_turn() {
                $(
                    let harness = $harness().await;
                    $crate::within(stringify!($case), $crate::$port::$case(&harness)).await;
                    $crate::Harness::verify(&harness).await;
                )*
            }
        }
    };
}
