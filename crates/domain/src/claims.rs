//! Which worker decides which lane.
//!
//! Workers claim lanes in the store. A claim has a number that only grows per lane: the
//! ledger refuses decisions under a number that another one followed (fencing), so a worker
//! that was frozen and thaws changes nothing. Each worker says several times a second that it
//! is there, with a beat that only grows; a worker whose beat stood still for [`TERM`] is
//! silent, and its lanes are free. Nobody compares clocks: the beats are watched, as Amazon's
//! lock client for `DynamoDB` does it.
//!
//! Every worker computes the same plan ([`plan`]) from the same roster and takes only what the
//! plan gives it and what is free. A different opinion about who is silent costs a lane a
//! hand-over, never a second decision.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::order::{Lane, LaneSet, Lanes};
use crate::receipt::ProcessId;

/// Between two beats of a worker.
pub const BEAT: Duration = Duration::from_millis(250);
/// A worker whose beat stood still for so long is silent.
pub const TERM: Duration = Duration::from_millis(1_200);

/// The right of one worker to decide a lane until another claim follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The lane.
    pub lane: Lane,
    /// Counts the claims of the lane, from 1: the fencing number.
    pub number: u64,
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// The worker.
    pub worker: ProcessId,
    /// Lanes that had an order lately.
    pub busy: LaneSet,
    /// Lanes that it could not decide just now, and leaves to others for a while.
    pub avoids: LaneSet,
}

/// A worker as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What it said last.
    pub presence: Presence,
    /// Counts what it said.
    pub beat: u64,
}

/// A lane as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneClaim {
    /// The lane.
    pub lane: Lane,
    /// Who has it; `None` if it was given back or never taken.
    pub owner: Option<ProcessId>,
    /// The number of its latest claim, 0 if there never was one.
    pub number: u64,
}

/// All workers and all claims at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// The workers that were not forgotten.
    pub members: Vec<Member>,
    /// A lane that is missing was never taken.
    pub claims: Vec<LaneClaim>,
}

impl Roster {
    /// Who has the lane, and under which number.
    #[must_use]
    pub fn claim(&self, lane: Lane) -> LaneClaim {
        let claim = self.claims.iter().find(|claim| claim.lane == lane);
        claim.copied().unwrap_or(LaneClaim {
            lane,
            owner: None,
            number: 0,
        })
    }
}

/// Watches the beats of the workers. Times are those of one clock that never goes back,
/// since any moment.
#[derive(Debug, Default)]
pub struct Watch {
    /// The latest beat of each worker, and when it was new here.
    beats: BTreeMap<ProcessId, (u64, Duration)>,
    latest: Option<Duration>,
}

impl Watch {
    /// Takes note of a roster that was read at `now`.
    ///
    /// If the last look was long ago, nobody is blamed for the silence since: it may have
    /// been the watcher, or the store, that stood still.
    pub fn look(&mut self, roster: &Roster, now: Duration) {
        let was_away = self
            .latest
            .is_none_or(|latest| now.saturating_sub(latest) > TERM / 2);
        self.latest = Some(now);
        let members = roster.members.iter();
        self.beats = members
            .map(|member| {
                let worker = member.presence.worker;
                let since = match self.beats.get(&worker) {
                    Some((beat, since)) if *beat == member.beat && !was_away => *since,
                    Some(_) | None => now,
                };
                (worker, (member.beat, since))
            })
            .collect();
    }

    /// For how long the worker's beat stood still, as seen from here.
    #[must_use]
    pub fn silence(&self, worker: ProcessId, now: Duration) -> Option<Duration> {
        let (_, since) = self.beats.get(&worker)?;
        Some(now.saturating_sub(*since))
    }

    /// Whether the worker is there.
    #[must_use]
    pub fn is_alive(&self, worker: ProcessId, now: Duration) -> bool {
        self.silence(worker, now)
            .is_some_and(|silence| silence < TERM)
    }
}

