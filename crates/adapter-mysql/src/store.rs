//! The store: connections, time limits, health.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::ports::{Clock, Dependency, DependencyDown, TransitionOutcome, TransitionRequest};
use domain::receipt::TicketId;
use domain::show::{Show, ShowSeats};
use domain::ticket::Ticket;
use domain::user::User;
use moka::sync::Cache;
use sqlx::migrate::MigrateDatabase;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::{ConnectOptions, Executor, MySql};
use tokio::time::timeout;

use crate::coalesce::Coalescer;
use crate::error::{InvalidUrl, MigrateError, StoreError};
use crate::{show_repository, ticket_ledger, user_repository};

/// How long anything may take, connecting included, before it counts as lost.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Time that a found show may be answered from memory.
const SHOW_CACHE_TIME: Duration = Duration::from_secs(1);
/// Shows kept in memory.
const SHOWS_CACHED: u64 = 10_000;
/// Connections that only change shows: deciding never waits behind reading.
const CHANGING_CONNECTIONS: u32 = 8;

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct MySqlConfig {
    /// `mysql://user:password@host:port/database`.
    pub url: String,
    /// The most connections of this process, at least 2.
    pub max_connections: u32,
    /// How far the server's clock may be off.
    pub max_clock_skew: Duration,
}

/// The URL holds the password.
impl fmt::Debug for MySqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlConfig")
            .field("max_connections", &self.max_connections)
            .field("max_clock_skew", &self.max_clock_skew)
            .finish_non_exhaustive()
    }
}

/// Users, shows and the ledger in a database.
pub struct MySqlStore {
    pub(crate) db: Database,
    url: String,
    max_clock_skew: Duration,
    pub(crate) users: Coalescer<UserId, Option<User>>,
    pub(crate) shows: Coalescer<ShowId, Option<Arc<Show>>>,
    pub(crate) show_cache: Cache<ShowId, Arc<Show>>,
    pub(crate) tickets: Coalescer<TicketId, Option<Ticket>>,
    pub(crate) transitions: Coalescer<TransitionRequest, (TransitionOutcome, Option<ShowSeats>)>,
}

/// What every statement needs.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) clock: Arc<dyn Clock>,
    /// For reading.
    pub(crate) reading: MySqlPool,
    /// For transactions that lock shows.
    pub(crate) changing: MySqlPool,
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
        let options = options.disable_statement_logging();
        let changing = CHANGING_CONNECTIONS.min(config.max_connections / 2).max(1);
        let reading = config.max_connections.saturating_sub(changing).max(1);
        let db = Database {
            clock,
            reading: pool(reading).connect_lazy_with(options.clone()),
            changing: pool(changing).connect_lazy_with(options),
        };
        Ok(Self {
            url: config.url.clone(),
            max_clock_skew: config.max_clock_skew,
            users: user_repository::look_ups(db.clone()),
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
        sqlx::migrate!().run(&self.db.changing).await?;
        Ok(())
    }

    /// Closes every connection, after what is under way.
    pub async fn close(&self) {
        self.db.changing.close().await;
        self.db.reading.close().await;
    }
}

fn pool(connections: u32) -> MySqlPoolOptions {
    MySqlPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TIME_LIMIT / 2)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // READ COMMITTED: what is read after the locks is what is
                // committed by then. A process that stops in the middle must
                // not keep a show locked for long: the server waits 5 s for a
                // lock and ends sessions that are silent for 15 s.
                connection
                    .execute(
                        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
                         SET SESSION innodb_lock_wait_timeout = 5, SESSION wait_timeout = 15",
                    )
                    .await?;
                Ok(())
            })
        })
        // Shorter than the server's patience, so that no dead connection is handed out.
        .idle_timeout(Duration::from_secs(10))
}

impl Database {
    /// Bounds what a caller may wait for the database, whatever it does.
    pub(crate) async fn within_limit<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(TIME_LIMIT, work)
            .await
            .unwrap_or(Err(StoreError::TimedOut {
                seconds: TIME_LIMIT.as_secs(),
            }))
    }
}

#[async_trait]
impl Dependency for MySqlStore {
    fn name(&self) -> &'static str {
        "store"
    }

    /// Whether the database answers, is migrated, and has the same time.
    async fn check(&self) -> Result<(), DependencyDown> {
        let asked = Instant::now();
        let before = self.db.clock.now();
        let (micros, _shows): (i64, i64) = sqlx::query_as(
            "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), \
             (SELECT COUNT(*) FROM (SELECT 1 FROM shows LIMIT 1) AS some)",
        )
        .fetch_one(&self.db.reading)
        .await
        .map_err(|error| DependencyDown {
            reason: match error.as_database_error() {
                Some(_) => "the database refuses: migrate it with `tickets migrate`, \
                            and check the user's rights"
                    .to_owned(),
                None => "the database cannot be reached; check mysql.url and the server".to_owned(),
            },
            source: Some(Box::new(error)),
        })?;
        // The server read its clock somewhere in between.
        let round_trip = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX);
        let ahead = micros - before.as_micros() - round_trip;
        let behind = before.as_micros() - micros;
        let skew = u128::from(ahead.max(behind).max(0).unsigned_abs());
        if skew > self.max_clock_skew.as_micros() {
            return Err(DependencyDown {
                reason: format!(
                    "the database's clock is off by {} ms, more than clock.max_skew_ms; \
                     synchronise both machines",
                    skew / 1_000
                ),
                source: None,
            });
        }
        Ok(())
    }
}
