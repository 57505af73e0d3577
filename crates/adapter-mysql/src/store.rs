//! The store and its configuration.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::{ShowId, UserId};
use domain::ports::Clock;
use domain::receipt::TicketId;
use domain::rule::{TransitionOutcome, TransitionRequest};
use domain::show::ShowSeats;
use parking_lot::Mutex;
use runtime::Coalescer;

use crate::by_show::ByShow;
use crate::database::Database;
use crate::error::{InvalidUrl, MigrateError, StoreError};
use crate::migration;
use crate::servers::{Servers, Wanted};
use crate::{show_repository, ticket_ledger, user_repository};

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
    pub(crate) checked_by_change: Mutex<Option<Instant>>,
    pub(crate) users: Coalescer<UserId, user_repository::Found, StoreError>,
    pub(crate) shows: Coalescer<ShowId, show_repository::Found, StoreError>,
    pub(crate) standings: Coalescer<ShowId, show_repository::Found, StoreError>,
    pub(crate) tickets: Coalescer<TicketId, ticket_ledger::Found, StoreError>,
    /// The same, for those who confirm and cancel.
    pub(crate) changed_tickets: Coalescer<TicketId, ticket_ledger::Found, StoreError>,
    pub(crate) transitions: ByShow<TransitionRequest, (TransitionOutcome, Option<ShowSeats>)>,
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
        let db = Database::new(config, servers, clock);
        Ok(Self {
            checked_by_change: Mutex::default(),
            users: user_repository::look_ups(db.clone()),
            shows: show_repository::look_ups(db.clone()),
            standings: show_repository::public_look_ups(db.clone()),
            tickets: ticket_ledger::look_ups(db.clone()),
            changed_tickets: ticket_ledger::look_ups_for_changes(db.clone()),
            transitions: ticket_ledger::transitions(db.clone(), db.shows_at_once()),
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
