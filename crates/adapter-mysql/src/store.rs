//! The store: connections, time limits, health.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::ports::{
    Clock, ClocksDiffer, Dependency, DependencyDown, TransitionOutcome, TransitionRequest,
};
use domain::receipt::TicketId;
use domain::show::{Show, ShowSeats};
use domain::ticket::Ticket;
use domain::time::Timestamp;
use domain::user::User;
use moka::sync::Cache;
use parking_lot::Mutex;
use sqlx::migrate::MigrateDatabase;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection, MySql};
use tokio::time::timeout;

use crate::coalesce::Coalescer;
use crate::connections::{Connections, Lease, MAY_BE_DEAD_AFTER, connect};
use crate::error::{InvalidUrl, LOGIN_REFUSED, MigrateError, StoreError};
use crate::user_directory::UserDirectory;
use crate::{show_repository, ticket_ledger, user_repository};

/// How long a change may take, waiting for locks and connecting included,
/// before it counts as lost.
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// The same for what waits for no lock; buyers wait for it.
const READ_LIMIT: Duration = Duration::from_secs(3);
/// Time that a found show may be answered from memory.
const SHOW_CACHE_TIME: Duration = Duration::from_secs(1);
/// Shows kept in memory.
const SHOWS_CACHED: u64 = 10_000;
/// Texts of statements that a connection keeps prepared: all there are.
const STATEMENTS_PREPARED: usize = 256;
/// Connections that only change shows: deciding never waits behind reading.
const CHANGING_CONNECTIONS: u32 = 8;

/// Names of locks are the server's, not the database's: other deployments wait too.
const MIGRATION_LOCK: &str = "tickets migrate";
const MIGRATION_WAIT_SECONDS: i64 = 60;

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct MySqlConfig {
    /// `mysql://user:password@host:port/database`.
    pub url: String,
    /// The most connections of this process, at least 2.
    pub max_connections: u32,
    /// How far the server's clock may be off.
    pub max_clock_skew: Duration,
    /// Users whose class is kept in memory, about 60 bytes each; 0 where no
    /// orders are taken.
    pub user_directory_max: usize,
}

/// The URL holds the password.
impl fmt::Debug for MySqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlConfig")
            .field("max_connections", &self.max_connections)
            .field("max_clock_skew", &self.max_clock_skew)
            .field("user_directory_max", &self.user_directory_max)
            .finish_non_exhaustive()
    }
}

/// Users, shows and the ledger in a database.
pub struct MySqlStore {
    pub(crate) db: Database,
    url: String,
    options: MySqlConnectOptions,
    pub(crate) users: Coalescer<UserId, Option<User>>,
    pub(crate) user_directory: Arc<UserDirectory>,
    pub(crate) shows: Coalescer<ShowId, Option<Arc<Show>>>,
    pub(crate) show_cache: Cache<ShowId, Arc<Show>>,
    pub(crate) tickets: Coalescer<TicketId, Option<Ticket>>,
    pub(crate) transitions: Coalescer<TransitionRequest, (TransitionOutcome, Option<ShowSeats>)>,
}

/// What every statement needs.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) max_clock_skew: Duration,
    /// For reading.
    reading: Connections,
    /// For transactions that lock shows.
    changing: Connections,
    /// For the claims of lanes, which never wait behind either: a worker that says too late
    /// that it is there loses its lanes.
    claiming: Connections,
}

/// A connection for reading that one task uses again and again: while it is
/// busy, taking it costs no round trip to see whether it is alive.
pub(crate) struct KeptLease {
    db: Database,
    kept: Mutex<Option<(Lease, Instant)>>,
}

impl KeptLease {
    pub(crate) const fn new(db: Database) -> Self {
        Self {
            db,
            kept: Mutex::new(None),
        }
    }

    /// Does `work` with the connection; after a failure the next call gets another one.
    pub(crate) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut MySqlConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        within(READ_LIMIT, async {
            let kept = self.kept.lock().take();
            let mut lease = match kept {
                Some((lease, used)) if used.elapsed() < MAY_BE_DEAD_AFTER => lease,
                idle => {
                    if let Some((lease, _)) = idle {
                        lease.give_back();
                    }
                    self.db.lease_reading().await?
                }
            };
            let result = work(lease.connection()).await?;
            *self.kept.lock() = Some((lease, Instant::now()));
            Ok(result)
        })
        .await
    }
}

