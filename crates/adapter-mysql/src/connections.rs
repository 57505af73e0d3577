//! Connections on loan.

use std::io;
use std::time::{Duration, Instant};

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use parking_lot::Mutex;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::error::StoreError;

/// How long a connection may be idle and still be taken for alive.
pub(crate) const MAY_BE_DEAD_AFTER: Duration = Duration::from_secs(1);
/// How long a connection may take to show that it is alive.
const PING_LIMIT: Duration = Duration::from_millis(500);
/// How long a connection is kept that nobody needs; the server would end it after 15 s.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
const LOOK_FOR_IDLE: Duration = Duration::from_secs(2);
/// How long the server is waited for when a connection is closed. sqlx waits for its answer if
/// the connection is encrypted (0.8.6), and one that hangs gives none.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Between two attempts to connect to a server that is starting.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);

/// Up to so many connections. What is lent again within a moment costs no round trip, and what
/// hangs takes no place: it is closed after it has left.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool<Connector>,
    /// How long a connection is waited for.
    limit: Duration,
}

impl Connections {
    /// Connects when a connection is needed. Must be called inside of a tokio runtime.
    #[expect(
        clippy::expect_used,
        reason = "it fails only for limits without a runtime, and has none"
    )]
    pub(crate) fn new(max: u32, options: MySqlConnectOptions, limit: Duration) -> Self {
        let connector = Connector {
            options,
            suspected: Mutex::default(),
        };
        let pool = Pool::builder(connector)
            .max_size(usize::try_from(max).unwrap_or(usize::MAX))
            // The same ones again and again, so that these are known to be alive.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without limits");
        close_idle_ones(&pool);
        Self { pool, limit }
    }

    pub(crate) async fn lease(&self) -> Result<Lease, StoreError> {
        match timeout(self.limit, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(Lease(Some(connection))),
            Ok(Err(PoolError::Backend(error))) => Err(error.into()),
            Ok(Err(_)) => Err(StoreError::Closed),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> StoreError {
        let limit = self.limit;
        let status = self.pool.status();
        if status.available == 0 && status.size >= status.max_size {
            return StoreError::AllBusy {
                connections: status.size,
                limit,
            };
        }
        StoreError::TimedOut { limit }
    }
}

fn close_idle_ones(pool: &Pool<Connector>) {
    let pool = pool.weak();
    tokio::spawn(async move {
        loop {
            sleep(LOOK_FOR_IDLE).await;
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let idle = pool.retain(|_, metrics| metrics.last_used() < IDLE_LIMIT);
            drop(pool);
            for connection in idle.removed {
                close(connection).await;
            }
        }
    });
}

/// Tells the server, if it listens.
async fn close(connection: MySqlConnection) {
    let _late = timeout(CLOSE_LIMIT, connection.close()).await;
}

/// A connection on loan. Whoever does not give it back, because a statement
/// failed or its future was dropped half-way, has it closed: the server then
/// ends what was under way, and a connection that hangs is not waited for.
pub(crate) struct Lease(Option<Object<Connector>>);

impl Lease {
    #[expect(clippy::expect_used, reason = "it is taken out when the lease ends")]
    pub(crate) fn connection(&mut self) -> &mut MySqlConnection {
        self.0.as_mut().expect("a lease has its connection")
    }

    /// For the next one.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.0.take().map(Object::take) else {
            return;
        };
        // Where no runtime is left, the process ends, and with it the connection.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(close(connection));
        }
    }
}

struct Connector {
    options: MySqlConnectOptions,
    /// When a connection did not show that it is alive: what has not been used since may be
    /// dead for the same reason, and asking each would take too long.
    suspected: Mutex<Option<Instant>>,
}

impl Manager for Connector {
    type Type = MySqlConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<MySqlConnection, sqlx::Error> {
        loop {
            match connect(&self.options).await {
                Err(sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    sleep(CONNECT_AGAIN).await;
                }
                connected => return connected,
            }
        }
    }

    async fn recycle(
        &self,
        connection: &mut MySqlConnection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        let unused = metrics.last_used();
        if unused < MAY_BE_DEAD_AFTER {
            return Ok(());
        }
        let is_suspected = self
            .suspected
            .lock()
            .is_some_and(|suspected| suspected.elapsed() < unused);
        if !is_suspected && matches!(timeout(PING_LIMIT, connection.ping()).await, Ok(Ok(()))) {
            return Ok(());
        }
        if !is_suspected {
            *self.suspected.lock() = Some(Instant::now());
        }
        Err(RecycleError::message("it does not answer"))
    }
}

pub(crate) async fn connect(options: &MySqlConnectOptions) -> Result<MySqlConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    // READ COMMITTED: what is read after the locks is what is committed by then. A process that
    // stops in the middle must not keep a show locked for long: the server waits 5 s for a lock
    // and ends sessions that are silent for 15 s.
    connection
        .execute(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION innodb_lock_wait_timeout = 5, SESSION wait_timeout = 15",
        )
        .await?;
    Ok(connection)
}
