//! Confirming and cancelling.

use super::announce;
use super::box_office::BoxOffice;
use crate::ports::{Cause, TicketEventsError};
use crate::principal::Principal;
use crate::receipt::TicketId;
use crate::rule::{Refusal, TransitionKind, TransitionOutcome, TransitionRequest};
use crate::ticket::Ticket;

/// A ticket that is now what was asked for.
#[derive(Debug)]
pub struct ChangedTicket {
    /// The ticket as it stands.
    pub ticket: Ticket,
    /// Whether the change was announced. The change itself is committed either way.
    pub announced: Result<(), TicketEventsError>,
}

/// Why a ticket was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeTicketError {
    /// The caller acts for no user.
    #[error("the caller may not change tickets")]
    Forbidden,
    /// No ticket of that id was ever issued to a user for whom the caller acts.
    #[error("the ticket does not exist")]
    NotFound,
    /// The ticket is still in the queue.
    #[error("the ticket is not decided yet")]
    NotDecided,
    /// The ticket stays as it is.
    #[error("the ticket cannot change like this")]
    Refused(Ticket, #[source] Refusal),
    /// The store did not answer; asking again is safe.
    #[error("the ledger is unavailable")]
    StoreUnavailable(#[source] Cause),
}

impl BoxOffice {
    /// Confirms or cancels a ticket; repeating it changes nothing and succeeds. The ledger is
    /// not asked for an id that nobody issued.
    ///
    /// # Errors
    /// [`ChangeTicketError`].
    pub async fn change_ticket(
        &self,
        principal: &Principal,
        ticket_id: TicketId,
        kind: TransitionKind,
    ) -> Result<ChangedTicket, ChangeTicketError> {
        if principal.only_user().is_none() && !principal.agent {
            return Err(ChangeTicketError::Forbidden);
        }
        if self.open_for(principal, ticket_id).is_none() {
            return Err(ChangeTicketError::NotFound);
        }
        let request = TransitionRequest {
            ticket_id,
            kind,
            holder: principal.only_user().cloned(),
        };
        let ledger = &self.parts.ledger;
        let mut report = ledger
            .transition(&[request])
            .await
            .map_err(|error| ChangeTicketError::StoreUnavailable(Box::new(error)))?;
        if let Some(state) = &self.parts.state {
            state.note_changed(&report).await;
        }
        let events = announce::transitions(&report);
        let announced = if events.is_empty() {
            Ok(())
        } else {
            self.parts.events.announce(events).await
        };
        match report.outcomes.pop() {
            Some(TransitionOutcome::Changed(ticket) | TransitionOutcome::Unchanged(ticket)) => {
                Ok(ChangedTicket { ticket, announced })
            }
            Some(TransitionOutcome::Refused(ticket, refusal)) => {
                Err(ChangeTicketError::Refused(ticket, refusal))
            }
            Some(TransitionOutcome::NotTheirs) => Err(ChangeTicketError::NotFound),
            Some(TransitionOutcome::NotDecided) | None => Err(ChangeTicketError::NotDecided),
        }
    }
}
