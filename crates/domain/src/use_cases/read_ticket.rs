//! Reading tickets.

use super::box_office::BoxOffice;
use crate::ids::{ShowId, UserId};
use crate::ports::{Cause, LedgerError, TicketPage};
use crate::principal::Principal;
use crate::receipt::{Opened, TicketId};
use crate::ticket::Ticket;
use crate::time::Timestamp;
use crate::user::PriorityClass;
use crate::waiting_line::LinePlace;

/// A ticket as its holder may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketView {
    /// It has its verdict.
    Decided(Ticket),
    /// The id was issued and the ledger knows nothing of it: still queued, or
    /// on its way there.
    Processing {
        /// The ticket's id.
        id: TicketId,
        /// What the id tells, to the millisecond; a keyed one tells nothing.
        requested_at: Option<Timestamp>,
        /// Where the order is in its waiting line, if it is known which line that is.
        place: Option<LinePlace>,
    },
}

/// What a client tells of a keyed ticket, whose id does not say where it waits.
/// A wrong hint misleads nobody else. Time-ordered ids know better and ignore it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineHint {
    /// The show; without it there is no telling.
    pub show_id: Option<ShowId>,
    /// When the queue took the order, as its client was told; without it the
    /// order is taken for the last of its line.
    pub requested_at: Option<Timestamp>,
    /// The class; standard, unless given.
    pub class: Option<PriorityClass>,
}

/// Why a ticket is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadTicketError {
    /// No ticket of that id was ever issued to a user whose tickets the caller may see.
    #[error("the ticket does not exist")]
    NotFound,
    /// One of the tickets is stored in a form that this version does not write.
    #[error("a ticket cannot be read")]
    Unreadable(#[source] Cause),
    /// The store did not answer.
    #[error("the ledger is unavailable")]
    StoreUnavailable(#[source] Cause),
}

impl From<LedgerError> for ReadTicketError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unprocessable(cause) => Self::Unreadable(cause),
            error => Self::StoreUnavailable(Box::new(error)),
        }
    }
}

/// Why a user's tickets are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListTicketsError {
    /// The caller may not see this user's tickets.
    #[error("the caller may not see this user's tickets")]
    Forbidden,
    /// There is no such user.
    #[error("the user does not exist")]
    UserNotFound,
    /// The store did not answer.
    #[error("a store is unavailable")]
    StoreUnavailable(#[source] Cause),
}

impl BoxOffice {
    /// The ticket of that id, to be looked at. No store is asked for one that nobody issued.
    ///
    /// # Errors
    /// [`ReadTicketError`].
    pub async fn read_ticket(
        &self,
        principal: &Principal,
        id: TicketId,
        hint: &LineHint,
    ) -> Result<TicketView, ReadTicketError> {
        let opened = self.opened(principal, id)?;
        let found = match &self.parts.state {
            Some(state) => state.ticket(id).await?,
            None => self.read_tickets(&[id]).await?.pop(),
        };
        self.view(principal, id, &opened, hint, found)
    }

    /// The same as the ledger has it now, for a listener who is told what changes from now on.
    ///
    /// # Errors
    /// [`ReadTicketError`].
    pub async fn read_current_ticket(
        &self,
        principal: &Principal,
        id: TicketId,
    ) -> Result<TicketView, ReadTicketError> {
        let opened = self.opened(principal, id)?;
        let found = self.read_tickets(&[id]).await?.pop();
        self.view(principal, id, &opened, &LineHint::default(), found)
    }

    fn opened(&self, principal: &Principal, id: TicketId) -> Result<Opened<'_>, ReadTicketError> {
        let opened = self.open_for(principal, id);
        opened.ok_or(ReadTicketError::NotFound)
    }

    fn view(
        &self,
        principal: &Principal,
        id: TicketId,
        opened: &Opened<'_>,
        hint: &LineHint,
        found: Option<Ticket>,
    ) -> Result<TicketView, ReadTicketError> {
        match found {
            Some(ticket) if !principal.may_see(&ticket.order.user_id) => {
                Err(ReadTicketError::NotFound)
            }
            Some(ticket) => Ok(TicketView::Decided(ticket)),
            None => Ok(TicketView::Processing {
                id,
                requested_at: opened.issued_at(),
                place: self.line_place(opened, hint),
            }),
        }
    }

    /// The decided tickets among `ids` as the store has them now, in any sequence, whoever holds
    /// them: show each only to those who may see it. The ledger is asked for all of them:
    /// [`Self::open`] ids that come from outside first.
    ///
    /// # Errors
    /// [`ReadTicketError::Unreadable`] if that holds for any of them, else
    /// [`ReadTicketError::StoreUnavailable`].
    pub async fn read_tickets(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, ReadTicketError> {
        Ok(self.parts.ledger.find(ids).await?)
    }

    /// What the id tells, if it is a receipt of this service: its order is decided, or will be.
    #[must_use]
    pub fn open(&self, id: TicketId) -> Option<Opened<'_>> {
        self.parts.receipts.open(id)
    }

    /// As [`Self::open`], for a caller: `None` also if the id tells that it is of a user whose
    /// tickets the caller may not see. It does not tell that for sure; a decided ticket does.
    #[must_use]
    pub fn open_for(&self, principal: &Principal, id: TicketId) -> Option<Opened<'_>> {
        let sees_all = principal.agent || principal.operator;
        let is_theirs = |opened: &Opened<'_>| {
            let user = principal.user.as_ref();
            sees_all || user.is_some_and(|user| opened.may_be_of(user))
        };
        self.open(id).filter(is_theirs)
    }

    /// Where an order that is not decided yet is in its waiting line; `None` if
    /// it is not known which line that is. Asks no port but the clock.
    #[must_use]
    pub fn line_place(&self, id: &Opened<'_>, hint: &LineHint) -> Option<LinePlace> {
        let (lane, class, requested_at) = match id.class() {
            Some(class) => (id.lane(self.parts.lanes)?, class, id.issued_at()),
            None => {
                let lane = self.parts.lanes.of(hint.show_id.as_ref()?);
                let class = hint.class.unwrap_or(PriorityClass::Standard);
                (lane, class, hint.requested_at)
            }
        };
        let now = self.parts.clock.now();
        Some(self.parts.line.place(lane, class, requested_at, now))
    }

    /// A user's decided tickets, newest first.
    ///
    /// # Errors
    /// [`ListTicketsError`].
    pub async fn list_tickets(
        &self,
        principal: &Principal,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, ListTicketsError> {
        if !principal.may_see(user) {
            return Err(ListTicketsError::Forbidden);
        }
        let unavailable = |cause| ListTicketsError::StoreUnavailable(cause);
        self.parts
            .users
            .find(user)
            .await
            .map_err(|error| unavailable(Box::new(error)))?
            .ok_or(ListTicketsError::UserNotFound)?;
        self.parts
            .ledger
            .list_by_user(user, page)
            .await
            .map_err(|error| unavailable(Box::new(error)))
    }
}
