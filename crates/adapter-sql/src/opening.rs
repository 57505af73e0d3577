//! A store from its configuration.

use std::sync::Arc;

use domain::ports::Clock;
use parking_lot::Mutex;

use crate::database::Database;
use crate::engine::Engine;
use crate::store::SqlStore;
use crate::{show_repository, ticket_ledger, user_repository};

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
