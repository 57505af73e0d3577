//! The database as statements need it: connections by purpose, time limits, the server's clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::Clock;
use domain::time::Timestamp;

use crate::connections::Connections;
use crate::engine::{Engine, Limits};
use crate::error::Fault;

/// How long a change may take, waiting for locks and connecting included,
/// before it counts as lost.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// The same for what waits for no lock; buyers wait for it.
const READ_LIMIT: Duration = Duration::from_secs(3);

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
}

impl<E: Engine> Database<E> {
    pub(crate) fn new(engine: E, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let engine = Arc::new(engine);
        let connections = |max, limit| Connections::new(max, Arc::clone(&engine), limit);
        let shares = limits.connections;
        Self {
            clock,
            reading: Arc::new(connections(shares.reading, READ_LIMIT)),
            selling: Arc::new(connections(shares.selling, READ_LIMIT)),
            changing: connections(shares.changing, CHANGE_LIMIT),
            claiming: connections(1, READ_LIMIT),
            limits,
            engine,
        }
    }

    /// Shows whose tickets may be confirmed and cancelled at the same time. If they are all
    /// locked by others, one connection is left to those who decide.
    pub(crate) fn shows_at_once(&self) -> u32 {
        self.limits.connections.changing.saturating_sub(1).max(1)
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
        let skew = Duration::from_micros(ahead.max(behind).max(0).unsigned_abs());
        if skew > self.limits.max_clock_skew {
            return Err(Fault::ClockOff { skew }.into());
        }
        Ok(now)
    }
}
