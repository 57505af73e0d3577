//! The store: connections, time limits, health.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::ports::{Clock, ClocksDiffer, Dependency, DependencyDown};
use domain::receipt::TicketId;
use domain::rule::{TransitionOutcome, TransitionRequest};
use domain::show::ShowSeats;
use domain::time::Timestamp;
use parking_lot::Mutex;
use sqlx::Executor;
use tokio::time::timeout;

use crate::by_show::ByShow;
use crate::connections::{Connections, Lease};
use crate::error::{InvalidUrl, MigrateError, StoreError};
use crate::migration;
use crate::servers::{Servers, Wanted};
use crate::{show_repository, ticket_ledger, user_repository};
use runtime::Coalescer;

/// How long a change may take, waiting for locks and connecting included,
/// before it counts as lost.
pub(crate) const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// The same for what waits for no lock; buyers wait for it.
const READ_LIMIT: Duration = Duration::from_secs(3);
/// The most connections that only change shows: deciding never waits behind reading.
const CHANGING_CONNECTIONS: u32 = 8;
/// The most that read for those who order and confirm.
const SELLING_CONNECTIONS: u32 = 4;
/// The fewest connections that a process works with: one for each purpose.
pub const MIN_CONNECTIONS: u32 = 4;

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct MySqlConfig {
    /// `mysql://user:password@host:port/database`, of each server: of a primary and its replicas,
    /// or of a cluster's members. The one that takes changes is used.
    pub urls: Vec<String>,
    /// Whether nothing is ever changed, so that a replica will do.
    pub only_reads: bool,
    /// The most connections of this process, at least [`MIN_CONNECTIONS`].
    pub max_connections: u32,
    /// How far the server's clock may be off.
    pub max_clock_skew: Duration,
}

/// The URLs hold the password.
impl fmt::Debug for MySqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlConfig")
            .field("only_reads", &self.only_reads)
            .field("max_connections", &self.max_connections)
            .field("max_clock_skew", &self.max_clock_skew)
            .finish_non_exhaustive()
    }
}

/// Users, shows and the ledger in a database.
pub struct MySqlStore {
    pub(crate) db: Database,
    /// When readiness last saw a change committed.
    checked_by_change: Mutex<Option<Instant>>,
    pub(crate) users: Coalescer<UserId, user_repository::Found, StoreError>,
    pub(crate) shows: Coalescer<ShowId, show_repository::Found, StoreError>,
    pub(crate) standings: Coalescer<ShowId, show_repository::Found, StoreError>,
    pub(crate) tickets: Coalescer<TicketId, ticket_ledger::Found, StoreError>,
    /// The same, for those who confirm and cancel.
    pub(crate) changed_tickets: Coalescer<TicketId, ticket_ledger::Found, StoreError>,
    pub(crate) transitions: ByShow<TransitionRequest, (TransitionOutcome, Option<ShowSeats>)>,
}

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
    /// For the claims of lanes, which never wait behind any of them: a worker that says too late
    /// that it is there loses its lanes.
    claiming: Connections,
}

