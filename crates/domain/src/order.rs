//! An order on its way: what waits in a lane until the rule decides it.

use std::num::NonZeroU32;

use crate::ids::{ShowId, UserId};
pub use crate::lane::{Lane, LaneSet, Lanes, MAX_LANES};
use crate::receipt::{ProcessId, TicketId};
use crate::time::Timestamp;
use crate::trace::TraceContext;
use crate::user::PriorityClass;

/// Number of seats of one order, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(NonZeroU32);

impl Quantity {
    /// The quantity of one seat.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// `None` for zero seats.
    #[must_use]
    pub const fn new(seats: u32) -> Option<Self> {
        match NonZeroU32::new(seats) {
            Some(seats) => Some(Self(seats)),
            None => None,
        }
    }

    /// The number of seats.
    #[must_use]
    pub const fn seats(self) -> u32 {
        self.0.get()
    }
}

/// An order as its publisher gets it: not yet in the queue, so without a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The ticket that the order asks for.
    pub ticket_id: TicketId,
    /// The show that seats are wanted of.
    pub show_id: ShowId,
    /// Who wants them.
    pub user_id: UserId,
    /// How many, all or none.
    pub quantity: Quantity,
    /// The queue of the lane that the order waits in.
    pub class: PriorityClass,
    /// As [`Order::trace`].
    pub trace: Option<Box<TraceContext>>,
}

/// An order that has its place in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The ticket that the order asks for.
    pub ticket_id: TicketId,
    /// The show that seats are wanted of.
    pub show_id: ShowId,
    /// Who wants them.
    pub user_id: UserId,
    /// How many, all or none.
    pub quantity: Quantity,
    /// The queue of the lane that the order waits in.
    pub class: PriorityClass,
    /// When the publisher took the order; strictly increasing per accepting
    /// process, lane and class, so that it proves the order of the queue.
    pub requested_at: Timestamp,
    /// The process whose publisher took the order.
    pub accepted_by: ProcessId,
    /// Put back from the dead letters: it lost its place in the sequence.
    pub redriven: bool,
    /// Where its trace goes on, if it is one of those that are sampled. Nothing is decided by it, a
    /// queue may lose it, and a ledger does not keep it.
    pub trace: Option<Box<TraceContext>>,
}

impl NewOrder {
    /// The order with its place in a lane.
    #[must_use]
    pub fn accepted(self, requested_at: Timestamp, accepted_by: ProcessId) -> Order {
        Order {
            ticket_id: self.ticket_id,
            show_id: self.show_id,
            user_id: self.user_id,
            quantity: self.quantity,
            class: self.class,
            requested_at,
            accepted_by,
            redriven: false,
            trace: self.trace,
        }
    }
}

impl Order {
    /// Whether `other` asks for the same thing: a repetition, not a conflict.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        self.show_id == other.show_id
            && self.user_id == other.user_id
            && self.quantity == other.quantity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_and_quantities_are_bounded() {
        assert_eq!(Lanes::new(0), None);
        assert_eq!(Lanes::new(65), None);
        assert_eq!(Lanes::new(4).unwrap().get(4), None);
        assert_eq!(Quantity::new(0), None);
        assert_eq!(Quantity::new(3).unwrap().seats(), 3);
    }
}
