//! The database as statements need it: connections by purpose, time limits, the server's clock.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::Clock;
use domain::time::Timestamp;
use tokio::time::timeout;

use crate::connections::{Connections, Lease};
use crate::error::StoreError;
use crate::servers::Servers;
use crate::store::MySqlConfig;

/// How long a change may take, waiting for locks and connecting included,
/// before it counts as lost.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// The same for what waits for no lock; buyers wait for it.
const READ_LIMIT: Duration = Duration::from_secs(3);
/// The most connections that only change shows: deciding never waits behind reading.
const CHANGING_CONNECTIONS: u32 = 8;
/// The most that read for those who order and confirm.
const SELLING_CONNECTIONS: u32 = 4;
/// What every statement needs.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) max_clock_skew: Duration,
    pub(crate) servers: Arc<Servers>,
    /// For reading what anybody may ask for, as often as they like.
    reading: Connections,
    /// For reading on behalf of orders, confirmations and cancellations, which never wait behind
    /// that.
    selling: Connections,
    /// For transactions that lock shows, and other changes.
    changing: Connections,
    changing_max: u32,
    /// For the claims of lanes, which never wait behind any of them: a worker that says too late
    /// that it is there loses its lanes.
    claiming: Connections,
}

impl Database {
    pub(crate) fn new(config: &MySqlConfig, servers: Arc<Servers>, clock: Arc<dyn Clock>) -> Self {
        let max = config.max_connections;
        let changing = CHANGING_CONNECTIONS.min(max * 2 / 5).max(1);
        let selling = SELLING_CONNECTIONS.min(max / 4).max(1);
        let reading = max.saturating_sub(changing + selling + 1).max(1);
        let connections = |max, limit: Duration| {
            // Half of the time is left for the statements.
            Connections::new(max, Arc::clone(&servers), limit / 2)
        };
        Self {
            clock,
            max_clock_skew: config.max_clock_skew,
            reading: connections(reading, READ_LIMIT),
            selling: connections(selling, READ_LIMIT),
            changing: connections(changing, CHANGE_LIMIT),
            changing_max: changing,
            claiming: connections(1, READ_LIMIT),
            servers,
        }
    }

    /// Shows whose tickets may be confirmed and cancelled at the same time. If they are all
    /// locked by others, one connection is left to those who decide.
    pub(crate) fn shows_at_once(&self) -> u32 {
        (self.changing_max - 1).max(1)
    }

    /// A connection for reading what anybody may ask for.
    pub(crate) async fn lease_reading(&self) -> Result<Lease, StoreError> {
        self.reading.lease().await
    }

    /// A connection for reading on behalf of those who order, confirm and cancel.
    pub(crate) async fn lease_selling(&self) -> Result<Lease, StoreError> {
        self.selling.lease().await
    }

    /// A connection for a transaction that locks shows, and for other changes.
    pub(crate) async fn lease_changing(&self) -> Result<Lease, StoreError> {
        self.changing.lease().await
    }

    /// The connection for the claims of lanes.
    pub(crate) async fn lease_claiming(&self) -> Result<Lease, StoreError> {
        self.claiming.lease().await
    }

    /// Bounds what a caller may wait for an answer that waits for no lock.
    pub(crate) async fn read<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(READ_LIMIT, work).await
    }

    /// The same for what anybody may ask for. A read that has begun continues when its caller is
    /// dropped, and gives its connection back. A dropped read would close it, so that a client
    /// that asks and hangs up, again and again, would cost a login each time.
    pub(crate) async fn read_to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.reading.turn().await?;
        let db = self.clone();
        let reading = tokio::spawn(async move {
            let done = db.read(work).await;
            drop(turn);
            done
        });
        reading.await.map_err(|_| StoreError::Closed)?
    }

    /// Bounds what a caller may wait for a change.
    pub(crate) async fn change<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(CHANGE_LIMIT, work).await
    }

    /// The time, unless the server's clock, which was read between `asked` and
    /// now, is off. Both ends of that span bound the difference, so a slow
    /// answer is never taken for a wrong clock.
    pub(crate) fn checked_now(&self, asked: Instant, server: i64) -> Result<Timestamp, StoreError> {
        let now = self.clock.now();
        let span = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX);
        let ahead = server - now.as_micros();
        let behind = now.as_micros() - span - server;
        let skew = Duration::from_micros(ahead.max(behind).max(0).unsigned_abs());
        if skew > self.max_clock_skew {
            return Err(StoreError::ClockOff { skew });
        }
        Ok(now)
    }
}

pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let in_time = timeout(limit, work).await;
    in_time.unwrap_or(Err(StoreError::TimedOut { limit }))
}

/// Microseconds since 1970 by the server's clock, at the moment that a row is
/// read; `NOW()` would be the start of the statement, before it waits for a lock.
pub(crate) const SERVER_MICROS: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";
