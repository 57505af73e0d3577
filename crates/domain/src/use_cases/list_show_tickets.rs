//! The tickets of a show, for those who run it.

use super::box_office::BoxOffice;
use crate::ids::ShowId;
use crate::journal::HistoryEntry;
use crate::ports::Cause;
use crate::ticket::{Status, Ticket};

/// A piece of a show's tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowTickets {
    /// In the sequence of their decisions. There may be fewer than asked for.
    pub tickets: Vec<Ticket>,
    /// Where the next piece begins; `None` if this is the last one.
    pub next: Option<u64>,
}

/// Why a show's tickets are not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListShowTicketsError {
    /// There is no such show.
    #[error("the show does not exist")]
    ShowNotFound,
    /// The store did not answer.
    #[error("a store is unavailable")]
    StoreUnavailable(#[source] Cause),
}

impl BoxOffice {
    /// Up to `limit` decided tickets of a show, those of one status if it is given, as they are
    /// now, in the sequence of their decisions; those whose decision came after step `after` of
    /// the show's history. A ticket that changes meanwhile is listed once, in either state.
    ///
    /// Reads 1 to 50 pieces of the history: a rare status may take many calls.
    ///
    /// # Errors
    /// [`ListShowTicketsError`].
    pub async fn list_show_tickets(
        &self,
        show: &ShowId,
        status: Option<Status>,
        after: u64,
        limit: usize,
    ) -> Result<ShowTickets, ListShowTicketsError> {
        /// Steps of the history that are read at a time.
        const STEPS: usize = 1_000;
        const PIECES: usize = 50;

        let unavailable = ListShowTicketsError::StoreUnavailable;
        let found = self.parts.shows.find(show).await;
        found
            .map_err(|error| unavailable(Box::new(error)))?
            .ok_or(ListShowTicketsError::ShowNotFound)?;
        let mut tickets = Vec::new();
        let mut after = after;
        for _ in 0..PIECES {
            let history = self.parts.ledger.history(show, after, STEPS).await;
            let history = history.map_err(|error| unavailable(Box::new(error)))?;
            if history.is_empty() {
                return Ok(ShowTickets {
                    tickets,
                    next: None,
                });
            }
            for entry in history {
                after = entry.seq();
                if let HistoryEntry::Decided(ticket) = entry
                    && status.is_none_or(|status| ticket.status == status)
                {
                    tickets.push(ticket);
                }
                if tickets.len() >= limit {
                    let next = Some(after);
                    return Ok(ShowTickets { tickets, next });
                }
            }
        }
        let next = Some(after);
        Ok(ShowTickets { tickets, next })
    }
}
