//! The rule that decides, and everything else that moves seats. Pure: no
//! clock, no store. A ledger loads what is needed under the shows' locks,
//! calls this module and saves the result in the same transaction.

use std::collections::{BTreeMap, HashMap};

use crate::ids::{ShowId, UserId};
use crate::journal::{Change, JournalEntry, SeatsFrom};
use crate::order::Order;
use crate::receipt::TicketId;
use crate::show::{Capacity, SeatCounts, ShowChange, ShowSeats, Terms, TermsError};
use crate::ticket::{RejectionReason, Status, Ticket, Verdict};
use crate::time::Timestamp;

/// A show's counters under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowLedger {
    show_id: ShowId,
    terms: Terms,
    seats: SeatCounts,
    seq: u64,
}

/// Stored counters that no sequence of changes can have led to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "show {show_id}: {} available + {} held + {} sold is not the capacity of {}",
    seats.available, seats.held, seats.sold, capacity.seats()
)]
pub struct CorruptCounters {
    show_id: ShowId,
    seats: SeatCounts,
    capacity: Capacity,
}

/// Why a show's terms cannot change as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsRefused {
    /// The new terms contradict themselves.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The new capacity is below the seats that buyers already have.
    #[error("is below the {held} held and {sold} sold seats; cancel tickets first")]
    BelowHeldAndSold {
        /// Seats of reserved tickets.
        held: u32,
        /// Seats of confirmed tickets.
        sold: u32,
    },
}

/// Why a ticket cannot be confirmed or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The hold is over, whether or not its seats went back already.
    #[error("the hold is over")]
    HoldExpired,
    /// Only a reserved ticket can be confirmed.
    #[error("the ticket is not reserved")]
    NotReserved,
    /// A rejected ticket has no seats to give back.
    #[error("the ticket was rejected")]
    Rejected,
}

/// What became of a request to confirm or cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The ticket changed; the entry belongs into the journal.
    Done(JournalEntry),
    /// The ticket is already what was asked for.
    AlreadyDone,
    /// The ticket stays as it is.
    Refused(Refusal),
}

impl ShowLedger {
    /// Puts a show on sale: all seats available, and the first entry of its journal.
    #[must_use]
    pub fn open(show_id: ShowId, terms: Terms, now: Timestamp) -> (Self, JournalEntry) {
        let mut ledger = Self {
            show_id,
            seats: SeatCounts {
                available: terms.capacity.seats(),
                ..SeatCounts::default()
            },
            terms: terms.clone(),
            seq: 0,
        };
        let entry = ledger.entry(Change::TermsSet(terms), now);
        (ledger, entry)
    }

    /// Takes up a stored show.
    ///
    /// # Errors
    /// [`CorruptCounters`] when the counters do not add up to the capacity.
    pub fn restore(
        show_id: ShowId,
        terms: Terms,
        seats: SeatCounts,
        seq: u64,
    ) -> Result<Self, CorruptCounters> {
        if seats.total() != u64::from(terms.capacity.seats()) {
            return Err(CorruptCounters {
                show_id,
                seats,
                capacity: terms.capacity,
            });
        }
        Ok(Self {
            show_id,
            terms,
            seats,
            seq,
        })
    }

    /// The show.
    #[must_use]
    pub const fn show_id(&self) -> &ShowId {
        &self.show_id
    }

    /// The terms in force.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Where the seats are.
    #[must_use]
    pub const fn seats(&self) -> SeatCounts {
        self.seats
    }

    /// The number of the latest change.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The counters as they are announced.
    #[must_use]
    pub fn announcement(&self) -> ShowSeats {
        ShowSeats {
            show_id: self.show_id.clone(),
            seats: self.seats,
            seq: self.seq,
        }
    }

    /// **The rule.** Decides an order that has no verdict yet: sales window,
    /// then the user's limit, then seats, all or nothing.
    ///
    /// `live_seats` are the seats that the user has reserved and confirmed of
    /// this show; `None` if the ledger knows no such user.
    #[must_use]
    pub fn decide(&mut self, order: &Order, live_seats: Option<u32>, now: Timestamp) -> Ticket {
        let wanted = order.quantity.seats();
        let verdict = match live_seats {
            None => Verdict::Rejected(RejectionReason::UserNotFound),
            Some(_) if !self.terms.window.contains(order.requested_at) => {
                Verdict::Rejected(RejectionReason::SalesClosed)
            }
            Some(live) if live.saturating_add(wanted) > self.terms.max_per_user.get() => {
                Verdict::Rejected(RejectionReason::LimitExceeded)
            }
            Some(_) if wanted > self.seats.available => Verdict::Rejected(RejectionReason::SoldOut),
            Some(_) if self.terms.hold.seconds() > 0 => {
                self.seats.available -= wanted;
                self.seats.held += wanted;
                Verdict::Reserved {
                    hold_expires_at: now.plus_seconds(self.terms.hold.seconds()),
                }
            }
            Some(_) => {
                self.seats.available -= wanted;
                self.seats.sold += wanted;
                Verdict::Confirmed
            }
        };
        let seq = self.next_seq();
        decided(order, verdict, Some(seq), now)
    }

    /// Sells a reserved ticket's seats, if `now` is before the end of its hold.
    pub fn confirm(&mut self, ticket: &mut Ticket, now: Timestamp) -> Transition {
        match ticket.status {
            Status::Reserved if ticket.is_due(now) => Transition::Refused(Refusal::HoldExpired),
            Status::Reserved => {
                let seats = ticket.order.quantity.seats();
                self.seats.held -= seats;
                self.seats.sold += seats;
                advance(ticket, Status::Confirmed);
                Transition::Done(self.entry(Change::Confirmed(ticket.order.ticket_id), now))
            }
            Status::Confirmed => Transition::AlreadyDone,
            Status::Expired => Transition::Refused(Refusal::HoldExpired),
            Status::Cancelled | Status::Rejected => Transition::Refused(Refusal::NotReserved),
        }
    }

