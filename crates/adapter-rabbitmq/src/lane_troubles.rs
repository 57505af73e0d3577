//! What keeps lanes of this process from being decided, for readiness.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::order::Lane;
use parking_lot::Mutex;

/// A pause that was not renewed within this time is over.
const PAUSED_FOR: Duration = Duration::from_secs(10);
/// A lane that has orders and gets none for so long is said to be starved.
const STARVED_AFTER: Duration = Duration::from_secs(10);

/// Lanes that are open here and give no orders although there are some.
#[derive(Default)]
pub(crate) struct LaneTroubles {
    /// Lanes that wait for a process that reads the version.
    paused: Mutex<BTreeMap<Lane, (Instant, u32)>>,
    /// Since when.
    starved: Mutex<BTreeMap<Lane, Instant>>,
}

impl LaneTroubles {
    /// Notes that the lane waits for a process that reads `version`.
    pub(crate) fn paused(&self, lane: Lane, version: u32) {
        self.paused.lock().insert(lane, (Instant::now(), version));
    }

    /// Notes that the lane has orders and gets none, and says for how long by now.
    pub(crate) fn starved(&self, lane: Lane) -> Duration {
        let mut starved = self.starved.lock();
        starved.entry(lane).or_insert_with(Instant::now).elapsed()
    }

    /// Notes that the lane gets what it has, or is closed.
    pub(crate) fn fed(&self, lane: Lane) {
        self.starved.lock().remove(&lane);
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
        let starved = self.starved.lock();
        let (lane, since) = starved
            .iter()
            .find(|(_, since)| since.elapsed() >= STARVED_AFTER)?;
        Some(format!(
            "lane {lane} has orders, but the broker has given none for {} s: another consumer \
             holds its queues; see the consumers of tickets.*.{lane} in the broker",
            since.elapsed().as_secs()
        ))
    }
}
