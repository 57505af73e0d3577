//! An order on its way: what waits in a lane until the rule decides it.

use std::fmt;
use std::hash::Hasher;
use std::num::NonZeroU32;

use fnv::FnvHasher;

use crate::ids::{ShowId, UserId};
use crate::receipt::{ProcessId, TicketId};
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// The most lanes that a deployment can have; a receipt has six bits for the lane.
pub const MAX_LANES: u8 = 64;

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

/// One of the FIFO partitions of the order queue, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u8);

impl Lane {
    /// The lane's number, from 0.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many lanes there are: 1 to [`MAX_LANES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes(u8);

impl Lanes {
    /// `None` for zero lanes or more than [`MAX_LANES`].
    #[must_use]
    pub const fn new(count: u8) -> Option<Self> {
        if count == 0 || count > MAX_LANES {
            return None;
        }
        Some(Self(count))
    }

    /// The number of lanes.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }

    /// Every lane, from 0.
    pub fn iter(self) -> impl Iterator<Item = Lane> {
        (0..self.0).map(Lane)
    }

    /// The lane of that number, if there is one.
    #[must_use]
    pub const fn get(self, index: u8) -> Option<Lane> {
        if index < self.0 {
            Some(Lane(index))
        } else {
            None
        }
    }

    /// The lane of every order for `show`: the 64-bit FNV-1a hash of the
    /// identifier's bytes, modulo the number of lanes. It must be the same in
    /// every process and release, because orders of one show stay in sequence
    /// only inside of one lane. Source of the hash: Fowler, Noll and Vo,
    /// draft-eastlake-fnv.
    #[must_use]
    pub fn of(self, show: &ShowId) -> Lane {
        let mut hash = FnvHasher::default();
        hash.write(show.as_str().as_bytes());
        let index = hash.finish() % u64::from(self.0);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a remainder of a u8 fits into a u8"
        )]
        Lane(index as u8)
    }
}

/// Some of the lanes, a bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LaneSet(u64);

impl LaneSet {
    /// The set without a lane.
    pub const EMPTY: Self = Self(0);

    /// The set as a store keeps it: bit n is lane n.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Takes what [`Self::bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether the lane is one of them.
    #[must_use]
    pub const fn contains(self, lane: Lane) -> bool {
        self.0 & (1 << lane.0) != 0
    }

    /// Adds a lane to the set.
    pub const fn insert(&mut self, lane: Lane) {
        self.0 |= 1 << lane.0;
    }

    /// Removes a lane from the set.
    pub const fn remove(&mut self, lane: Lane) {
        self.0 &= !(1 << lane.0);
    }

    /// The lanes that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The lanes that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The number of lanes in the set.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether the set has no lane.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lanes, from the lowest.
    pub fn iter(self) -> impl Iterator<Item = Lane> {
        (0..MAX_LANES)
            .map(Lane)
            .filter(move |lane| self.contains(*lane))
    }
}

impl FromIterator<Lane> for LaneSet {
    fn from_iter<I: IntoIterator<Item = Lane>>(lanes: I) -> Self {
        let mut set = Self::EMPTY;
        for lane in lanes {
            set.insert(lane);
        }
        set
    }
}

impl fmt::Debug for LaneSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Lane::index)).finish()
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

    fn lane_of(lanes: u8, show: &str) -> u8 {
        let show = ShowId::new(show).unwrap();
        Lanes::new(lanes).unwrap().of(&show).index()
    }

    /// A changed value here would tear shows out of their lanes in a rolling upgrade.
    #[test]
    fn a_show_keeps_its_lane_for_ever() {
        // FNV-1a 64 of "a" is af63dc4c8601ec8c, of "foobar" 85944171f73967e8
        // (the authors' test vectors).
        assert_eq!(u64::from(lane_of(64, "a")), 0xaf63_dc4c_8601_ec8c_u64 % 64);
        assert_eq!(
            u64::from(lane_of(7, "foobar")),
            0x8594_4171_f739_67e8_u64 % 7
        );
        assert_eq!(lane_of(1, "230920"), 0);
    }

    #[test]
    fn shows_spread_over_the_lanes() {
        let mut orders = [0_u32; 4];
        for show in 0..4_000_u64 {
            orders[usize::from(Lanes::new(4).unwrap().of(&ShowId::from(show)).index())] += 1;
        }
        assert!(
            orders.iter().all(|count| (800..1_200).contains(count)),
            "{orders:?}"
        );
    }

    #[test]
    fn lanes_and_quantities_are_bounded() {
        assert_eq!(Lanes::new(0), None);
        assert_eq!(Lanes::new(65), None);
        assert_eq!(Lanes::new(4).unwrap().get(4), None);
        assert_eq!(Quantity::new(0), None);
        assert_eq!(Quantity::new(3).unwrap().seats(), 3);
    }
}
