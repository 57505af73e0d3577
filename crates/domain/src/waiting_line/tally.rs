//! What this process accepted.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::intervals::REPEATED_AFTER_MICROS;
use crate::event::AcceptedOrders;
use crate::order::{Lane, Lanes};
use crate::receipt::ProcessId;
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// Counts the orders that this process accepted, by lane and class, without a lock.
#[derive(Debug)]
pub struct AcceptTally {
    process: ProcessId,
    lanes: Lanes,
    started: Timestamp,
    /// Two per lane, see [`Self::counter`].
    counters: Box<[Counter]>,
}

#[derive(Debug)]
struct Counter {
    /// The latest place that was counted, in µs, whatever the clock said at the start. Written before `total` and read
    /// after it, so that it is never before any place that `total` counts.
    through: AtomicI64,
    total: AtomicU64,
    /// The `total` that was announced last; [`NEVER`] before the first time.
    announced: AtomicU64,
    /// When that was, in µs.
    announced_at: AtomicI64,
}

const NEVER: u64 = u64::MAX;

impl AcceptTally {
    /// Nothing accepted yet by `process`, which starts now.
    #[must_use]
    pub fn new(process: ProcessId, lanes: Lanes, started: Timestamp) -> Self {
        let counters = (0..usize::from(lanes.count()) * PriorityClass::ALL.len())
            .map(|_| Counter {
                through: AtomicI64::new(Timestamp::MIN.as_micros()),
                total: AtomicU64::new(0),
                announced: AtomicU64::new(NEVER),
                announced_at: AtomicI64::new(started.as_micros()),
            })
            .collect();
        Self {
            process,
            lanes,
            started,
            counters,
        }
    }

    fn counter(&self, lane: Lane, class: PriorityClass) -> Option<&Counter> {
        let lane = usize::from(lane.index()) * PriorityClass::ALL.len();
        self.counters.get(lane + class.index())
    }

    /// Counts an order at the place `requested_at`.
    pub fn count(&self, lane: Lane, class: PriorityClass, requested_at: Timestamp) {
        let Some(counter) = self.counter(lane, class) else {
            return;
        };
        counter
            .through
            .fetch_max(requested_at.as_micros(), Ordering::Relaxed);
        counter.total.fetch_add(1, Ordering::Release);
    }

    /// What is to be announced at `now`: what changed since [`Self::note_announced`],
    /// and now and then what did not, for processes that started later. The
    /// first announcement of a lane and class comes with one of 0 orders before
    /// it, so that listeners know the beginning of its curve.
    #[must_use]
    pub fn to_announce(&self, now: Timestamp) -> Vec<AcceptedOrders> {
        let mut accepted = Vec::new();
        for lane in self.lanes.iter() {
            for class in PriorityClass::ALL {
                let Some(counter) = self.counter(lane, class) else {
                    continue;
                };
                let total = counter.total.load(Ordering::Acquire);
                let announced = counter.announced.load(Ordering::Relaxed);
                let since = counter.announced_at.load(Ordering::Relaxed);
                let is_due = now.as_micros().abs_diff(since) >= REPEATED_AFTER_MICROS;
                if total == 0 || (total == announced && !is_due) {
                    continue;
                }
                let through = counter.through.load(Ordering::Relaxed);
                let so_far = AcceptedOrders {
                    accepted_by: self.process,
                    lane,
                    class,
                    through: Timestamp::from_micros(through).unwrap_or(self.started),
                    total,
                };
                if announced == NEVER {
                    accepted.push(AcceptedOrders {
                        through: self.started.min(so_far.through.minus_micros(1)),
                        total: 0,
                        ..so_far
                    });
                }
                accepted.push(so_far);
            }
        }
        accepted
    }