impl MySqlStore {
    /// Connects when it is first used, so that a database that is down is no
    /// reason not to start. Dates changes by `clock`. Must be called inside of
    /// a tokio runtime.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(config: &MySqlConfig, clock: Arc<dyn Clock>) -> Result<Self, InvalidUrl> {
        let options: MySqlConnectOptions = config.url.parse().map_err(|_| InvalidUrl)?;
        if options.get_database().is_none() {
            return Err(InvalidUrl);
        }
        // Failures are logged where they are handled; a statement is no event.
        let options = options
            .disable_statement_logging()
            .statement_cache_capacity(STATEMENTS_PREPARED);
        let changing = CHANGING_CONNECTIONS.min(config.max_connections / 2).max(1);
        let reading = config.max_connections.saturating_sub(changing + 1).max(1);
        let db = Database {
            clock,
            max_clock_skew: config.max_clock_skew,
            // Half of the time is left for the statements.
            reading: Connections::new(reading, options.clone(), READ_LIMIT / 2),
            changing: Connections::new(changing, options.clone(), CHANGE_LIMIT / 2),
            claiming: Connections::new(1, options.clone(), READ_LIMIT / 2),
        };
        Ok(Self {
            url: config.url.clone(),
            options,
            users: user_repository::look_ups(db.clone()),
            user_directory: UserDirectory::start(db.clone(), config.user_directory_max),
            shows: show_repository::look_ups(db.clone()),
            show_cache: Cache::builder()
                .max_capacity(SHOWS_CACHED)
                .time_to_live(SHOW_CACHE_TIME)
                .build(),
            tickets: ticket_ledger::look_ups(db.clone()),
            transitions: ticket_ledger::transitions(db.clone()),
            db,
        })
    }

    /// Brings the schema up to date, creating the database if there is none.
    /// Safe to call from several processes at once.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        if !MySql::database_exists(&self.url).await? {
            // Another process may have created it just now.
            let created = MySql::create_database(&self.url).await;
            if !MySql::database_exists(&self.url).await? {
                created?;
            }
        }
        // One at a time. sqlx's own lock waits without end, which MariaDB
        // takes for not at all.
        let mut connection = connect(&self.options).await?;
        let (is_locked,): (Option<i64>,) = sqlx::query_as("SELECT GET_LOCK(?, ?)")
            .bind(MIGRATION_LOCK)
            .bind(MIGRATION_WAIT_SECONDS)
            .fetch_one(&mut connection)
            .await?;
        if is_locked != Some(1) {
            return Err(MigrateError::Busy);
        }
        let mut migrator = sqlx::migrate!();
        migrator.set_locking(false);
        // `run` gives a future that cannot be sent (sqlx 0.8.6).
        migrator.run_direct(&mut connection).await?;
        // The lock ends with it.
        connection.close().await?;
        Ok(())
    }
}

impl Database {
    /// A connection for reading.
    pub(crate) async fn lease_reading(&self) -> Result<Lease, StoreError> {
        self.reading.lease().await
    }

    /// A connection for a transaction that locks shows.
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

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let in_time = timeout(limit, work).await;
    in_time.unwrap_or(Err(StoreError::TimedOut { limit }))
}

/// Microseconds since 1970 by the server's clock, at the moment that a row is
/// read; `NOW()` would be the start of the statement, before it waits for a lock.
pub(crate) const SERVER_MICROS: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";

async fn check(db: &Database) -> Result<(), StoreError> {
    let mut lease = db.lease_reading().await?;
    let asked = Instant::now();
    let sql = format!(
        "SELECT {SERVER_MICROS}, (SELECT COUNT(*) FROM (SELECT 1 FROM shows LIMIT 1) AS found)"
    );
    let (server, _shows): (i64, i64) = sqlx::query_as(&sql).fetch_one(lease.connection()).await?;
    lease.give_back();
    db.checked_now(asked, server)?;
    Ok(())
}

#[async_trait]
impl Dependency for MySqlStore {
    fn name(&self) -> &'static str {
        "store"
    }

    /// Whether the database answers, is migrated, and has the same time.
    async fn check(&self) -> Result<(), DependencyDown> {
        let checked = self.db.read(check(&self.db)).await;
        checked.map_err(|error| DependencyDown {
            reason: match &error {
                StoreError::ClockOff { .. } => format!(
                    "{error}, more than clock.max_skew_ms; synchronise both machines' clocks"
                ),
                error if error.is_login_refused() => LOGIN_REFUSED.to_owned(),
                StoreError::Database(source) if source.as_database_error().is_some() => {
                    "the database refuses: migrate it with `tickets migrate`, \
                     and check the user's rights"
                        .to_owned()
                }
                _ => "the database cannot be reached; check mysql.url and the server".to_owned(),
            },
            source: Some(match error {
                StoreError::ClockOff { skew } => Box::new(ClocksDiffer { skew }),
                error => error.cause(),
            }),
        })
    }
}