/// Load of a worker: busy lanes first, because a lane without orders costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    busy: u32,
    all: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    lanes: LaneSet,
    avoids: LaneSet,
}

struct Plan {
    shares: BTreeMap<ProcessId, Share>,
    busy: LaneSet,
}

impl Plan {
    fn load(&self, worker: ProcessId) -> Load {
        let lanes = self.shares.get(&worker).copied().unwrap_or_default().lanes;
        Load {
            busy: lanes.and(self.busy).len(),
            all: lanes.len(),
        }
    }

    /// The worker with the least of `key` that does not avoid `lane`.
    fn least<K: Ord>(&self, lane: Lane, key: impl Fn(Load) -> K) -> Option<ProcessId> {
        let willing = self.shares.iter();
        willing
            .filter(|(_, share)| !share.avoids.contains(lane))
            .map(|(worker, _)| *worker)
            .min_by_key(|worker| (key(self.load(*worker)), *worker))
    }

    fn shift(&mut self, lane: Lane, from: Option<ProcessId>, to: ProcessId) {
        if let Some(share) = from.and_then(|from| self.shares.get_mut(&from)) {
            share.lanes.remove(lane);
        }
        if let Some(share) = self.shares.get_mut(&to) {
            share.lanes.insert(lane);
        }
    }

    fn hand_out(&mut self, lane: Lane) {
        let to = if self.busy.contains(lane) {
            self.least(lane, |load| (load.busy, load.all))
        } else {
            self.least(lane, |load| (load.all, load.busy))
        };
        if let Some(to) = to {
            self.shift(lane, None, to);
        }
    }

    /// Moves one lane to where it evens something out; false if none would.
    fn improve(&mut self) -> bool {
        self.even_out(true, |load| load.busy) || self.even_out(false, |load| load.all)
    }

    /// Moves a lane that is busy, or one that is not, from who has at least two more of
    /// `count` to who has the least.
    fn even_out(&mut self, of_busy: bool, count: impl Fn(Load) -> u32) -> bool {
        let mut workers: Vec<_> = self.shares.keys().copied().collect();
        workers.sort_by_key(|worker| (Reverse(count(self.load(*worker))), *worker));
        for from in workers {
            let lanes = self.shares.get(&from).copied().unwrap_or_default().lanes;
            for lane in lanes.iter() {
                if self.busy.contains(lane) != of_busy {
                    continue;
                }
                let to = self.least(lane, |load| {
                    let other = if of_busy { load.all } else { load.busy };
                    (count(load), other)
                });
                if let Some(to) = to
                    && count(self.load(from)) >= count(self.load(to)) + 2
                {
                    self.shift(lane, Some(from), to);
                    return true;
                }
            }
        }
        false
    }
}

