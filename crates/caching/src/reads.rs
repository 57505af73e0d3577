//! How often a cache had what it was asked for.

use runtime::Count;

/// How often a cache had what it was asked for, and how often not.
#[derive(Debug, Default)]
pub struct CacheReads {
    hits: Count,
    misses: Count,
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
