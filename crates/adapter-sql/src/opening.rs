//! A store from its configuration.

use std::sync::Arc;

use domain::ports::Clock;
use parking_lot::Mutex;

use crate::database::Database;
use crate::engine::Engine;
use crate::look_ups::LookUps;
use crate::show_repository::MAX_SHOWS;
use crate::store::SqlStore;
use crate::{show_repository, ticket_ledger, user_repository};

/// Users or tickets asked for in one query.
const MAX_LOOK_UPS: usize = 512;

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
        let (reading, selling) = (&db.reading, &db.selling);
        Ok(Self {
            checked_by_change: Mutex::default(),
            users: LookUps::new(MAX_LOOK_UPS, selling, user_repository::find_all),
            shows: LookUps::new(MAX_SHOWS, selling, show_repository::find_all),
            standings: LookUps::new(MAX_SHOWS, reading, show_repository::find_all),
            tickets: LookUps::new(MAX_LOOK_UPS, reading, ticket_ledger::find_all),
            changed_tickets: LookUps::new(MAX_LOOK_UPS, selling, ticket_ledger::find_to_change),
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
