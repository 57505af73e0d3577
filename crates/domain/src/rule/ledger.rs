//! A show's counters and the changes of one ticket.

use crate::ids::ShowId;
use crate::journal::{Change, JournalEntry, SeatsFrom};
use crate::order::Order;
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
pub enum CorruptCounters {
    /// They do not add up.
    #[error(
        "show {show_id}: {} available + {} held + {} sold is not the capacity of {}",
        seats.available, seats.held, seats.sold, capacity.seats()
    )]
    Sum {
        /// The show.
        show_id: ShowId,
        /// Its counters.
        seats: SeatCounts,
        /// What they should add up to.
        capacity: Capacity,
    },
    /// A ticket has more seats than its show counts.
    #[error("show {show_id}: a ticket has {seats} of {counted} {counter} seats")]
    Overdrawn {
        /// The show.
        show_id: ShowId,
        /// `held` or `sold`.
        counter: &'static str,
        /// What is counted.
        counted: u32,
        /// What the ticket has.
        seats: u32,
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

/// What became of one ticket under its show's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The ticket changed; the entry belongs into the journal.
    Done(JournalEntry),
    /// The ticket is already what was asked for.
    AlreadyDone,
    /// The ticket stays as it is.
    Refused(Refusal),
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
            return Err(CorruptCounters::Sum {
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
    ///
    /// # Errors
    /// [`CorruptCounters`]; nothing has changed then.
    pub fn confirm(
        &mut self,
        ticket: &mut Ticket,
        now: Timestamp,
    ) -> Result<Transition, CorruptCounters> {
        Ok(match ticket.status {
            Status::Reserved if ticket.is_due(now) => Transition::Refused(Refusal::HoldExpired),
            Status::Reserved => {
                let seats = ticket.order.quantity.seats();
                self.take_held(seats)?;
                self.seats.sold += seats;
                advance(ticket, Status::Confirmed);
                Transition::Done(self.entry(Change::Confirmed(ticket.order.ticket_id), now))
            }
            Status::Confirmed => Transition::AlreadyDone,
            Status::Expired => Transition::Refused(Refusal::HoldExpired),
            Status::Cancelled | Status::Rejected => Transition::Refused(Refusal::NotReserved),
        })
    }

    /// Gives a reserved or confirmed ticket's seats back. A hold that is over
    /// at `now` can only expire.
    ///
    /// # Errors
    /// [`CorruptCounters`]; nothing has changed then.
    pub fn cancel(
        &mut self,
        ticket: &mut Ticket,
        now: Timestamp,
    ) -> Result<Transition, CorruptCounters> {
        let seats = ticket.order.quantity.seats();
        let from = match ticket.status {
            Status::Reserved if ticket.is_due(now) => {
                return Ok(Transition::Refused(Refusal::HoldExpired));
            }
            Status::Reserved => {
                self.take_held(seats)?;
                SeatsFrom::Held
            }
            Status::Confirmed => {
                self.take_sold(seats)?;
                SeatsFrom::Sold
            }
            Status::Cancelled => return Ok(Transition::AlreadyDone),
            Status::Expired => return Ok(Transition::Refused(Refusal::HoldExpired)),
            Status::Rejected => return Ok(Transition::Refused(Refusal::Rejected)),
        };
        self.seats.available += seats;
        advance(ticket, Status::Cancelled);
        let change = Change::Cancelled(ticket.order.ticket_id, from);
        Ok(Transition::Done(self.entry(change, now)))
    }

    /// Gives a reserved ticket's seats back if its hold is over at `now`;
    /// `None` if it is not, or if the ticket is not reserved any more.
    ///
    /// # Errors
    /// [`CorruptCounters`]; nothing has changed then.
    pub fn expire(
        &mut self,
        ticket: &mut Ticket,
        now: Timestamp,
    ) -> Result<Option<JournalEntry>, CorruptCounters> {
        if !ticket.is_due(now) {
            return Ok(None);
        }
        let seats = ticket.order.quantity.seats();
        self.take_held(seats)?;
        self.seats.available += seats;
        advance(ticket, Status::Expired);
        Ok(Some(
            self.entry(Change::Expired(ticket.order.ticket_id), now),
        ))
    }

    fn take_held(&mut self, seats: u32) -> Result<(), CorruptCounters> {
        self.seats.held = self.left("held", self.seats.held, seats)?;
        Ok(())
    }

    fn take_sold(&mut self, seats: u32) -> Result<(), CorruptCounters> {
        self.seats.sold = self.left("sold", self.seats.sold, seats)?;
        Ok(())
    }

    fn left(
        &self,
        counter: &'static str,
        counted: u32,
        seats: u32,
    ) -> Result<u32, CorruptCounters> {
        let left = counted.checked_sub(seats);
        left.ok_or_else(|| CorruptCounters::Overdrawn {
            show_id: self.show_id.clone(),
            counter,
            counted,
            seats,
        })
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

pub(super) fn decided(
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
