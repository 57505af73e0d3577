//! Confirming, cancelling and expiring decided tickets.

use std::collections::{BTreeMap, HashMap};

use crate::ids::{ShowId, UserId};
use crate::receipt::TicketId;
use crate::rule::ledger::{CorruptCounters, Refusal, ShowLedger, Transition};
use crate::rule::saved::{Changes, ShowAfter, TicketChange};
use crate::ticket::Ticket;
use crate::time::Timestamp;

/// What a holder asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransitionKind {
    /// Sell the held seats.
    Confirm,
    /// Give the seats back.
    Cancel,
}

/// One request to confirm or cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionRequest {
    /// The ticket.
    pub ticket_id: TicketId,
    /// What to do with it.
    pub kind: TransitionKind,
    /// The user whose ticket it must be; `None` for whatever user's it is.
    pub holder: Option<UserId>,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransitionOutcome {
    /// The ticket changed to this.
    Changed(Ticket),
    /// The ticket was already what was asked for.
    Unchanged(Ticket),
    /// The ticket stays as it is.
    Refused(Ticket, Refusal),
    /// The ledger has no ticket of that id.
    NotDecided,
    /// The ticket is somebody else's, and stays as it is.
    NotTheirs,
}

/// What a ledger loads, under the locks of the tickets' shows, to confirm and cancel.
#[derive(Debug, Clone, Default)]
pub struct TicketsState {
    /// The tickets of the requests; one that is missing here is not decided.
    pub tickets: HashMap<TicketId, Ticket>,
    /// Their shows.
    pub shows: BTreeMap<ShowId, ShowLedger>,
}

/// What confirming, cancelling or expiring does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketsOutcome {
    /// One per request, in the same sequence; of expiring, the tickets that expired.
    pub outcomes: Vec<TransitionOutcome>,
    /// In the sequence they happened in.
    pub changed: Vec<TicketChange>,
    /// All shows that were loaded, as they are now.
    pub shows: Vec<ShowAfter>,
}

impl TicketsOutcome {
    /// What the ledger saves of it.
    #[must_use]
    pub fn changes(&self) -> Changes<'_> {
        Changes::new(Vec::new(), &self.changed, &self.shows)
    }
}

/// Confirms and cancels in the given sequence; a later request finds what an earlier one left.
///
/// # Errors
/// [`CorruptCounters`] of one of the shows; nothing is to be saved then.
pub fn change_tickets(
    state: TicketsState,
    requests: &[TransitionRequest],
    now: Timestamp,
) -> Result<TicketsOutcome, CorruptCounters> {
    let TicketsState {
        mut tickets,
        mut shows,
    } = state;
    let seqs: Vec<_> = shows.values().map(ShowLedger::seq).collect();
    let mut changed = Vec::new();
    let outcomes = requests
        .iter()
        .map(|request| {
            let Some(ticket) = tickets.get_mut(&request.ticket_id) else {
                return Ok(TransitionOutcome::NotDecided);
            };
            let holder = request.holder.as_ref();
            if holder.is_some_and(|holder| *holder != ticket.order.user_id) {
                return Ok(TransitionOutcome::NotTheirs);
            }
            let before = ticket.clone();
            let transition = match (request.kind, shows.get_mut(&ticket.order.show_id)) {
                (TransitionKind::Confirm, Some(show)) => show.confirm(ticket, now)?,
                (TransitionKind::Cancel, Some(show)) => show.cancel(ticket, now)?,
                // There was no show to decide about, so the ticket was rejected.
                (TransitionKind::Confirm, None) => Transition::Refused(Refusal::NotReserved),
                (TransitionKind::Cancel, None) => Transition::Refused(Refusal::Rejected),
            };
            let after = ticket.clone();
            Ok(match transition {
                Transition::Done(entry) => {
                    changed.push(TicketChange {
                        before,
                        after: after.clone(),
                        entry,
                    });
                    TransitionOutcome::Changed(after)
                }
                Transition::AlreadyDone => TransitionOutcome::Unchanged(after),
                Transition::Refused(refusal) => TransitionOutcome::Refused(after, refusal),
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(TicketsOutcome {
        outcomes,
        changed,
        shows: ShowAfter::each(seqs, shows.into_values()),
    })
}

/// Expires those of the tickets whose hold is over at `now`. `shows` are the tickets' shows.
///
/// # Errors
/// [`CorruptCounters`] of one of the shows; nothing is to be saved then.
pub fn expire_holds(
    mut shows: BTreeMap<ShowId, ShowLedger>,
    due: Vec<Ticket>,
    now: Timestamp,
) -> Result<TicketsOutcome, CorruptCounters> {
    let seqs: Vec<_> = shows.values().map(ShowLedger::seq).collect();
    let mut changed = Vec::with_capacity(due.len());
    for ticket in due {
        if let Some(show) = shows.get_mut(&ticket.order.show_id) {
            changed.extend(TicketChange::expire(ticket, show, now)?);
        }
    }
    let expired = changed.iter().map(|change| change.after.clone());
    Ok(TicketsOutcome {
        outcomes: expired.map(TransitionOutcome::Changed).collect(),
        changed,
        shows: ShowAfter::each(seqs, shows.into_values()),
    })
}
