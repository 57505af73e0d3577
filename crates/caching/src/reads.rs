//! How often a cache had what it was asked for.

use runtime::{Count, Timed, Timing};

/// How often a cache had what it was asked for, and how often not.
#[derive(Debug)]
pub struct CacheReads {
    hits: Count,
    misses: Count,
    seconds: Timing,
}

impl Default for CacheReads {
    fn default() -> Self {
        Self {
            hits: Count::default(),
            misses: Count::default(),
            seconds: Timing::of_calls(),
        }
    }
}

impl CacheReads {
    /// How often it had it.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.total()
    }

    /// How often the store was asked instead.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.total()
    }

    /// How long the store took then.
    #[must_use]
    pub fn miss_seconds(&self) -> Timed {
        self.seconds.read()
    }

    /// Asks the store for what was not found, and notes how long that took.
    pub(crate) async fn ask<T>(&self, asking: impl Future<Output = T>) -> T {
        self.seconds.of(asking).await
    }

    /// Counts what was `found`, and passes it on.
    pub(crate) fn count<T>(&self, found: Option<T>) -> Option<T> {
        let count = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        count.add_one();
        found
    }
}