/// The worker that each lane should have, of those in `alive`. A lane moves only where that
/// evens something out: busy lanes of two workers differ by at most one, all lanes too, unless
/// a worker avoids some. A lane that all avoid has nobody.
#[must_use]
pub fn plan(
    roster: &Roster,
    alive: &BTreeSet<ProcessId>,
    lanes: Lanes,
) -> BTreeMap<Lane, ProcessId> {
    let members = roster.members.iter().map(|member| &member.presence);
    let mut busy = LaneSet::EMPTY;
    let mut shares = BTreeMap::new();
    for presence in members.filter(|presence| alive.contains(&presence.worker)) {
        busy = busy.or(presence.busy);
        let share = Share {
            lanes: LaneSet::EMPTY,
            avoids: presence.avoids,
        };
        shares.insert(presence.worker, share);
    }
    let mut plan = Plan { shares, busy };
    let mut free = Vec::new();
    for lane in lanes.iter() {
        let owner = roster.claim(lane).owner;
        let share = owner.and_then(|owner| plan.shares.get_mut(&owner));
        match share {
            Some(share) if !share.avoids.contains(lane) => share.lanes.insert(lane),
            Some(_) | None => free.push(lane),
        }
    }
    free.sort_by_key(|lane| (!busy.contains(*lane), *lane));
    for lane in free {
        plan.hand_out(lane);
    }
    while plan.improve() {}
    let shares = plan.shares.iter();
    shares
        .flat_map(|(worker, share)| share.lanes.iter().map(|lane| (lane, *worker)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: Lanes = Lanes::new(6).unwrap();
    const FEWER: Lanes = Lanes::new(5).unwrap();

    fn worker(id: u32) -> ProcessId {
        ProcessId::new(id)
    }

    fn lanes(of: &[u8]) -> LaneSet {
        of.iter().filter_map(|index| LANES.get(*index)).collect()
    }

    /// Workers by number with the lanes that they have and those that they avoid.
    fn roster(workers: &[(u32, &[u8], &[u8])], busy: &[u8]) -> Roster {
        let mut roster = Roster::default();
        for (id, owned, avoids) in workers {
            roster.members.push(Member {
                presence: Presence {
                    worker: worker(*id),
                    busy: lanes(owned).and(lanes(busy)),
                    avoids: lanes(avoids),
                },
                beat: 1,
            });
            let owned = lanes(owned);
            roster.claims.extend(owned.iter().map(|lane| LaneClaim {
                lane,
                owner: Some(worker(*id)),
                number: 1,
            }));
        }
        roster
    }

    fn all(roster: &Roster) -> BTreeSet<ProcessId> {
        let members = roster.members.iter();
        members.map(|member| member.presence.worker).collect()
    }

    fn planned(workers: &[(u32, &[u8], &[u8])], busy: &[u8]) -> BTreeMap<Lane, ProcessId> {
        let roster = roster(workers, busy);
        plan(&roster, &all(&roster), LANES)
    }

    fn lanes_of(plan: &BTreeMap<Lane, ProcessId>, id: u32) -> LaneSet {
        let mine = plan.iter().filter(|(_, owner)| **owner == worker(id));
        mine.map(|(lane, _)| *lane).collect()
    }

    #[test]
    fn one_worker_gets_everything() {
        assert_eq!(lanes_of(&planned(&[(7, &[], &[])], &[]), 7).len(), 6);
        assert_eq!(planned(&[], &[]).len(), 0);
    }

    #[test]
    fn a_newcomer_gets_its_share_and_no_more_moves_than_that() {
        let now = planned(&[(1, &[0, 1, 2, 3, 4, 5], &[]), (2, &[], &[])], &[]);
        assert_eq!(lanes_of(&now, 2).len(), 3);
        let unchanged = planned(&[(1, &[0, 3, 5], &[]), (2, &[1, 2, 4], &[])], &[]);
        assert_eq!(lanes_of(&unchanged, 1), lanes(&[0, 3, 5]));
        assert_eq!(lanes_of(&unchanged, 2), lanes(&[1, 2, 4]));
    }

    #[test]
    fn busy_lanes_are_spread_whatever_the_others_are() {
        let now = planned(&[(1, &[0, 1, 2], &[]), (2, &[3, 4, 5], &[])], &[0, 1]);
        for id in [1, 2] {
            let mine = lanes_of(&now, id);
            assert_eq!(mine.len(), 3, "{now:?}");
            assert_eq!(mine.and(lanes(&[0, 1])).len(), 1, "{now:?}");
        }
    }

    #[test]
    fn the_lanes_of_a_dead_worker_go_to_the_living() {
        let roster = roster(&[(1, &[0, 1, 2], &[]), (2, &[3, 4, 5], &[])], &[]);
        let now = plan(&roster, &BTreeSet::from([worker(2)]), LANES);
        assert_eq!(lanes_of(&now, 2).len(), 6);
    }

    #[test]
    fn a_lane_goes_to_who_does_not_avoid_it_and_else_to_nobody() {
        let now = planned(&[(1, &[0, 1, 2], &[1]), (2, &[3, 4, 5], &[])], &[1]);
        assert!(lanes_of(&now, 2).contains(LANES.get(1).unwrap()), "{now:?}");
        assert_eq!(now.len(), 6);
        let now = planned(&[(1, &[0, 1, 2], &[1]), (2, &[3, 4, 5], &[1])], &[1]);
        assert_eq!(now.len(), 5, "{now:?}");
        assert!(!now.contains_key(&LANES.get(1).unwrap()), "{now:?}");
        // The one that is even is not asked for more than it takes.
        let now = planned(&[(1, &[], &[0, 1, 2, 3, 4, 5]), (2, &[0, 1, 2], &[])], &[]);
        assert_eq!(lanes_of(&now, 2).len(), 6, "{now:?}");
    }

    #[test]
    fn every_state_comes_to_an_even_rest() {
        // All ways to give five lanes to three workers or nobody, with all sets of busy lanes.
        for code in 0..4_u32.pow(5) {
            let of = |id: u32| -> Vec<u8> {
                let has = |lane: &u8| code / 4_u32.pow(u32::from(*lane)) % 4 == id;
                (0..5_u8).filter(has).collect()
            };
            let owned = [of(0), of(1), of(2)];
            for busy_code in 0..32_u8 {
                let busy: Vec<u8> = (0..5).filter(|lane| busy_code >> lane & 1 == 1).collect();
                let mut roster = roster(
                    &[
                        (0, &owned[0], &[]),
                        (1, &owned[1], &[]),
                        (2, &owned[2], &[]),
                    ],
                    &[],
                );
                // Also of lanes that nobody has: a worker that let one go says so for a while.
                roster.members[0].presence.busy = lanes(&busy);
                let now = plan(&roster, &all(&roster), FEWER);
                assert_eq!(now.len(), 5);
                for among in [LaneSet::from_bits(31), lanes(&busy)] {
                    let counts = [0, 1, 2].map(|id| lanes_of(&now, id).and(among).len());
                    let difference = counts.iter().max().unwrap() - counts.iter().min().unwrap();
                    assert!(difference <= 1, "{owned:?} {busy:?} {now:?}");
                }
                // What is even stays as it is.
                let mut settled = Roster::default();
                settled.members.clone_from(&roster.members);
                settled.claims = now
                    .iter()
                    .map(|(lane, owner)| LaneClaim {
                        lane: *lane,
                        owner: Some(*owner),
                        number: 1,
                    })
                    .collect();
                assert_eq!(plan(&settled, &all(&roster), FEWER), now);
            }
        }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn beats(beats: &[(u32, u64)]) -> Roster {
        let mut roster = Roster::default();
        for (id, beat) in beats {
            roster.members.push(Member {
                presence: Presence {
                    worker: worker(*id),
                    busy: LaneSet::EMPTY,
                    avoids: LaneSet::EMPTY,
                },
                beat: *beat,
            });
        }
        roster
    }

    #[test]
    fn a_worker_whose_beat_stands_still_is_silent() {
        let mut watch = Watch::default();
        for tick in 0..6 {
            watch.look(&beats(&[(1, 4), (2, 10 + tick)]), at(tick * 250));
        }
        assert!(!watch.is_alive(worker(1), at(1_250)));
        assert!(watch.is_alive(worker(2), at(1_250)));
        assert!(!watch.is_alive(worker(3), at(1_250)));
        watch.look(&beats(&[(1, 5), (2, 16)]), at(1_500));
        assert!(watch.is_alive(worker(1), at(1_500)));
    }

    #[test]
    fn nobody_is_blamed_for_the_time_that_the_watcher_did_not_look() {
        let mut watch = Watch::default();
        watch.look(&beats(&[(1, 4)]), at(0));
        watch.look(&beats(&[(1, 4)]), at(5_000));
        assert!(watch.is_alive(worker(1), at(5_000)));
        for tick in 1..6 {
            watch.look(&beats(&[(1, 4)]), at(5_000 + tick * 250));
        }
        assert!(!watch.is_alive(worker(1), at(6_250)));
    }
}
