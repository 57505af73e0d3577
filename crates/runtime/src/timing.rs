//! How long something takes, each time that it is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sharded::Sharded;

/// The most ends of buckets.
const MAX_ENDS: usize = 16;

/// How often something took how long. Threads note it without meeting each other.
#[derive(Debug)]
pub struct Timing {
    /// In seconds.
    ends: &'static [f64],
    buckets: Sharded<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    /// The last one is of all that took longer than the last end.
    counts: [AtomicU64; MAX_ENDS + 1],
    nanos: AtomicU64,
}

/// What a [`Timing`] has noted so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// How much time in all, in seconds.
    pub seconds: f64,
    /// How often.
    pub count: u64,
    /// Ends of the buckets, in seconds, with how often it took longer than the one before and at
    /// most this one. The last end is infinite.
    pub buckets: Vec<(f64, u64)>,
}

impl Timing {
    /// What a broker, a database or a handler takes: 0.5 ms to 10 s.
    #[must_use]
    pub fn of_calls() -> Self {
        Self::with(&[
            0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
        ])
    }

    /// What a buyer waits for: 5 ms to ten minutes.
    #[must_use]
    pub fn of_waits() -> Self {
        Self::with(&[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0,
            300.0, 600.0,
        ])
    }

    fn with(ends: &'static [f64]) -> Self {
        debug_assert!(ends.len() <= MAX_ENDS, "there is no room for more");
        Self {
            ends,
            buckets: Sharded::default(),
        }
    }

    /// Takes note of one time.
    pub fn note(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.ends.partition_point(|end| *end < seconds);
        let buckets = self.buckets.own();
        if let Some(count) = buckets.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        buckets.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Does something, and notes how long it took.
    pub async fn of<T>(&self, operation: impl Future<Output = T>) -> T {
        let start = std::time::Instant::now();
        let done = operation.await;
        self.note(start.elapsed());
        done
    }

    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> Timed {
        let mut counts = [0; MAX_ENDS + 1];
        let mut nanos = 0_u64;
        for buckets in self.buckets.iter() {
            for (sum, count) in counts.iter_mut().zip(&buckets.counts) {
                *sum += count.load(Ordering::Relaxed);
            }
            nanos = nanos.wrapping_add(buckets.nanos.load(Ordering::Relaxed));
        }
        let ends = self.ends.iter().copied().chain([f64::INFINITY]);
        Timed {
            seconds: Duration::from_nanos(nanos).as_secs_f64(),
            count: counts.iter().sum(),
            buckets: ends.zip(counts).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_bucket_that_ends_with_it_or_after_it() {
        let timing = Timing::of_calls();
        for millis in [0, 1, 1, 3, 10_000, 11_000] {
            timing.note(Duration::from_millis(millis));
        }
        let timed = timing.read();
        assert_eq!((timed.count, timed.seconds), (6, 21.005));
        let filled = timed.buckets.iter().filter(|(_, count)| *count > 0);
        let filled: Vec<_> = filled.copied().collect();
        let expected = [
            (0.0005, 1),
            (0.001, 2),
            (0.005, 1),
            (10.0, 1),
            (f64::INFINITY, 1),
        ];
        assert_eq!(filled, expected);
    }
}