impl MySqlStore {
    /// Connects when it is first used, so that a database that is down is no
    /// reason not to start. Dates changes by `clock`. Must be called inside of
    /// a tokio runtime.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(config: &MySqlConfig, clock: Arc<dyn Clock>) -> Result<Self, InvalidUrl> {
        let wanted = if config.only_reads {
            Wanted::Any
        } else {
            Wanted::Writable
        };
        let servers = Arc::new(Servers::new(&config.urls, wanted)?);
        let max = config.max_connections;
        let changing = CHANGING_CONNECTIONS.min(max * 2 / 5).max(1);
        let selling = SELLING_CONNECTIONS.min(max / 4).max(1);
        let reading = max.saturating_sub(changing + selling + 1).max(1);
        let connections = |max, limit: Duration| {
            // Half of the time is left for the statements.
            Connections::new(max, Arc::clone(&servers), limit / 2)
        };
        let db = Database {
            clock,
            max_clock_skew: config.max_clock_skew,
            reading: connections(reading, READ_LIMIT),
            selling: connections(selling, READ_LIMIT),
            changing: connections(changing, CHANGE_LIMIT),
            claiming: connections(1, READ_LIMIT),
            servers,
        };
        Ok(Self {
            checked_by_change: Mutex::default(),
            users: user_repository::look_ups(db.clone()),
            shows: show_repository::look_ups(db.clone()),
            standings: show_repository::public_look_ups(db.clone()),
            tickets: ticket_ledger::look_ups(db.clone()),
            changed_tickets: ticket_ledger::look_ups_for_changes(db.clone()),
            // Locked shows may keep all of these waiting, and leave one to those who decide.
            transitions: ticket_ledger::transitions(db.clone(), (changing - 1).max(1)),
            db,
        })
    }

    /// Brings the schema up to date, creating the database if there is none.
    /// Safe to call from several processes at once.
    ///
    /// # Errors
    /// [`MigrateError`].
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        migration::run(&self.db.servers).await
    }
}

impl Database {
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

/// Whether orders find their users and shows, and what that server's clock says.
async fn check_selling(db: &Database) -> Result<(), StoreError> {
    let mut lease = db.lease_selling().await?;
    let asked = Instant::now();
    let sql = format!(
        "SELECT {SERVER_MICROS}, (SELECT COUNT(*) FROM (SELECT 1 FROM shows LIMIT 1) AS found)"
    );
    let (server, _shows): (i64, i64) = sqlx::query_as(&sql).fetch_one(lease.connection()).await?;
    lease.give_back();
    db.checked_now(asked, server)?;
    Ok(())
}

/// Whether a change is taken and committed, over a connection like those that decide and confirm.
/// That the server takes none is noticed as the connection is lent; what else can be in the way
/// is found by a change, which costs a commit, so that is not done every time.
async fn check_changing(db: &Database, changed: &Mutex<Option<Instant>>) -> Result<(), StoreError> {
    const CHANGE_AGAIN: Duration = Duration::from_secs(4);

    let mut lease = db.lease_changing().await?;
    let is_due = (*changed.lock()).is_none_or(|changed| changed.elapsed() > CHANGE_AGAIN);
    if is_due {
        *changed.lock() = None;
        // An update would find nothing to change if the row were gone, and say nothing.
        let sql = "INSERT INTO write_check (id, checks) VALUES (1, 1) \
            ON DUPLICATE KEY UPDATE checks = checks + 1";
        lease.connection().execute(sql).await?;
        *changed.lock() = Some(Instant::now());
    }
    lease.give_back();
    Ok(())
}

/// Before whoever asks gives up, so that it is said which it was.
const CHECK_LIMIT: Duration = Duration::from_millis(1_800);

fn down(what: &str, error: StoreError) -> DependencyDown {
    let why = error
        .remedy()
        .unwrap_or_else(|| format!("{error}; check mysql.url and whether the server answers"));
    DependencyDown {
        reason: format!("{what}: {why}"),
        source: Some(match error {
            StoreError::ClockOff { skew } => Box::new(ClocksDiffer { skew }),
            error => error.cause(),
        }),
    }
}

#[async_trait]
impl Dependency for MySqlStore {
    fn name(&self) -> &'static str {
        "store"
    }

    /// Whether the database answers, is migrated, takes changes, and has the same time.
    async fn check(&self) -> Result<(), DependencyDown> {
        let selling = self.check_clock();
        let changing = within(
            CHECK_LIMIT,
            check_changing(&self.db, &self.checked_by_change),
        );
        let (selling, changing) = tokio::join!(selling, changing);
        selling?;
        changing.map_err(|error| down("nothing can be decided, confirmed or cancelled", error))
    }

    /// A server that takes no changes has the time all the same.
    async fn check_clock(&self) -> Result<(), DependencyDown> {
        let checked = within(CHECK_LIMIT, check_selling(&self.db)).await;
        checked.map_err(|error| down("users and shows cannot be read", error))
    }
}