    /// Gives a reserved or confirmed ticket's seats back. A hold that is over
    /// at `now` can only expire.
    pub fn cancel(&mut self, ticket: &mut Ticket, now: Timestamp) -> Transition {
        let seats = ticket.order.quantity.seats();
        let from = match ticket.status {
            Status::Reserved if ticket.is_due(now) => {
                return Transition::Refused(Refusal::HoldExpired);
            }
            Status::Reserved => {
                self.seats.held -= seats;
                SeatsFrom::Held
            }
            Status::Confirmed => {
                self.seats.sold -= seats;
                SeatsFrom::Sold
            }
            Status::Cancelled => return Transition::AlreadyDone,
            Status::Expired => return Transition::Refused(Refusal::HoldExpired),
            Status::Rejected => return Transition::Refused(Refusal::Rejected),
        };
        self.seats.available += seats;
        advance(ticket, Status::Cancelled);
        Transition::Done(self.entry(Change::Cancelled(ticket.order.ticket_id, from), now))
    }

    /// Gives a reserved ticket's seats back if its hold is over at `now`;
    /// `None` if it is not, or if the ticket is not reserved any more.
    pub fn expire(&mut self, ticket: &mut Ticket, now: Timestamp) -> Option<JournalEntry> {
        if !ticket.is_due(now) {
            return None;
        }
        let seats = ticket.order.quantity.seats();
        self.seats.held -= seats;
        self.seats.available += seats;
        advance(ticket, Status::Expired);
        Some(self.entry(Change::Expired(ticket.order.ticket_id), now))
    }

    /// Changes the terms of sale; `None` if `change` leaves them as they are.
    ///
    /// # Errors
    /// [`TermsRefused`]; nothing has changed then.
    pub fn change_terms(
        &mut self,
        change: &ShowChange,
        now: Timestamp,
    ) -> Result<Option<JournalEntry>, TermsRefused> {
        let terms = self.terms.changed(change)?;
        if terms == self.terms {
            return Ok(None);
        }
        let SeatCounts { held, sold, .. } = self.seats;
        // Both are below the old capacity, so their sum fits.
        let Some(available) = terms.capacity.seats().checked_sub(held + sold) else {
            return Err(TermsRefused::BelowHeldAndSold { held, sold });
        };
        self.seats.available = available;
        self.terms = terms.clone();
        Ok(Some(self.entry(Change::TermsSet(terms), now)))
    }

    fn next_seq(&mut self) -> u64 {
        debug_assert_eq!(self.seats.total(), u64::from(self.terms.capacity.seats()));
        self.seq += 1;
        self.seq
    }

    fn entry(&mut self, change: Change, now: Timestamp) -> JournalEntry {
        JournalEntry {
            show_id: self.show_id.clone(),
            seq: self.next_seq(),
            at: now,
            change,
        }
    }
}

fn advance(ticket: &mut Ticket, status: Status) {
    ticket.status = status;
    ticket.version += 1;
}

fn decided(
    order: &Order,
    verdict: Verdict,
    decision_seq: Option<u64>,
    decided_at: Timestamp,
) -> Ticket {
    Ticket {
        order: order.clone(),
        verdict,
        decided_at,
        decision_seq,
        status: match verdict {
            Verdict::Reserved { .. } => Status::Reserved,
            Verdict::Confirmed => Status::Confirmed,
            Verdict::Rejected(_) => Status::Rejected,
        },
        version: 1,
    }
}

/// One show of a batch, as loaded under its lock.
#[derive(Debug, Clone)]
pub struct BatchShow {
    /// Its counters.
    pub ledger: ShowLedger,
    /// The seats that each user who orders in this batch has reserved and
    /// confirmed, 0 included. A user who is missing here does not exist.
    pub live_seats: HashMap<UserId, u32>,
    /// Its reserved tickets whose hold is over, the longest first.
    pub due_holds: Vec<Ticket>,
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

/// What a ledger saves after deciding a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOutcome {
    /// One per order, in the same sequence.
    pub decisions: Vec<Decision>,
    /// Tickets whose hold was over, with the journal entry that says so.
    pub released: Vec<(Ticket, JournalEntry)>,
    /// The shows after the batch; those with an unchanged `seq` need no update.
    pub shows: Vec<ShowLedger>,
}

/// Decides a batch in the given sequence. First the shows' due holds are
/// released, so that no order is refused for a seat whose hold is over; then
/// each order gets the verdict that its id has, or else [`ShowLedger::decide`]'s.
#[must_use]
pub fn decide_batch(state: BatchState, orders: &[Order], now: Timestamp) -> BatchOutcome {
    let BatchState {
        mut shows,
        mut known,
    } = state;
    let mut released = Vec::new();
    for show in shows.values_mut() {
        for mut ticket in std::mem::take(&mut show.due_holds) {
            let Some(entry) = show.ledger.expire(&mut ticket, now) else {
                continue;
            };
            if let Some(live) = show.live_seats.get_mut(&ticket.order.user_id) {
                *live -= ticket.order.quantity.seats();
            }
            if let Some(ticket_in_batch) = known.get_mut(&ticket.order.ticket_id) {
                *ticket_in_batch = ticket.clone();
            }
            released.push((ticket, entry));
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
    BatchOutcome {
        decisions,
        released,
        shows: shows.into_values().map(|show| show.ledger).collect(),
    }
}
