//! Which worker should own which lane. Every worker computes the same from what
//! the workers tell each other, so nobody has to be asked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A worker as the others see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// Lanes that it owns.
    pub(crate) lanes: BTreeSet<u8>,
    /// Lanes that it could own beside those.
    pub(crate) room: usize,
}

/// Load of a member: busy lanes first, because a lane without orders costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    busy: usize,
    all: usize,
}

struct Plan<'a> {
    members: BTreeMap<u32, Member>,
    busy: &'a BTreeSet<u8>,
}

impl Plan<'_> {
    fn load(&self, id: u32) -> Load {
        let lanes = &self.members[&id].lanes;
        Load {
            busy: lanes.intersection(self.busy).count(),
            all: lanes.len(),
        }
    }

    /// The member with the least of `key` that has room.
    fn least<K: Ord>(&self, key: impl Fn(Load) -> K) -> Option<u32> {
        let with_room = self.members.iter().filter(|(_, member)| member.room > 0);
        with_room
            .map(|(id, _)| *id)
            .min_by_key(|id| (key(self.load(*id)), *id))
    }

    fn most<K: Ord>(&self, key: impl Fn(Load) -> K) -> Option<u32> {
        let ids = self.members.keys().copied();
        ids.max_by_key(|id| (key(self.load(*id)), Reverse(*id)))
    }

    fn take(&mut self, id: u32, lane: u8) {
        if let Some(member) = self.members.get_mut(&id) {
            member.lanes.insert(lane);
            member.room = member.room.saturating_sub(1);
        }
    }

    fn give_up(&mut self, id: u32, lane: u8) {
        if let Some(member) = self.members.get_mut(&id) {
            member.lanes.remove(&lane);
            member.room += 1;
        }
    }

    fn hand_out(&mut self, lane: u8) {
        let is_busy = self.busy.contains(&lane);
        let to = self.least(|load| {
            if is_busy {
                (load.busy, load.all)
            } else {
                (load.all, load.busy)
            }
        });
        if let Some(to) = to {
            self.take(to, lane);
        }
    }

    /// Moves one lane to where it does more good; false if none would.
    fn improve(&mut self) -> bool {
        let by_busy = (self.most(|load| load), self.least(|load| load));
        if let (Some(from), Some(to)) = by_busy
            && self.load(from).busy >= self.load(to).busy + 2
        {
            return self.shift(from, to, true);
        }
        let by_all = (
            self.most(|load| (load.all, load.busy)),
            self.least(|load| (load.all, load.busy)),
        );
        if let (Some(from), Some(to)) = by_all
            && self.load(from).all >= self.load(to).all + 2
        {
            return self.shift(from, to, false);
        }
        false
    }

    fn shift(&mut self, from: u32, to: u32, is_busy: bool) -> bool {
        let lanes = &self.members[&from].lanes;
        let lane = lanes
            .iter()
            .copied()
            .find(|lane| self.busy.contains(lane) == is_busy);
        let Some(lane) = lane else {
            return false;
        };
        self.give_up(from, lane);
        self.take(to, lane);
        true
    }
}

/// The owner that each lane should have. Busy lanes differ by at most one
/// between members with room, all lanes too; lanes move only where they must.
pub(crate) fn balance(
    members: BTreeMap<u32, Member>,
    busy: &BTreeSet<u8>,
    lanes: u8,
) -> BTreeMap<u8, u32> {
    let mut plan = Plan { members, busy };
    let owned: BTreeSet<u8> = plan
        .members
        .values()
        .flat_map(|member| member.lanes.iter().copied())
        .collect();
    let mut free: Vec<u8> = (0..lanes).filter(|lane| !owned.contains(lane)).collect();
    free.sort_by_key(|lane| (!busy.contains(lane), *lane));
    for lane in free {
        plan.hand_out(lane);
    }
    while plan.improve() {}
    let owners = plan.members.iter().flat_map(|(id, member)| {
        let id = *id;
        member.lanes.iter().map(move |lane| (*lane, id))
    });
    owners.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(lanes: &[u8], room: usize) -> Member {
        Member {
            lanes: lanes.iter().copied().collect(),
            room,
        }
    }

    fn owners(members: &[(u32, Member)], busy: &[u8], lanes: u8) -> BTreeMap<u8, u32> {
        let members = members.iter().cloned().collect();
        balance(members, &busy.iter().copied().collect(), lanes)
    }

    fn lanes_of(owners: &BTreeMap<u8, u32>, id: u32) -> Vec<u8> {
        let of_member = owners.iter().filter(|(_, owner)| **owner == id);
        of_member.map(|(lane, _)| *lane).collect()
    }

    #[test]
    fn one_worker_gets_everything_it_has_room_for() {
        assert_eq!(owners(&[(7, member(&[], 4))], &[], 4).len(), 4);
        assert_eq!(
            owners(&[(7, member(&[], 1))], &[2], 4).keys().next(),
            Some(&2)
        );
        assert_eq!(owners(&[], &[], 4).len(), 0);
    }

    #[test]
    fn a_newcomer_gets_its_share_and_no_more_moves_than_that() {
        let now = owners(
            &[(1, member(&[0, 1, 2, 3], 0)), (2, member(&[], 4))],
            &[],
            4,
        );
        assert_eq!(lanes_of(&now, 2).len(), 2);
        let balanced = [(1, member(&[0, 3], 2)), (2, member(&[1, 2], 2))];
        let unchanged = owners(&balanced, &[], 4);
        assert_eq!(lanes_of(&unchanged, 1), [0, 3]);
        assert_eq!(lanes_of(&unchanged, 2), [1, 2]);
    }

    #[test]
    fn busy_lanes_are_spread_whatever_the_others_are() {
        let members = [(1, member(&[0, 1], 2)), (2, member(&[2, 3], 2))];
        let owners = owners(&members, &[0, 1], 4);
        for id in [1, 2] {
            let lanes = lanes_of(&owners, id);
            assert_eq!(lanes.len(), 2, "{owners:?}");
            assert_eq!(
                lanes.iter().filter(|lane| **lane < 2).count(),
                1,
                "{owners:?}"
            );
        }
    }

    #[test]
    fn every_state_comes_to_an_even_rest() {
        // All ways to give six lanes to three members, with all sets of busy lanes.
        for code in 0..4_u32.pow(6) {
            let mut members = BTreeMap::new();
            for id in 0..3 {
                let lanes: Vec<u8> = (0..6_u8)
                    .filter(|lane| code / 4_u32.pow(u32::from(*lane)) % 4 == id)
                    .collect();
                members.insert(id, member(&lanes, 6 - lanes.len()));
            }
            for busy_code in 0..64_u8 {
                let busy: BTreeSet<u8> = (0..6).filter(|lane| busy_code >> lane & 1 == 1).collect();
                let owners = balance(members.clone(), &busy, 6);
                assert_eq!(owners.len(), 6);
                let counts = |among: &dyn Fn(&u8) -> bool| {
                    let count = |id| {
                        lanes_of(&owners, id)
                            .iter()
                            .filter(|lane| among(lane))
                            .count()
                    };
                    let counts = [count(0), count(1), count(2)];
                    counts.iter().max().unwrap() - counts.iter().min().unwrap()
                };
                assert!(counts(&|_| true) <= 1, "{members:?} {busy:?} {owners:?}");
                assert!(
                    counts(&|lane| busy.contains(lane)) <= 1,
                    "{members:?} {busy:?} {owners:?}"
                );
            }
        }
    }
}
