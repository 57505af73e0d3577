//! Deciding a batch of orders.

use std::collections::{BTreeMap, HashMap};

use crate::ids::{ShowId, UserId};
use crate::order::Order;
use crate::receipt::TicketId;
use crate::rule::ledger::{CorruptCounters, ShowLedger, decided};
use crate::rule::saved::{Changes, ShowAfter, TicketChange};
use crate::ticket::{RejectionReason, Ticket, Verdict};
use crate::time::Timestamp;

/// One show of a batch, as loaded under its lock.
#[derive(Debug, Clone)]
pub struct BatchShow {
    /// Its counters.
    pub ledger: ShowLedger,
    /// The seats that each user who orders in this batch has reserved and
    /// confirmed, 0 included. A user who is missing here does not exist.
    pub live_seats: HashMap<UserId, u32>,
    /// Its reserved tickets whose hold is over, the longest first: all of users who order in this
    /// batch, and of the others as many as [`make_room`], or all.
    pub due_holds: Vec<Ticket>,
}

/// Whether no other due hold of `show` has to be released for room: those of `due` that are over
/// at `now` have a seat for all that `orders` want. After an outage more may be due than a ledger
/// can load.
#[must_use]
pub fn make_room(due: &[Ticket], show: &ShowId, orders: &[Order], now: Timestamp) -> bool {
    let seats = |order: &Order| u64::from(order.quantity.seats());
    let wanted: u64 = orders
        .iter()
        .filter(|it| it.show_id == *show)
        .map(seats)
        .sum();
    let is_over = |it: &&Ticket| it.hold_expires_at().is_some_and(|end| end <= now);
    let freed: u64 = due.iter().filter(is_over).map(|it| seats(&it.order)).sum();
    freed >= wanted
}

/// What a ledger loads, under the locks of the batch's shows, to decide a batch.
#[derive(Debug, Clone, Default)]
pub struct BatchState {
    /// The shows of the orders; one that is missing here does not exist.
    /// Sorted, so that the same batch releases its holds in the same sequence.
    pub shows: BTreeMap<ShowId, BatchShow>,
    /// Tickets of the ledger that have the id of one of the orders.
    pub known: HashMap<TicketId, Ticket>,
}

/// What became of one order of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has its verdict now; the ticket belongs into the ledger.
    First(Ticket),
    /// It had its verdict already: a redelivery or a repetition.
    Replayed(Ticket),
    /// Another order has its ticket id (the same idempotency key with another
    /// body); that order's ticket. This one is dropped.
    Conflict(Ticket),
}

impl Decision {
    /// The ticket that the ledger has under the order's id.
    #[must_use]
    pub const fn ticket(&self) -> &Ticket {
        match self {
            Self::First(ticket) | Self::Replayed(ticket) | Self::Conflict(ticket) => ticket,
        }
    }
}

/// What deciding a batch does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOutcome {
    /// One per order, in the same sequence.
    pub decisions: Vec<Decision>,
    /// Tickets whose hold was over.
    pub released: Vec<TicketChange>,
    /// The shows of the orders, as they are now.
    pub shows: Vec<ShowAfter>,
}

impl BatchOutcome {
    /// What the ledger saves of it.
    #[must_use]
    pub fn changes(&self) -> Changes<'_> {
        let decided = self.decisions.iter().filter_map(|decision| match decision {
            Decision::First(ticket) => Some(ticket),
            Decision::Replayed(_) | Decision::Conflict(_) => None,
        });
        Changes::new(decided.collect(), &self.released, &self.shows)
    }
}

/// Decides a batch in the given sequence. First the shows' due holds are
/// released, so that no order is refused for a seat whose hold is over; then
/// each order gets the verdict that its id has, or else [`ShowLedger::decide`]'s.
///
/// # Errors
/// [`CorruptCounters`] of a show whose holds were to be released; nothing is to be saved then.
pub fn decide_batch(
    state: BatchState,
    orders: &[Order],
    now: Timestamp,
) -> Result<BatchOutcome, CorruptCounters> {
    let BatchState {
        mut shows,
        mut known,
    } = state;
    let seqs: Vec<_> = shows.values().map(|show| show.ledger.seq()).collect();
    let mut released = Vec::new();
    for show in shows.values_mut() {
        for before in std::mem::take(&mut show.due_holds) {
            let Some(change) = TicketChange::expire(before, &mut show.ledger, now)? else {
                continue;
            };
            let ticket = &change.after;
            if let Some(live) = show.live_seats.get_mut(&ticket.order.user_id) {
                *live = live.saturating_sub(ticket.order.quantity.seats());
            }
            if let Some(ticket_in_batch) = known.get_mut(&ticket.order.ticket_id) {
                ticket_in_batch.clone_from(ticket);
            }
            released.push(change);
        }
    }
    let decisions = orders
        .iter()
        .map(|order| {
            if let Some(ticket) = known.get(&order.ticket_id) {
                return if ticket.order.asks_the_same_as(order) {
                    Decision::Replayed(ticket.clone())
                } else {
                    Decision::Conflict(ticket.clone())
                };
            }
            let ticket = match shows.get_mut(&order.show_id) {
                None => decided(
                    order,
                    Verdict::Rejected(RejectionReason::ShowNotFound),
                    None,
                    now,
                ),
                Some(show) => {
                    let live = show.live_seats.get_mut(&order.user_id);
                    let ticket = show.ledger.decide(order, live.as_deref().copied(), now);
                    if let Some(live) = live
                        && ticket.status.is_live()
                    {
                        *live += order.quantity.seats();
                    }
                    ticket
                }
            };
            known.insert(order.ticket_id, ticket.clone());
            Decision::First(ticket)
        })
        .collect();
    Ok(BatchOutcome {
        decisions,
        released,
        shows: ShowAfter::each(seqs, shows.into_values().map(|show| show.ledger)),
    })
}
