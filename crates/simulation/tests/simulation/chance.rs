//! Everything that is left to chance, drawn from one seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Draws all that a run leaves open.
pub(crate) struct Chance(StdRng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// From 0 up to and without `high`.
    pub(crate) fn below(&mut self, high: u64) -> u64 {
        self.0.random_range(0..high)
    }

    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    pub(crate) fn seats(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low..=high)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// True in `rate` of a thousand cases.
    pub(crate) fn happens(&mut self, rate: u64) -> bool {
        rate > 0 && self.below(1_000) < rate
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.0.random_range(0..items.len())]
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}

/// How often each thing goes wrong, in a thousand chances to do so. Every seed
/// has a weather of its own, in which about half of all this never happens, so
/// that no fault hides another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// A step takes tens of milliseconds instead of a few.
    pub(crate) slow: u64,
    /// A step takes up to seconds.
    pub(crate) stalls: u64,
    /// The process ends at a step, without a warning.
    pub(crate) crashes: u64,
    /// The process stands still at a step, up to longer than any time limit.
    pub(crate) freezes: u64,
    /// A statement fails before it did anything.
    pub(crate) store_fails: u64,
    /// A transaction is rolled back at its end.
    pub(crate) aborts: u64,
    /// A commit, or another answer of the store, is done and not heard of.
    pub(crate) answers_lost: u64,
    /// A message is not stored.
    pub(crate) messages_lost: u64,
    /// A message is stored, its confirm is lost.
    pub(crate) confirms_lost: u64,
    /// A message is stored after its sender has given up on it.
    pub(crate) messages_late: u64,
    /// What is in the queue is not delivered yet.
    pub(crate) deliveries_late: u64,
    /// An ack gets lost with the connection.
    pub(crate) acks_lost: u64,
    /// The broker takes the lane away.
    pub(crate) lanes_lost: u64,
    /// An announcement fails, done or not.
    pub(crate) announcements_fail: u64,
    /// A dead letter is not put aside, or is without its sender knowing.
    pub(crate) letters_fail: u64,
    /// A client goes away while it waits, or its answer gets lost.
    pub(crate) clients_leave: u64,
    /// The big ones, in each turn of the chaos: processes, broker, store.
    pub(crate) disasters: u64,
}

impl Weather {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let mut rate = |worst: u64| match chance.below(4) {
            0 | 1 => 0,
            2 => chance.between(1, worst.div_ceil(4)),
            _ => chance.between(1, worst),
        };
        Self {
            slow: rate(400),
            stalls: rate(30),
            crashes: rate(12),
            freezes: rate(4),
            store_fails: rate(80),
            aborts: rate(100),
            answers_lost: rate(150),
            messages_lost: rate(200),
            confirms_lost: rate(300),
            messages_late: rate(150),
            deliveries_late: rate(300),
            acks_lost: rate(200),
            lanes_lost: rate(50),
            announcements_fail: rate(150),
            letters_fail: rate(300),
            clients_leave: rate(150),
            disasters: rate(1_000),
        }
    }
}
