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
use runtime::Coalescer;

use crate::by_show::ByShow;
use crate::database::Database;
use crate::engine::Engine;
use crate::error::Fault;

/// A row that cannot be read is the failure of that user, show or ticket alone.
pub(crate) type Found<T> = Result<Option<T>, Fault>;

/// Users, shows and the ledger in a database.
pub struct SqlStore<E: Engine> {
    pub(crate) db: Arc<Database<E>>,
    /// When readiness last saw a change committed.
    pub(crate) checked_by_change: Mutex<Option<Instant>>,
    pub(crate) users: Coalescer<UserId, Found<User>, E::Error>,
    pub(crate) shows: Coalescer<ShowId, Found<ShowStanding>, E::Error>,
    pub(crate) standings: Coalescer<ShowId, Found<ShowStanding>, E::Error>,
    pub(crate) tickets: Coalescer<TicketId, Found<Ticket>, E::Error>,
    /// The same, for those who confirm and cancel.
    pub(crate) changed_tickets: Coalescer<TicketId, Found<Ticket>, E::Error>,
    pub(crate) transitions:
        ByShow<TransitionRequest, (TransitionOutcome, Option<ShowSeats>), E::Error>,
}

#[async_trait]
impl<E: Engine> Examination for SqlStore<E> {
    async fn examine(&self) -> Vec<Finding> {
        self.db.engine.inspect().await
    }
}
