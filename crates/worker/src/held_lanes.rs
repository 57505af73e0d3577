//! The lanes that this worker holds, and those that it leaves to others for a while.
//! [`Worker`](crate::Worker) claims, serves and gives back; here is only kept which.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::claims::{Claim, Presence};
use domain::order::{Lane, LaneSet};
use domain::receipt::ProcessId;
use parking_lot::Mutex;
use runtime::error_chain;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A lane that had an order within this time is busy.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// After so long another worker has shown that it can serve the lane: who cannot has given it up.
const SERVED_BY_OTHERS_AFTER: Duration = Duration::from_secs(6);

/// A claimed lane, for the task that serves it.
#[derive(Debug, Clone)]
pub(crate) struct HeldLane {
    pub(crate) claim: Claim,
    /// Says that the lane is to be closed: it was lost, or is for another worker.
    pub(crate) let_go: CancellationToken,
}

struct Entry {
    lane: HeldLane,
    /// It could not be served here before, and nothing has shown yet that it can: it comes and
    /// goes every few seconds, which is no news.
    is_on_trial: bool,
    latest_order: Option<Instant>,
    /// Since when it has a batch that is not settled.
    unsettled: Option<Instant>,
}

/// A lane that could not be served here.
struct Failing {
    since: Instant,
    /// The latest failure: of what, and why.
    component: &'static str,
    reason: String,
    /// Another worker's claim, and since when.
    taken: Option<(u64, Instant)>,
    /// It was given up for that.
    was_given_up: bool,
}

#[derive(Default)]
struct State {
    /// From the claim until the lane is closed.
    held: BTreeMap<Lane, Entry>,
    /// Held, and no task serves them yet.
    unserved: VecDeque<Lane>,
    /// Until when.
    avoided: BTreeMap<Lane, Instant>,
    failing: BTreeMap<Lane, Failing>,
}

/// What the tasks of one worker share about its lanes.
#[derive(Default)]
pub struct HeldLanes {
    state: Mutex<State>,
    added: Notify,
    /// A lane was closed.
    removed: Notify,
}

impl HeldLanes {
    pub(crate) fn add(&self, claim: Claim) {
        let mut state = self.state.lock();
        let lane = HeldLane {
            claim,
            let_go: CancellationToken::new(),
        };
        let entry = Entry {
            lane,
            is_on_trial: state.failing.contains_key(&claim.lane),
            latest_order: None,
            unsettled: None,
        };
        state.held.insert(claim.lane, entry);
        state.unserved.push_back(claim.lane);
        drop(state);
        self.added.notify_one();
    }

    /// Waits for a lane that no task serves.
    pub(crate) async fn next(&self) -> HeldLane {
        loop {
            if let Some(lane) = self.take_unserved() {
                return lane;
            }
            self.added.notified().await;
        }
    }

    /// One that no task serves, if there is one.
    pub(crate) fn take_unserved(&self) -> Option<HeldLane> {
        let mut state = self.state.lock();
        let lane = state.unserved.pop_front()?;
        if !state.unserved.is_empty() {
            // A waiting task may have been woken once for several.
            self.added.notify_one();
        }
        state.held.get(&lane).map(|entry| entry.lane.clone())
    }

    /// The lane is closed; it is left to others until `avoided`.
    pub(crate) fn remove(&self, lane: Lane, avoided: Option<Instant>) {
        let mut state = self.state.lock();
        state.held.remove(&lane);
        if let Some(until) = avoided {
            state.avoided.insert(lane, until);
        }
        drop(state);
        self.removed.notify_one();
    }

    /// Waits until a lane is closed; one that was closed since the last call counts.
    pub(crate) async fn removed(&self) {
        self.removed.notified().await;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().held.is_empty()
    }

    /// The claim under which the lane is held.
    pub(crate) fn claim(&self, lane: Lane) -> Option<Claim> {
        let state = self.state.lock();
        state.held.get(&lane).map(|entry| entry.lane.claim)
    }

    /// Which they are.
    #[must_use]
    pub fn lanes(&self) -> LaneSet {
        self.state.lock().held.keys().copied().collect()
    }

    /// Has the lane closed; false if it was to be closed already.
    pub(crate) fn let_go(&self, lane: Lane) -> bool {
        let state = self.state.lock();
        let held = state.held.get(&lane);
        let is_new = held.is_some_and(|entry| !entry.lane.let_go.is_cancelled());
        if let Some(entry) = held {
            entry.lane.let_go.cancel();
        }
        is_new
    }

    /// Notes that the lane has orders, a batch of which is to be settled.
    pub(crate) fn note_batch(&self, lane: Lane) {
        let mut state = self.state.lock();
        let now = Instant::now();
        if let Some(entry) = state.held.get_mut(&lane) {
            entry.latest_order = Some(now);
            entry.unsettled = Some(now);
        }
    }

    /// Notes that the batch is settled.
    pub(crate) fn note_settled(&self, lane: Lane) {
        if let Some(entry) = self.state.lock().held.get_mut(&lane) {
            entry.unsettled = None;
        }
    }

    /// Notes that the lane could not be served now.
    pub(crate) fn note_failure(
        &self,
        lane: Lane,
        component: &'static str,
        error: &dyn std::error::Error,
    ) {
        let mut state = self.state.lock();
        let held = state.held.get_mut(&lane);
        let unsettled = held.and_then(|entry| entry.unsettled.take());
        let failing = state.failing.entry(lane).or_insert_with(|| Failing {
            since: unsettled.unwrap_or_else(Instant::now),
            component,
            reason: String::new(),
            taken: None,
            was_given_up: false,
        });
        failing.component = component;
        failing.reason = error_chain(error);
        failing.taken = None;
    }

