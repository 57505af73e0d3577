//! The partitions of the order queue.

use std::fmt;
use std::hash::Hasher;

use fnv::FnvHasher;

use crate::ids::ShowId;

/// The most lanes that a deployment can have; a receipt has six bits for the lane.
pub const MAX_LANES: u8 = 64;

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
    /// No lane.
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

    /// Adds a lane.
    pub const fn insert(&mut self, lane: Lane) {
        self.0 |= 1 << lane.0;
    }

    /// Removes a lane.
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

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there is none.
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
}
