//! What keeps lanes of this process from being decided, for readiness.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::order::Lane;
use parking_lot::Mutex;

/// A pause that was not renewed within this time is over.
const PAUSED_FOR: Duration = Duration::from_secs(10);
/// A lane that has orders and gets none for so long is said to be starved.
const STARVED_AFTER: Duration = Duration::from_secs(10);

/// A lane that was given up because it gave nothing is said for so long: about as long as it
/// takes the next owner to notice the same.
const GIVEN_UP_FOR: Duration = Duration::from_secs(15);

/// A lane that has orders and gets none.
struct Starved {
    since: Instant,
    /// When it was closed for that.
    given_up: Option<Instant>,
}

/// Lanes that are open here and give no orders although there are some.
#[derive(Default)]
pub(crate) struct LaneTroubles {
    /// Lanes that wait for a process that reads the version.
    paused: Mutex<BTreeMap<Lane, (Instant, u32)>>,
    starved: Mutex<BTreeMap<Lane, Starved>>,
    /// How many times in sequence the node did not find the leader of a lane's queue.
    leaderless: Mutex<BTreeMap<Lane, u32>>,
}

impl LaneTroubles {
    /// Notes that the lane waits for a process that reads `version`.
    pub(crate) fn note_paused(&self, lane: Lane, version: u32) {
        self.paused.lock().insert(lane, (Instant::now(), version));
    }

    /// Notes that the lane has orders and gets none, and says for how long by now.
    pub(crate) fn note_starved(&self, lane: Lane) -> Duration {
        let now = Instant::now();
        let mut starved = self.starved.lock();
        let entry = starved.entry(lane).or_insert(Starved {
            since: now,
            given_up: None,
        });
        if entry.given_up.take().is_some() {
            entry.since = now;
        }
        entry.since.elapsed()
    }

    /// Notes that the lane gets what it has.
    pub(crate) fn note_fed(&self, lane: Lane) {
        self.starved.lock().remove(&lane);
    }

    /// Notes that the lane is closed.
    pub(crate) fn note_closed(&self, lane: Lane) {
        let mut starved = self.starved.lock();
        if let Some(entry) = starved.get_mut(&lane) {
            if entry.since.elapsed() >= STARVED_AFTER {
                entry.given_up.get_or_insert_with(Instant::now);
            } else {
                starved.remove(&lane);
            }
        }
    }

    /// Notes that the node does not find the leader of a queue of the lane, and says how many
    /// times by now.
    pub(crate) fn note_leaderless(&self, lane: Lane) -> u32 {
        let mut leaderless = self.leaderless.lock();
        let times = leaderless.entry(lane).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// Notes that the lane could be opened.
    pub(crate) fn note_opened(&self, lane: Lane) {
        self.leaderless.lock().remove(&lane);
    }

    /// Why a lane is not decided, for operators.
    pub(crate) fn reason(&self) -> Option<String> {
        self.pause().or_else(|| self.starvation())
    }

    fn pause(&self) -> Option<String> {
        let mut paused = self.paused.lock();
        paused.retain(|_, (since, _)| since.elapsed() < PAUSED_FOR);
        let (lane, (_, version)) = paused.iter().next()?;
        Some(format!(
            "lane {lane} has messages of version {version}, which this version of \
             tickets cannot read; upgrade the workers"
        ))
    }

    fn starvation(&self) -> Option<String> {
        let mut starved = self.starved.lock();
        starved.retain(|_, entry| {
            let given_up = entry.given_up;
            given_up.is_none_or(|given_up| given_up.elapsed() < GIVEN_UP_FOR)
        });
        starved.iter().find_map(|(lane, entry)| {
            let until = entry.given_up.unwrap_or_else(Instant::now);
            let starved_for = until.duration_since(entry.since);
            (starved_for >= STARVED_AFTER).then(|| {
                format!(
                    "lane {lane} has orders, but the broker has given none for {} s: another \
                     consumer holds its queues; see the consumers of tickets.*.{lane} in the broker",
                    starved_for.as_secs()
                )
            })
        })
    }
}