    /// Whether it is held without having shown yet that it can be served here again.
    pub(crate) fn is_on_trial(&self, lane: Lane) -> bool {
        let state = self.state.lock();
        state.held.get(&lane).is_some_and(|entry| entry.is_on_trial)
    }

    /// Whether it could not be served because of that component, and nothing has shown since
    /// that it can.
    pub(crate) fn is_failing_by(&self, lane: Lane, component: &str) -> bool {
        let state = self.state.lock();
        let failing = state.failing.get(&lane);
        failing.is_some_and(|failing| failing.component == component)
    }

    /// Notes that it is left to others because it fails; whether that is news.
    pub(crate) fn give_up(&self, lane: Lane) -> bool {
        let mut state = self.state.lock();
        let failing = state.failing.get_mut(&lane);
        failing.is_none_or(|failing| !std::mem::replace(&mut failing.was_given_up, true))
    }

    /// Notes that the lane can be served; whether that was in doubt.
    pub(crate) fn note_served(&self, lane: Lane) -> bool {
        let mut state = self.state.lock();
        state.failing.remove(&lane);
        let held = state.held.get_mut(&lane);
        held.is_some_and(|entry| std::mem::take(&mut entry.is_on_trial))
    }

    /// Notes that a living worker, another one, has the lane.
    pub(crate) fn note_taken(&self, claim: Claim) {
        if let Some(failing) = self.state.lock().failing.get_mut(&claim.lane)
            && failing
                .taken
                .is_none_or(|(number, _)| number != claim.number)
        {
            failing.taken = Some((claim.number, Instant::now()));
        }
    }

    /// The lane that has not been served here for longest, for how long, and why: it fails, or
    /// its batch is being decided.
    pub(crate) fn failing(&self) -> Option<(Lane, Duration, String)> {
        let mut state = self.state.lock();
        state.failing.retain(|_, failing| {
            let taken = failing.taken;
            taken.is_none_or(|(_, since)| since.elapsed() < SERVED_BY_OTHERS_AFTER)
        });
        let failing = state.failing.iter();
        let failing = failing.map(|(lane, it)| (it.since, *lane, it.reason.as_str()));
        let unsettled = state.held.iter().filter_map(|(lane, entry)| {
            Some((entry.unsettled?, *lane, "its batch has no verdicts yet"))
        });
        let (since, lane, reason) = failing.chain(unsettled).min_by_key(|(since, ..)| *since)?;
        Some((lane, since.elapsed(), reason.to_owned()))
    }

    /// What the worker says of itself.
    pub(crate) fn presence(&self, worker: ProcessId) -> Presence {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.avoided.retain(|_, until| *until > now);
        let busy = state.held.iter().filter(|(_, entry)| {
            let latest = entry.latest_order;
            latest.is_some_and(|latest| now.duration_since(latest) < BUSY_FOR)
        });
        Presence {
            worker,
            busy: busy.map(|(lane, _)| *lane).collect(),
            avoids: state.avoided.keys().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::order::Lanes;
    use tokio::time::advance;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(9);

    fn failed() -> (HeldLanes, Lane) {
        let (held, lane) = (HeldLanes::default(), Lanes::new(1).unwrap().get(0).unwrap());
        held.note_failure(lane, "queue", &std::fmt::Error);
        (held, lane)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_fails_until_it_was_served() {
        let (held, lane) = failed();
        advance(Duration::from_secs(30)).await;
        let (_, since, reason) = held.failing().unwrap();
        assert_eq!(since, Duration::from_secs(30));
        assert!(reason.contains("formatting"), "{reason}");
        assert!(!held.note_served(lane), "nobody has it");
        assert!(held.failing().is_none());
    }

    #[test]
    fn a_lane_that_failed_is_on_trial_until_it_was_served() {
        let (held, lane) = failed();
        assert!(!held.is_on_trial(lane), "nobody has it");
        claimed(&held, lane);
        assert!(held.is_on_trial(lane));
        assert!(held.note_served(lane));
        assert!(!held.is_on_trial(lane));
        assert!(!held.note_served(lane), "that is no news");
    }

    fn claimed(held: &HeldLanes, lane: Lane) {
        held.add(Claim { lane, number: 1 });
    }

    /// Somebody has locked a show: no verdict comes, and no failure for as long as the store waits.
    #[tokio::test(start_paused = true)]
    async fn a_lane_whose_batch_gets_no_verdicts_is_not_served() {
        let (held, lane) = (HeldLanes::default(), Lanes::new(1).unwrap().get(0).unwrap());
        claimed(&held, lane);
        assert!(held.failing().is_none());
        held.note_batch(lane);
        advance(LONG).await;
        let (_, since, _) = held.failing().unwrap();
        assert_eq!(since, LONG);
        held.note_failure(lane, "ledger", &std::fmt::Error);
        held.remove(lane, None);

        // It is opened again, and the next attempt takes as long.
        claimed(&held, lane);
        held.note_batch(lane);
        advance(LONG).await;
        let (_, since, reason) = held.failing().unwrap();
        assert_eq!(since, LONG * 2);
        assert!(reason.contains("formatting"), "{reason}");

        held.note_served(lane);
        held.note_settled(lane);
        assert!(held.failing().is_none());
    }

    /// Two that take it from each other, and neither can serve it, do not hide that.
    #[tokio::test(start_paused = true)]
    async fn a_lane_fails_until_another_worker_keeps_it() {
        let (held, lane) = failed();
        for number in 1..5 {
            held.note_taken(Claim { lane, number });
            advance(SERVED_BY_OTHERS_AFTER - MOMENT).await;
            held.note_taken(Claim { lane, number });
            assert!(held.failing().is_some());
        }
        advance(MOMENT).await;
        assert!(held.failing().is_none());
    }
}
