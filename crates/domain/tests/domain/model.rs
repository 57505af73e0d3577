//! What a show must do, told without the rule's code: the model keeps a list of
//! tickets and recounts everything from it.

use std::num::NonZeroU32;

use domain::order::Order;
use domain::rule::{Refusal, TermsRefused, TransitionOutcome};
use domain::show::{Capacity, HoldSeconds, ShowChange, TermsError};
use domain::ticket::{RejectionReason, Status};

use crate::book::{at, user_id};

pub(crate) const SECOND: i64 = 1_000_000;
/// Users 0 to 3 exist, user 4 does not.
pub(crate) const USERS: u64 = 4;

/// Times are in µs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ModelTerms {
    pub(crate) capacity: u32,
    pub(crate) max_per_user: u32,
    pub(crate) hold_seconds: u32,
    pub(crate) opens: Option<i64>,
    pub(crate) closes: Option<i64>,
}

/// What a change of terms asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewTerms {
    pub(crate) capacity: Option<u32>,
    pub(crate) max_per_user: Option<u32>,
    pub(crate) hold_seconds: Option<u32>,
    pub(crate) opens: Option<Option<i64>>,
    pub(crate) closes: Option<Option<i64>>,
}

impl NewTerms {
    pub(crate) fn to_change(self) -> ShowChange {
        ShowChange {
            title: None,
            capacity: self.capacity.map(|seats| Capacity::new(seats).unwrap()),
            max_per_user: self.max_per_user.and_then(NonZeroU32::new),
            hold: self
                .hold_seconds
                .map(|hold| HoldSeconds::new(hold).unwrap()),
            sales_open_at: self.opens.map(|end| end.map(at)),
            sales_close_at: self.closes.map(|end| end.map(at)),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ModelTicket {
    pub(crate) order: Order,
    pub(crate) seats: u32,
    pub(crate) status: Status,
    pub(crate) reason: Option<RejectionReason>,
    /// Kept after the hold is over.
    pub(crate) expires: Option<i64>,
}

pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) terms: ModelTerms,
    pub(crate) tickets: Vec<ModelTicket>,
    /// Changes so far, the opening among them.
    pub(crate) seq: u64,
}

impl Model {
    fn sum(&self, wanted: impl Fn(&ModelTicket) -> bool) -> u32 {
        let counted = self.tickets.iter().filter(|ticket| wanted(ticket));
        counted.map(|ticket| ticket.seats).sum()
    }

    pub(crate) fn held(&self) -> u32 {
        self.sum(|ticket| ticket.status == Status::Reserved)
    }

    pub(crate) fn sold(&self) -> u32 {
        self.sum(|ticket| ticket.status == Status::Confirmed)
    }

    /// The end of the hold that ends next.
    pub(crate) fn next_hold_end(&self) -> Option<i64> {
        let held = self
            .tickets
            .iter()
            .filter(|ticket| ticket.status == Status::Reserved);
        held.filter_map(|ticket| ticket.expires).min()
    }

    pub(crate) fn expire(&mut self) -> usize {
        let now = self.now;
        let due = self.tickets.iter_mut().filter(|ticket| {
            ticket.status == Status::Reserved && ticket.expires.is_some_and(|end| end <= now)
        });
        let mut count = 0;
        for ticket in due {
            ticket.status = Status::Expired;
            count += 1;
        }
        self.seq += count as u64;
        count
    }

