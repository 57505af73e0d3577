//! The database as statements need it: connections by purpose, time limits, the server's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use domain::ports::Clock;
use domain::time::Timestamp;

use crate::connections::{Connections, PoolUse};
use crate::engine::{Engine, Limits};
use crate::error::Fault;

/// How long a change may take, waiting for locks and connecting included,
/// before it counts as lost.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// The same for the claims of lanes, which wait for no lock.
const CLAIM_LIMIT: Duration = Duration::from_secs(3);

/// What every statement needs.
pub(crate) struct Database<E: Engine> {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) engine: Arc<E>,
    limits: Limits,
    /// For reading what anybody may ask for, as often as they like.
    pub(crate) reading: Arc<Connections<E>>,
    /// For reading on behalf of orders, confirmations and cancellations, which never wait behind
    /// that.
    pub(crate) selling: Arc<Connections<E>>,
    /// For transactions that lock shows, and other changes.
    pub(crate) changing: Connections<E>,
    /// For the claims of lanes, which never wait behind any of them: a worker that says too late
    /// that it is there loses its lanes.
    pub(crate) claiming: Connections<E>,
    /// By how many microseconds the server's clock was ahead of this process's at least, when that
    /// was seen last; [`NEVER`] before.
    ahead_micros: AtomicI64,
}

const NEVER: i64 = i64::MIN;

impl<E: Engine> Database<E> {
    pub(crate) fn new(engine: E, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let engine = Arc::new(engine);
        let connections = |max, limit| Connections::new(max, Arc::clone(&engine), limit);
        let shares = limits.connections;
        Self {
            clock,
            reading: Arc::new(connections(shares.reading, limits.read_timeout)),
            selling: Arc::new(connections(shares.selling, limits.read_timeout)),
            changing: connections(shares.changing, CHANGE_LIMIT),
            claiming: connections(1, CLAIM_LIMIT),
            ahead_micros: AtomicI64::new(NEVER),
            limits,
            engine,
        }
    }

    /// Shows whose tickets may be confirmed and cancelled at the same time. If they are all
    /// locked by others, one connection is left to those who decide.
    pub(crate) fn shows_at_once(&self) -> u32 {
        self.limits.connections.changing.saturating_sub(1).max(1)
    }

    /// How the connections are used.
    pub(crate) fn pools(&self) -> [PoolUse; 4] {
        [
            self.reading.usage("reading"),
            self.selling.usage("selling"),
            self.changing.usage("changing"),
            self.claiming.usage("claiming"),
        ]
    }

    /// By how many microseconds the server's clock is ahead of this process's at least; `None`
    /// before it was seen.
    pub(crate) fn ahead_micros(&self) -> Option<i64> {
        let ahead = self.ahead_micros.load(Ordering::Relaxed);
        (ahead != NEVER).then_some(ahead)
    }

    /// The time, unless the server's clock, which was read between `asked` and
    /// now, is off, if it has one of its own. Both ends of that span bound the difference, so a slow
    /// answer is never taken for a wrong clock.
    pub(crate) fn checked_now(
        &self,
        asked: Instant,
        server: Option<i64>,
    ) -> Result<Timestamp, E::Error> {
        let now = self.clock.now();
        let Some(server) = server else {
            return Ok(now);
        };
        let span = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX);
        let ahead = server - now.as_micros();
        let behind = now.as_micros() - span - server;
        let skew = ahead.max(behind).max(0);
        let seen = if ahead < behind { -skew } else { skew };
        self.ahead_micros.store(seen, Ordering::Relaxed);
        let skew = Duration::from_micros(skew.unsigned_abs());
        if skew > self.limits.max_clock_skew {
            return Err(Fault::ClockOff { skew }.into());
        }
        Ok(now)
    }
}
