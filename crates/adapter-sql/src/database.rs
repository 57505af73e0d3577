//! The database as statements need it: connections by purpose, time limits, the server's clock.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::Clock;
use domain::time::Timestamp;
use tokio::time::timeout;

use crate::connections::{Connections, Lease};
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
    reading: Connections<E>,
    /// For reading on behalf of orders, confirmations and cancellations, which never wait behind
    /// that.
    selling: Connections<E>,
    /// For transactions that lock shows, and other changes.
    changing: Connections<E>,
    /// For the claims of lanes, which never wait behind any of them: a worker that says too late
    /// that it is there loses its lanes.
    claiming: Connections<E>,
}

impl<E: Engine> Database<E> {
    pub(crate) fn new(engine: E, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let engine = Arc::new(engine);
        let connections = |max, limit: Duration| {
            // Half of the time is left for the statements.
            Connections::new(max, Arc::clone(&engine), limit / 2)
        };
        let shares = limits.connections;
        Self {
            clock,
            reading: connections(shares.reading, READ_LIMIT),
            selling: connections(shares.selling, READ_LIMIT),
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

    /// A connection for reading what anybody may ask for.
    pub(crate) async fn lease_reading(&self) -> Result<Lease<E>, E::Error> {
        self.reading.lease().await
    }

    /// A connection for reading on behalf of those who order, confirm and cancel.
    pub(crate) async fn lease_selling(&self) -> Result<Lease<E>, E::Error> {
        self.selling.lease().await
    }

    /// A connection for a transaction that locks shows, and for other changes.
    pub(crate) async fn lease_changing(&self) -> Result<Lease<E>, E::Error> {
        self.changing.lease().await
    }

    /// The connection for the claims of lanes.
    pub(crate) async fn lease_claiming(&self) -> Result<Lease<E>, E::Error> {
        self.claiming.lease().await
    }

    /// Bounds what a caller may wait for an answer that waits for no lock.
    pub(crate) async fn read<T>(
        &self,
        work: impl Future<Output = Result<T, E::Error>>,
    ) -> Result<T, E::Error> {
        within(READ_LIMIT, work).await
    }

    /// The same for what anybody may ask for. A read that has begun continues when its caller is
    /// dropped, and gives its connection back. A dropped read would close it, so that a client
    /// that asks and hangs up, again and again, would cost a login each time.
    pub(crate) async fn read_to_the_end<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, E::Error>> + Send + 'static,
    ) -> Result<T, E::Error> {
        let turn = self.reading.turn().await?;
        let db = Arc::clone(self);
        let reading = tokio::spawn(async move {
            let done = db.read(work).await;
            drop(turn);
            done
        });
        reading.await.map_err(|_| Fault::Closed)?
    }

    /// Bounds what a caller may wait for a change.
    pub(crate) async fn change<T>(
        &self,
        work: impl Future<Output = Result<T, E::Error>>,
    ) -> Result<T, E::Error> {
        within(CHANGE_LIMIT, work).await
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

pub(crate) async fn within<T, E: From<Fault>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let in_time = timeout(limit, work).await;
    in_time.unwrap_or_else(|_| Err(Fault::TimedOut { limit }.into()))
}
