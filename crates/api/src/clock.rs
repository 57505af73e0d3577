//! The machine's clock, and whether it is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use domain::ports::{Clock, Dependency, DependencyDown};
use domain::time::Timestamp;
use parking_lot::Mutex;
use runtime::Outage;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Tells the time of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    /// A machine that believes to live before 1970 or after 9998 gets the
    /// nearest instant that a [`Timestamp`] can hold.
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since_epoch.as_micros())
            .ok()
            .and_then(|micros| Timestamp::from_micros(micros).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

/// Between two comparisons.
const COMPARE: Duration = Duration::from_secs(1);
/// The same, while the clock is not known to be right.
const COMPARE_SOON: Duration = Duration::from_millis(200);

const NEVER_COMPARED: u8 = 0;
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

/// Time since some instant, which nobody can set.
type Steady = Box<dyn Fn() -> Duration + Send + Sync>;

/// A clock that is compared with the store's, and that is not believed when it jumps: what is
/// dated too late stays so, because places in a line only grow.
///
/// Each comparison that finds it right notes how far it is ahead of a steady one. While it is
/// more than `max_skew` away from that, it has been set since: the time is then what it would
/// be had it not been set, and no order is taken until the next comparison, which tells who was right.
pub(crate) struct WatchedClock {
    clock: Arc<dyn Clock>,
    steady: Steady,
    store: Arc<dyn Dependency>,
    max_skew_micros: i64,
    /// In µs, as the latest comparison that found it right noted.
    ahead_of_steady: AtomicI64,
    state: AtomicU8,
    outage: Mutex<Outage>,
}

impl WatchedClock {
    /// Not yet compared, so no order is dated by it.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        store: Arc<dyn Dependency>,
        max_skew: Duration,
    ) -> Self {
        let started = Instant::now();
        Self::beside(Box::new(move || started.elapsed()), clock, store, max_skew)
    }

    fn beside(
        steady: Steady,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Dependency>,
        max_skew: Duration,
    ) -> Self {
        Self {
            clock,
            steady,
            store,
            max_skew_micros: micros(max_skew),
            ahead_of_steady: AtomicI64::new(0),
            state: AtomicU8::new(NEVER_COMPARED),
            outage: Mutex::new(Outage::of("clock")),
        }
    }

    /// Compares again and again.
    pub(crate) async fn watch(&self, stop: &CancellationToken) {
        loop {
            // The store's failures are told where it is used.
            let _told = self.compare(self.store.check_clock()).await;
            let pause = match self.state.load(Ordering::Relaxed) {
                RIGHT => COMPARE,
                _ => COMPARE_SOON,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Takes note of what a check of the store says of the clock.
    async fn compare(
        &self,
        check: impl Future<Output = Result<(), DependencyDown>>,
    ) -> Result<(), DependencyDown> {
        let before = self.read_ahead();
        let checked = check.await;
        let ahead = self.read_ahead();
        match &checked {
            // Else it was set meanwhile.
            Ok(()) if before.abs_diff(ahead) <= self.max_skew_micros.unsigned_abs() => {
                self.ahead_of_steady.store(ahead, Ordering::Relaxed);
                self.state.store(RIGHT, Ordering::Release);
                self.outage.lock().record_success();
            }
            Err(down) if down.is_clock_off() => {
                self.state.store(WRONG, Ordering::Relaxed);
                self.outage.lock().record_failure(down);
            }
            // Who does not answer says nothing of the time.
            Ok(()) | Err(_) => {}
        }
        checked
    }

    fn read_ahead(&self) -> i64 {
        self.clock.now().as_micros() - micros((self.steady)())
    }

    /// The time, and whether the clock has it.
    fn read(&self) -> (Timestamp, bool) {
        let now = self.clock.now();
        let state = self.state.load(Ordering::Acquire);
        if state == NEVER_COMPARED {
            return (now, false);
        }
        let is_right = state == RIGHT;
        let ahead = self.ahead_of_steady.load(Ordering::Relaxed);
        let expected = micros((self.steady)()).saturating_add(ahead);
        let is_near = |now: Timestamp, expected: i64| {
            now.as_micros().abs_diff(expected) <= self.max_skew_micros.unsigned_abs()
        };
        if is_near(now, expected) {
            return (now, is_right);
        }
        // The thread may have been interrupted between the two, or the clock was just compared.
        let ahead = self.ahead_of_steady.load(Ordering::Relaxed);
        let earliest = micros((self.steady)()).saturating_add(ahead);
        let now = self.clock.now();
        let latest = micros((self.steady)()).saturating_add(ahead);
        if is_near(now, now.as_micros().clamp(earliest, latest)) {
            return (now, is_right);
        }
        let expected = latest.clamp(Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
        (Timestamp::from_micros(expected).unwrap_or(now), false)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        self.read().0
    }

    fn right_now(&self) -> Option<Timestamp> {
        let (now, is_right) = self.read();
        is_right.then_some(now)
    }
}

/// As a dependency it is the store, so that who finds the store well finds orders taken.
#[async_trait]
impl Dependency for WatchedClock {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        self.compare(self.store.check()).await
    }
}

#[cfg(test)]
mod tests {
    use domain::ports::ClocksDiffer;
    use parking_lot::RwLock;
    use port_contracts::ManualClock;

    use super::*;

    const MAX_SKEW: Duration = Duration::from_millis(100);

    /// Compares the process's clock with its own.
    struct ComparingStore {
        clock: Arc<ManualClock>,
        right: RwLock<Option<Timestamp>>,
    }

    #[async_trait]
    impl Dependency for ComparingStore {
        fn name(&self) -> &'static str {
            "store"
        }

        async fn check(&self) -> Result<(), DependencyDown> {
            let down = |source: Option<ClocksDiffer>| DependencyDown {
                reason: String::new(),
                source: source.map(|it| it.into()),
            };
            let right = self.right.read().ok_or_else(|| down(None))?;
            let skew = self.clock.now().as_micros().abs_diff(right.as_micros());
            let skew = Duration::from_micros(skew);
            if skew > MAX_SKEW {
                return Err(down(Some(ClocksDiffer { skew })));
            }
            Ok(())
        }
    }

    struct World {
        manual: Arc<ManualClock>,
        store: Arc<ComparingStore>,
        steady: Arc<AtomicI64>,
        watched: WatchedClock,
    }

    fn at(seconds: u32) -> Timestamp {
        Timestamp::MIN.plus_seconds(seconds)
    }

    impl World {
        fn new() -> Self {
            let manual = Arc::new(ManualClock::new(at(1_000)));
            let store = Arc::new(ComparingStore {
                clock: Arc::clone(&manual),
                right: RwLock::new(Some(at(1_000))),
            });
            let steady = Arc::new(AtomicI64::new(0));
            let read = Arc::clone(&steady);
            let watched = WatchedClock::beside(
                Box::new(move || {
                    Duration::from_micros(read.load(Ordering::Relaxed).unsigned_abs())
                }),
                manual.clone(),
                store.clone(),
                MAX_SKEW,
            );
            Self {
                manual,
                store,
                steady,
                watched,
            }
        }

        /// The world goes on, and with it the clock.
        fn pass(&self, seconds: u32) {
            self.manual.advance_seconds(seconds);
            self.steady
                .fetch_add(i64::from(seconds) * 1_000_000, Ordering::Relaxed);
            let mut right = self.store.right.write();
            *right = right.map(|right| right.plus_seconds(seconds));
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_dates_nothing_until_it_is_right_again() {
        let world = World::new();
        let clock = &world.watched;
        // Nobody has said yet that it is right.
        assert_eq!(clock.right_now(), None);
        clock.check().await.unwrap();
        assert_eq!(clock.right_now(), Some(at(1_000)));
        world.pass(10);
        assert_eq!(clock.right_now(), Some(at(1_010)));
        for wrong in [at(1_310), at(710)] {
            world.manual.set(wrong);
            // At once, before anybody has compared; what is dated still is dated right.
            assert_eq!((clock.right_now(), clock.now()), (None, at(1_010)));
            clock.check().await.unwrap_err();
            assert_eq!((clock.right_now(), clock.now()), (None, at(1_010)));
            world.manual.set(at(1_010));
            // Known to be off until it is compared.
            assert_eq!((clock.right_now(), clock.now()), (None, at(1_010)));
            clock.check().await.unwrap();
            assert_eq!(clock.right_now(), Some(at(1_010)));
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_off_from_the_start_is_right_once_it_is_set() {
        let world = World::new();
        let clock = &world.watched;
        world.manual.set(at(1_300));
        clock.check().await.unwrap_err();
        assert_eq!(clock.right_now(), None);
        world.manual.set(at(1_000));
        clock.check().await.unwrap();
        assert_eq!(clock.right_now(), Some(at(1_000)));
    }

    #[tokio::test]
    async fn a_clock_that_was_set_right_after_a_pause_of_the_machine_is_taken_on() {
        let world = World::new();
        let clock = &world.watched;
        clock.check().await.unwrap();
        // The steady clock stands still meanwhile.
        world.manual.set(at(4_600));
        *world.store.right.write() = Some(at(4_600));
        assert_eq!(clock.right_now(), None);
        clock.check().await.unwrap();
        assert_eq!(clock.right_now(), Some(at(4_600)));
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_says_nothing_of_the_clock() {
        let world = World::new();
        let clock = &world.watched;
        clock.check().await.unwrap();
        *world.store.right.write() = None;
        clock.check().await.unwrap_err();
        world.pass(60);
        assert_eq!(clock.right_now(), Some(at(1_060)));
    }
}
