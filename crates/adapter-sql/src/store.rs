//! The store.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::ports::{Clock, Examination, Finding};
use domain::receipt::TicketId;
use domain::rule::{TransitionOutcome, TransitionRequest};
use domain::show::ShowSeats;
use parking_lot::Mutex;
use runtime::Coalescer;

use crate::by_show::ByShow;
use crate::database::Database;
use crate::engine::Engine;
use crate::{show_repository, ticket_ledger, user_repository};

/// Users, shows and the ledger in a database.
pub struct SqlStore<E: Engine> {
    pub(crate) db: Arc<Database<E>>,
    /// When readiness last saw a change committed.
    pub(crate) checked_by_change: Mutex<Option<Instant>>,
    pub(crate) users: Coalescer<UserId, user_repository::Found, E::Error>,
    pub(crate) shows: Coalescer<ShowId, show_repository::Found, E::Error>,
    pub(crate) standings: Coalescer<ShowId, show_repository::Found, E::Error>,
    pub(crate) tickets: Coalescer<TicketId, ticket_ledger::Found, E::Error>,
    /// The same, for those who confirm and cancel.
    pub(crate) changed_tickets: Coalescer<TicketId, ticket_ledger::Found, E::Error>,
    pub(crate) transitions:
        ByShow<TransitionRequest, (TransitionOutcome, Option<ShowSeats>), E::Error>,
}

impl<E: Engine> SqlStore<E> {
    /// Connects when it is first used, so that a database that is down is no
    /// reason not to start. Dates changes by `clock`. Must be called inside of
    /// a tokio runtime.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: &E::Config, clock: Arc<dyn Clock>) -> Result<Self, E::InvalidConfig> {
        let (engine, limits) = E::open(config)?;
        let db = Arc::new(Database::new(engine, limits, clock));
        Ok(Self {
            checked_by_change: Mutex::default(),
            users: user_repository::look_ups(Arc::clone(&db)),
            shows: show_repository::look_ups(Arc::clone(&db)),
            standings: show_repository::public_look_ups(Arc::clone(&db)),
            tickets: ticket_ledger::look_ups(Arc::clone(&db)),
            changed_tickets: ticket_ledger::look_ups_for_changes(Arc::clone(&db)),
            transitions: ticket_ledger::transitions(Arc::clone(&db)),
            db,
        })
    }

    /// Brings the schema up to date. Safe to call from several processes at once.
    ///
    /// # Errors
    /// When the database is not there or refuses.
    pub async fn migrate(&self) -> Result<(), E::MigrateError> {
        self.db.engine.migrate().await
    }
}

#[async_trait]
impl<E: Engine> Examination for SqlStore<E> {
    async fn examine(&self) -> Vec<Finding> {
        self.db.engine.inspect().await
    }
}