    /// Takes note that `accepted` was announced at `now`.
    pub fn note_announced(&self, accepted: &[AcceptedOrders], now: Timestamp) {
        for orders in accepted {
            if let Some(counter) = self.counter(orders.lane, orders.class) {
                counter.announced.store(orders.total, Ordering::Relaxed);
                counter
                    .announced_at
                    .store(now.as_micros(), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn tally() -> AcceptTally {
        AcceptTally::new(ProcessId::new(7), Lanes::new(4).unwrap(), at(10))
    }

    fn lane(index: u8) -> Lane {
        Lanes::new(4).unwrap().get(index).unwrap()
    }

    fn announce(tally: &AcceptTally, now: i64) -> Vec<(u8, &'static str, i64, u64)> {
        let accepted = tally.to_announce(at(now));
        tally.note_announced(&accepted, at(now));
        let told = accepted.iter().map(|it| {
            assert_eq!(it.accepted_by, ProcessId::new(7));
            let through = it.through.as_micros();
            (it.lane.index(), it.class.as_str(), through, it.total)
        });
        told.collect()
    }

    #[test]
    fn only_what_changed_is_announced_and_the_first_time_its_beginning() {
        let tally = tally();
        assert_eq!(announce(&tally, 100), []);
        tally.count(lane(3), PriorityClass::High, at(101));
        tally.count(lane(3), PriorityClass::High, at(105));
        tally.count(lane(0), PriorityClass::Standard, at(103));
        let first = [
            (0, "standard", 10, 0),
            (0, "standard", 103, 1),
            (3, "high", 10, 0),
            (3, "high", 105, 2),
        ];
        // What was not announced is still to be.
        assert_eq!(tally.to_announce(at(110)).len(), 4);
        assert_eq!(announce(&tally, 110), first);
        assert_eq!(announce(&tally, 120), []);
        tally.count(lane(3), PriorityClass::High, at(104));
        assert_eq!(announce(&tally, 130), [(3, "high", 105, 3)]);
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_start_is_in_no_announcement() {
        let tally = AcceptTally::new(ProcessId::new(7), Lanes::new(4).unwrap(), at(9_000));
        tally.count(lane(0), PriorityClass::High, at(100));
        assert_eq!(
            announce(&tally, 110),
            [(0, "high", 99, 0), (0, "high", 100, 1)]
        );
    }

    #[test]
    fn what_did_not_change_is_repeated_after_a_while() {
        let tally = tally();
        tally.count(lane(1), PriorityClass::High, at(50));
        announce(&tally, 100);
        assert_eq!(announce(&tally, 5_000_099), []);
        assert_eq!(announce(&tally, 5_000_100), [(1, "high", 50, 1)]);
        assert_eq!(announce(&tally, 5_000_101), []);
    }

    /// Meanwhile a reader sees both numbers grow, and no place before one
    /// that was counted.
    #[test]
    fn concurrent_counts_are_neither_lost_nor_torn() {
        const THREADS: i64 = 3;
        const ORDERS: i64 = 100_000;
        let tally = tally();
        let next = AtomicI64::new(1);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..ORDERS {
                            let place = next.fetch_add(1, Ordering::Relaxed);
                            tally.count(lane(2), PriorityClass::Standard, at(10 + place));
                        }
                    })
                })
                .collect();
            let reader = scope.spawn(|| {
                let mut before = (at(0), 0);
                while !is_over.load(Ordering::Relaxed) {
                    let told = tally.to_announce(at(100));
                    let Some(told) = told.last() else { continue };
                    assert!(told.through >= before.0 && told.total >= before.1);
                    before = (told.through, told.total);
                    // Of so many different places the latest is at least that one.
                    let latest = told.through.as_micros() - 10;
                    assert!(latest.unsigned_abs() >= told.total);
                }
            });
            for thread in threads {
                thread.join().unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        let told = announce(&tally, 100);
        let last = THREADS * ORDERS;
        assert_eq!(told[1], (2, "standard", 10 + last, last.unsigned_abs()));
    }
}
