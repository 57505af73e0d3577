//! The lanes that this worker holds, and those that it leaves to others for a while.
//! [`Worker`](crate::worker::Worker) claims, serves and gives back; here is only kept which.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::claims::{Claim, Presence};
use domain::order::{Lane, LaneSet};
use domain::receipt::ProcessId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A lane that had an order within this time is busy.
const BUSY_FOR: Duration = Duration::from_secs(5);

/// A claimed lane, for the task that serves it.
#[derive(Debug, Clone)]
pub(crate) struct HeldLane {
    pub(crate) claim: Claim,
    /// Says that the lane is to be closed: it was lost, or is for another worker.
    pub(crate) let_go: CancellationToken,
}

struct Entry {
    lane: HeldLane,
    latest_order: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// From the claim until the lane is closed.
    held: BTreeMap<Lane, Entry>,
    /// Held, and no task serves them yet.
    unserved: VecDeque<Lane>,
    /// Until when.
    avoided: BTreeMap<Lane, Instant>,
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
        let lane = HeldLane {
            claim,
            let_go: CancellationToken::new(),
        };
        let mut state = self.state.lock();
        let entry = Entry {
            lane,
            latest_order: None,
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
            // Whoever waits may have been woken once for several.
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

    pub(crate) fn lanes(&self) -> LaneSet {
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

    /// Notes that the lane has orders.
    pub(crate) fn is_busy(&self, lane: Lane) {
        if let Some(entry) = self.state.lock().held.get_mut(&lane) {
            entry.latest_order = Some(Instant::now());
        }
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
