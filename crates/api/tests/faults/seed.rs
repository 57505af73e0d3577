//! Reproducible chance.

use std::env;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Draws everything that a test leaves to chance.
pub(crate) struct Chance(StdRng);

impl Chance {
    /// Prints its seed, which `TICKETS_FAULT_SEED` sets.
    #[expect(clippy::print_stderr, reason = "shown with a failed test")]
    pub(crate) fn new() -> Self {
        let seed = env::var("TICKETS_FAULT_SEED")
            .ok()
            .map_or_else(rand::random, |text| text.parse().unwrap());
        eprintln!("TICKETS_FAULT_SEED={seed}");
        Self(StdRng::seed_from_u64(seed))
    }

    /// Independent of what is drawn here later.
    pub(crate) fn another(&mut self) -> Self {
        Self(StdRng::seed_from_u64(self.0.random()))
    }

    /// From `low` up to and without `high`.
    pub(crate) fn below(&mut self, high: u64) -> u64 {
        self.0.random_range(0..high)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.0.random_range(0..items.len())]
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.below(high - low))
    }
}