    pub(crate) fn decide(&mut self, order: Order) -> &ModelTicket {
        let user = &order.user_id;
        let seats = order.quantity.seats();
        let live = self.sum(|ticket| {
            ticket.order.user_id == *user
                && matches!(ticket.status, Status::Reserved | Status::Confirmed)
        });
        let left = self.terms.capacity - self.held() - self.sold();
        let requested_at = order.requested_at.as_micros();
        let reason = if *user == user_id(USERS) {
            Some(RejectionReason::UserNotFound)
        } else if self.terms.opens.is_some_and(|opens| requested_at < opens)
            || self
                .terms
                .closes
                .is_some_and(|closes| requested_at >= closes)
        {
            Some(RejectionReason::SalesClosed)
        } else if live + seats > self.terms.max_per_user {
            Some(RejectionReason::LimitExceeded)
        } else if seats > left {
            Some(RejectionReason::SoldOut)
        } else {
            None
        };
        let is_held = reason.is_none() && self.terms.hold_seconds > 0;
        let hold = i64::from(self.terms.hold_seconds) * SECOND;
        self.tickets.push(ModelTicket {
            order,
            seats,
            status: match reason {
                Some(_) => Status::Rejected,
                None if is_held => Status::Reserved,
                None => Status::Confirmed,
            },
            reason,
            expires: is_held.then_some(self.now + hold),
        });
        self.seq += 1;
        &self.tickets[self.tickets.len() - 1]
    }

    fn is_over(&self, ticket: usize) -> bool {
        self.tickets[ticket]
            .expires
            .is_some_and(|end| end <= self.now)
    }

    /// What confirming must answer, after doing it.
    pub(crate) fn confirm(&mut self, ticket: usize) -> Expected {
        match self.tickets[ticket].status {
            Status::Reserved if !self.is_over(ticket) => self.changed(ticket, Status::Confirmed),
            Status::Reserved | Status::Expired => Expected::Refused(Refusal::HoldExpired),
            Status::Confirmed => Expected::AlreadyDone,
            Status::Cancelled | Status::Rejected => Expected::Refused(Refusal::NotReserved),
        }
    }

    /// What cancelling must answer, after doing it.
    pub(crate) fn cancel(&mut self, ticket: usize) -> Expected {
        match self.tickets[ticket].status {
            Status::Reserved if self.is_over(ticket) => Expected::Refused(Refusal::HoldExpired),
            Status::Reserved | Status::Confirmed => self.changed(ticket, Status::Cancelled),
            Status::Cancelled => Expected::AlreadyDone,
            Status::Expired => Expected::Refused(Refusal::HoldExpired),
            Status::Rejected => Expected::Refused(Refusal::Rejected),
        }
    }

    fn changed(&mut self, ticket: usize, status: Status) -> Expected {
        self.tickets[ticket].status = status;
        self.seq += 1;
        Expected::Done
    }

    /// What a change of terms must answer, after doing it: whether anything changed.
    pub(crate) fn change_terms(&mut self, new: NewTerms) -> Result<bool, TermsRefused> {
        let old = self.terms;
        let terms = ModelTerms {
            capacity: new.capacity.unwrap_or(old.capacity),
            max_per_user: new.max_per_user.unwrap_or(old.max_per_user),
            hold_seconds: new.hold_seconds.unwrap_or(old.hold_seconds),
            opens: new.opens.unwrap_or(old.opens),
            closes: new.closes.unwrap_or(old.closes),
        };
        if let (Some(opens), Some(closes)) = (terms.opens, terms.closes)
            && closes <= opens
        {
            return Err(TermsRefused::Terms(TermsError::WindowReversed));
        }
        let (held, sold) = (self.held(), self.sold());
        if terms.capacity < held + sold {
            return Err(TermsRefused::BelowHeldAndSold { held, sold });
        }
        self.terms = terms;
        self.seq += u64::from(terms != old);
        Ok(terms != old)
    }
}

/// What became of a request to confirm or cancel.
#[derive(Debug, PartialEq)]
pub(crate) enum Expected {
    Done,
    AlreadyDone,
    Refused(Refusal),
}

impl From<TransitionOutcome> for Expected {
    fn from(outcome: TransitionOutcome) -> Self {
        match outcome {
            TransitionOutcome::Changed(_) => Self::Done,
            TransitionOutcome::Unchanged(_) => Self::AlreadyDone,
            TransitionOutcome::Refused(_, refusal) => Self::Refused(refusal),
            TransitionOutcome::NotDecided | TransitionOutcome::NotTheirs => {
                panic!("the ticket was decided")
            }
        }
    }
}
