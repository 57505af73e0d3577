//! Where the waiting lines are: what a buyer hears while an order is queued.
//!
//! Each lane and class is a line of its own. A process that accepts orders
//! announces how many it has accepted so far and up to which place
//! ([`AcceptTally`]), every [`ANNOUNCED_EVERY`]; a listener gets a curve of
//! arrivals per process from that. The decided tickets tell up to which place the
//! orders of each process are decided, because those are decided in the sequence of
//! their places. The orders ahead of a place are what the curves rise between the two.
//!
//! **How exact.** A curve is straight between two announcements, so it is off by
//! no more than what a process accepts in [`ANNOUNCED_EVERY`], at either end; what
//! lies between the ends is counted, not guessed. Decisions are heard a batch at a time.
//! A time-ordered id tells when its order was asked for, to the millisecond; its
//! place is later by as long as the publisher had to wait for the queue.

mod curve;
mod intervals;
mod line;
mod rate;
mod tally;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

pub use intervals::{ANNOUNCED_EVERY, SETTLES_AFTER};
pub use tally::AcceptTally;

use self::line::Line;
use crate::event::{AcceptedOrders, SettledOrders};
use crate::order::{Lane, Lanes, Order};
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// Where an order is in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinePlace {
    /// The latest place that was decided in this line. Never goes back.
    pub now_serving_at: Option<Timestamp>,
    /// Estimate; `None` while it cannot be told.
    pub orders_ahead: Option<u64>,
    /// Estimate from the rate of the last seconds, in milliseconds; `None`
    /// if that or the orders ahead cannot be told.
    pub wait_ms: Option<u64>,
    /// Whether the order waits and nothing is being decided.
    pub stalled: bool,
}

/// The orders of a line that wait for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many; `None` while it cannot be told. A line that nobody was heard of has none.
    pub orders: Option<u64>,
    /// For how long the one has waited that came first.
    pub oldest_for: Duration,
}

/// All lines, as far as this process has heard.
#[derive(Debug)]
pub struct WaitingLine {
    stalled_after_micros: u64,
    /// What happened before this was not heard. In µs.
    listening_since: AtomicI64,
    /// Per lane and class.
    lines: Box<[[Mutex<Line>; PriorityClass::ALL.len()]]>,
}

impl WaitingLine {
    /// Has heard nothing, and listens from `now` on. A line in which nothing is
    /// decided for `stalled_after` while an order waits is stalled.
    #[must_use]
    pub fn new(lanes: Lanes, stalled_after: Duration, now: Timestamp) -> Self {
        Self {
            stalled_after_micros: u64::try_from(stalled_after.as_micros()).unwrap_or(u64::MAX),
            listening_since: AtomicI64::new(now.as_micros()),
            lines: lanes.iter().map(|_| Default::default()).collect(),
        }
    }

    fn line(&self, lane: Lane, class: PriorityClass) -> Option<MutexGuard<'_, Line>> {
        let of_lane = self.lines.get(usize::from(lane.index()))?;
        Some(of_lane[class.index()].lock())
    }

    /// Hears what a process accepted.
    pub fn hear_accepted(&self, orders: &AcceptedOrders, now: Timestamp) {
        if let Some(mut line) = self.line(orders.lane, orders.class) {
            line.hear_accepted(orders, now);
        }
    }

    /// Hears of a decided ticket of `lane`, whatever its version: each of them
    /// proves that its order was decided.
    pub fn hear_decided(&self, lane: Lane, order: &Order, now: Timestamp) {
        let Some(mut line) = self.line(lane, order.class) else {
            return;
        };
        if order.redriven {
            line.hear_redriven(order);
        } else {
            line.hear_decided(order, now, self.stalled_after_micros);
        }
    }

    /// Hears up to where a process's orders are settled.
    pub fn hear_settled(&self, orders: &SettledOrders, now: Timestamp) {
        if let Some(mut line) = self.line(orders.lane, orders.class) {
            line.hear_settled(orders.accepted_by, orders.through, now);
        }
    }

    /// Events were missed up to `now`, so that silence proves nothing.
    pub fn note_missed_events(&self, now: Timestamp) {
        self.listening_since
            .fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// Where an order is that was accepted at `requested_at`. Without that the
    /// order is taken for the last of its line.
    #[must_use]
    pub fn place(
        &self,
        lane: Lane,
        class: PriorityClass,
        requested_at: Option<Timestamp>,
        now: Timestamp,
    ) -> LinePlace {
        let Some(line) = self.line(lane, class) else {
            return LinePlace::default();
        };
        let orders_ahead = line.orders_ahead(requested_at, now);
        let quiet = self.quiet_micros(&line, requested_at, now);
        LinePlace {
            now_serving_at: line.now_serving_at(),
            orders_ahead,
            wait_ms: orders_ahead.and_then(|orders| line.wait_ms(orders, now)),
            stalled: quiet.is_some_and(|quiet| quiet > 0 && quiet >= self.stalled_after_micros),
        }
    }

    /// For how long an order has been waiting in the line while nothing was decided, as far
    /// as this process heard; `None` if none waits.
    #[must_use]
    pub fn undecided_for(
        &self,
        lane: Lane,
        class: PriorityClass,
        now: Timestamp,
    ) -> Option<Duration> {
        let line = self.line(lane, class)?;
        let quiet = self.quiet_micros(&line, None, now);
        quiet.map(Duration::from_micros)
    }

    /// What waits in a line.
    #[must_use]
    pub fn waiting(&self, lane: Lane, class: PriorityClass, now: Timestamp) -> Waiting {
        let Some(line) = self.line(lane, class) else {
            return Waiting::default();
        };
        let oldest = line.oldest_waiting();
        Waiting {
            orders: if line.is_unheard() {
                Some(0)
            } else {
                line.orders_ahead(None, now)
            },
            oldest_for: Duration::from_micros(oldest.map_or(0, |came| now.micros_since(came))),
        }
    }

    fn quiet_micros(
        &self,
        line: &Line,
        requested_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<u64> {
        let mut listening_since = self.listening_since.load(Ordering::Relaxed);
        if listening_since > now.as_micros() {
            // The clock was set back. It has been listening for as long as it knows.
            listening_since = now.as_micros();
            self.listening_since
                .fetch_min(listening_since, Ordering::Relaxed);
        }
        let since = line.waiting_since(requested_at)?;
        let quiet = now.as_micros() - since.as_micros().max(listening_since);
        Some(u64::try_from(quiet).unwrap_or_default())
    }
}
