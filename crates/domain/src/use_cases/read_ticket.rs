//! Reading tickets.

use super::BoxOffice;
use crate::ids::UserId;
use crate::ports::{Cause, TicketPage};
use crate::receipt::TicketId;
use crate::ticket::Ticket;

/// A ticket as its holder may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketView {
    /// It has its verdict.
    Decided(Ticket),
    /// The id was issued and the ledger knows nothing of it: still queued, or
    /// on its way there. All that is known is in the id itself.
    Processing(TicketId),
}

/// Why a ticket is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadTicketError {
    /// No ticket of that id was ever issued.
    #[error("the ticket does not exist")]
    NotFound,
    /// The store did not answer.
    #[error("the ledger is unavailable")]
    StoreUnavailable(#[source] Cause),
}

/// Why a user's tickets are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListTicketsError {
    /// There is no such user.
    #[error("the user does not exist")]
    UserNotFound,
    /// The store did not answer.
    #[error("a store is unavailable")]
    StoreUnavailable(#[source] Cause),
}

impl BoxOffice {
    /// The ticket of that id. The ledger is asked first, the id itself only
    /// when the ledger knows nothing.
    ///
    /// # Errors
    /// [`ReadTicketError`].
    pub async fn read_ticket(&self, id: TicketId) -> Result<TicketView, ReadTicketError> {
        let found = self
            .ledger
            .find(&[id])
            .await
            .map_err(|error| ReadTicketError::StoreUnavailable(Box::new(error)))?;
        match found.into_iter().next() {
            Some(ticket) => Ok(TicketView::Decided(ticket)),
            None if self.receipts.has_issued(id) => Ok(TicketView::Processing(id)),
            None => Err(ReadTicketError::NotFound),
        }
    }

    /// A user's decided tickets, newest first.
    ///
    /// # Errors
    /// [`ListTicketsError`].
    pub async fn list_tickets(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, ListTicketsError> {
        let unavailable = |cause| ListTicketsError::StoreUnavailable(cause);
        self.users
            .find(user)
            .await
            .map_err(|error| unavailable(Box::new(error)))?
            .ok_or(ListTicketsError::UserNotFound)?;
        self.ledger
            .list_by_user(user, page)
            .await
            .map_err(|error| unavailable(Box::new(error)))
    }
}
