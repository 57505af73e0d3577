//! Decided state in the memory of a process.

use async_trait::async_trait;
use domain::ports::{CacheInstant, Cached, State, StateCache, StateKey};
use moka::ops::compute::Op;
use moka::sync::Cache;
use tokio::time::Instant;

/// States kept in memory, of less than half a kilobyte each.
const MAX: u64 = 50_000;

/// Keeps the states that were read last. Other processes do not see them.
pub struct MemoryStateCache {
    states: Cache<StateKey, Entry>,
    began: Instant,
}

#[derive(Clone)]
struct Entry {
    state: State,
    until: CacheInstant,
}

impl MemoryStateCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self {
            states: Cache::new(MAX),
            began: Instant::now(),
        }
    }

    fn now(&self) -> CacheInstant {
        CacheInstant(0).plus(self.began.elapsed())
    }

    /// Writes what `change` makes of what is there, in one step.
    fn change(&self, key: StateKey, change: impl FnOnce(Option<Entry>) -> Option<Entry>) {
        let now = self.now();
        self.states.entry(key).and_compute_with(|held| {
            let held = held.map(moka::Entry::into_value);
            match change(held.filter(|held| now < held.until)) {
                Some(entry) => Op::Put(entry),
                None => Op::Nop,
            }
        });
    }
}

impl Default for MemoryStateCache {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl StateCache for MemoryStateCache {
    async fn get(&self, key: &StateKey) -> Option<Cached> {
        let asked_at = self.now();
        let held = self.states.get(key).filter(|held| asked_at < held.until);
        let until = held.as_ref().map_or(asked_at, |held| held.until);
        let state = held.map(|held| held.state);
        Some(Cached {
            asked_at,
            state,
            until,
        })
    }

    async fn put(&self, state: State, until: CacheInstant) {
        if self.now() >= until {
            return;
        }
        self.change(state.key(), |held| {
            let is_better = held.is_none_or(|held| {
                let order = held.state.version().cmp(&state.version());
                order.then(until.cmp(&held.until)).is_lt()
            });
            is_better.then_some(Entry { state, until })
        });
    }

    async fn raise(&self, states: Vec<State>) {
        for state in states {
            self.change(state.key(), |held| {
                let held = held.filter(|held| held.state.version() <= state.version());
                held.map(|Entry { until, .. }| Entry { state, until })
            });
        }
    }
}
