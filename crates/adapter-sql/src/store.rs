//! The store.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::ports::{Examination, Finding};
use domain::receipt::TicketId;
use domain::rule::{TransitionOutcome, TransitionRequest};
use domain::show::{ShowSeats, ShowStanding};
use domain::ticket::Ticket;
use domain::user::User;
use parking_lot::Mutex;

use crate::by_show::ByShow;
use crate::connections::PoolUse;
use crate::database::Database;
use crate::engine::Engine;
use crate::look_ups::LookUps;

/// Users, shows and the ledger in a database.
pub struct SqlStore<E: Engine> {
    pub(crate) db: Arc<Database<E>>,
    /// When readiness last saw a change committed.
    pub(crate) checked_by_change: Mutex<Option<Instant>>,
    pub(crate) users: LookUps<UserId, User, E::Error>,
    /// For those who order.
    pub(crate) shows: LookUps<ShowId, ShowStanding, E::Error>,
    /// For everybody: one show's page is asked for by thousands.
    pub(crate) standings: LookUps<ShowId, ShowStanding, E::Error>,
    /// For everybody.
    pub(crate) tickets: LookUps<TicketId, Ticket, E::Error>,
    /// For those who confirm and cancel.
    pub(crate) changed_tickets: LookUps<TicketId, Ticket, E::Error>,
    pub(crate) transitions:
        ByShow<TransitionRequest, (TransitionOutcome, Option<ShowSeats>), E::Error>,
}

impl<E: Engine> SqlStore<E> {
    /// How its connections are used, by what they are for.
    #[must_use]
    pub fn pools(&self) -> [PoolUse; 4] {
        self.db.pools()
    }

    /// By how many microseconds the server's clock is ahead of this process's at least: the
    /// smallest difference that the two can have. `None` before it was seen.
    #[must_use]
    pub fn clock_ahead_micros(&self) -> Option<i64> {
        self.db.ahead_micros()
    }
}

#[async_trait]
impl<E: Engine> Examination for SqlStore<E> {
    async fn examine(&self) -> Vec<Finding> {
        self.db.engine.inspect().await
    }
}
