//! Decided state for those who look at it, and decide nothing by it.

use async_trait::async_trait;

use super::{LedgerError, ShowRepositoryError, TransitionReport};
use crate::event::Event;
use crate::ids::{ShowId, UserId};
use crate::receipt::TicketId;
use crate::show::ShowStanding;
use crate::ticket::Ticket;

/// Reads tickets and shows that may be as old as the implementation allows. What one process is
/// told here of a ticket or a show never goes back in time.
///
/// Not for orders, gates and listeners: they ask the ledger and the repositories.
#[async_trait]
pub trait DecidedState: Send + Sync {
    /// The ticket, if it has a verdict. That it has none is never an answer from before the call.
    ///
    /// # Errors
    /// As [`super::TicketLedger::find`].
    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, LedgerError>;

    /// The show with its seats. That there is none is never an answer from before the call.
    ///
    /// # Errors
    /// As [`super::ShowRepository::standings`].
    async fn show(&self, id: &ShowId) -> Result<Option<ShowStanding>, ShowRepositoryError>;

    /// Takes note of what somebody announced, for the next reads of this process. Called for
    /// every event of the service: nothing waits.
    fn hear(&self, event: &Event);

    /// Takes note of what this process asked the ledger to change, for the next reads: of this
    /// process, and of all that share a cache which answers. Waits for that for some tens of
    /// milliseconds at most.
    async fn note_changed(&self, report: &TransitionReport);

    /// The same for a show whose title or terms this process has changed.
    async fn note_show_changed(&self, standing: &ShowStanding);

    /// Takes note of a user who is being erased by this process, or was: it tells no ticket under
    /// that id from now on unless the store does.
    fn note_erased(&self, user: &UserId);
}
