//! What many threads add to, without meeting each other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More than most machines have threads that serve at the same time.
const SHARDS: usize = 16;

/// The number of the next thread that asks.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// A value for each of some threads. A thread that counts in its own does not wait for the cache
/// line of another one.
#[derive(Debug)]
pub struct Sharded<T>(Box<[Alone<T>]>);

/// Processors fetch lines of 64 bytes in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Alone<T>(T);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Alone(T::default())).collect())
    }
}

impl<T> Sharded<T> {
    /// That of this thread, which few others have, too.
    #[must_use]
    pub fn own(&self) -> &T {
        let shard = SHARD.try_with(|shard| *shard).unwrap_or_default();
        &self.0[shard].0
    }

    /// Those of all threads.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|Alone(one)| one)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(Sharded<AtomicU64>);

impl Count {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, number: u64) {
        self.0.own().fetch_add(number, Ordering::Relaxed);
    }

    /// What all threads have added.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_all_threads_add_is_counted_once() {
        const THREADS: u64 = 2 * SHARDS as u64;
        const EACH: u64 = 10_000;
        let count = Count::default();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..EACH).for_each(|_| count.add_one()));
            }
        });
        count.add(5);
        assert_eq!(count.total(), THREADS * EACH + 5);
        let used = count.0.iter().filter(|one| one.load(Ordering::Relaxed) > 0);
        assert_eq!(used.count(), SHARDS);
    }
}
