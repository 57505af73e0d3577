//! Whether accepted orders are decided, by any worker: watched by every process, so that
//! somebody says it when nobody does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::claims::{Roster, Watch};
use domain::order::{Lane, Lanes};
use domain::ports::{Clock, Dependency, DependencyDown, LaneClaims};
use domain::user::PriorityClass;
use domain::waiting_line::WaitingLine;
use parking_lot::Mutex;
use runtime::error_chain;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::held_lanes::HeldLanes;

/// A lane in which nothing happens for so long is said to be undecided.
const UNDECIDED_AFTER: Duration = Duration::from_secs(10);
/// Between two looks, and the longest that one may take. Short enough to see each beat.
const LOOK: Duration = Duration::from_millis(500);

/// Where this process hears of accepted and decided orders.
pub struct Heard {
    /// Knows what is accepted and decided.
    pub line: Arc<WaitingLine>,
    /// The clock that orders are dated with.
    pub clock: Arc<dyn Clock>,
}

/// Notices lanes whose accepted orders are not decided.
pub struct LaneWatch {
    claims: Arc<dyn LaneClaims>,
    lanes: Lanes,
    /// `None` in a process that takes no orders and so hears nothing.
    heard: Option<Heard>,
    /// What this process has of the lanes; nothing if it decides none.
    held: Arc<HeldLanes>,
    /// Lanes without a living worker, since when.
    unowned: Mutex<BTreeMap<Lane, Instant>>,
    /// Since when the claims cannot be read, and why.
    unread: Mutex<Option<(Instant, String)>>,
    /// Whether the claims were read once.
    has_looked: AtomicBool,
}

impl LaneWatch {
    /// `held` is empty in a process that decides nothing.
    #[must_use]
    pub fn new(
        claims: Arc<dyn LaneClaims>,
        lanes: Lanes,
        heard: Option<Heard>,
        held: Arc<HeldLanes>,
    ) -> Self {
        Self {
            claims,
            lanes,
            heard,
            held,
            unowned: Mutex::default(),
            unread: Mutex::default(),
            has_looked: AtomicBool::new(false),
        }
    }

    /// Each lane, and whether a living worker of any process has it. Workers need the claims, too:
    /// while they cannot be read none has a lane. Empty before the first look.
    #[must_use]
    pub fn owned(&self) -> Vec<(Lane, bool)> {
        let is_unread = self.claims_unread().is_some();
        if !is_unread && !self.has_looked.load(Ordering::Acquire) {
            return Vec::new();
        }
        let unowned = self.unowned.lock();
        let lanes = self.lanes.iter();
        lanes
            .map(|lane| (lane, !is_unread && !unowned.contains_key(&lane)))
            .collect()
    }

    /// Looks again and again, and logs when lanes are undecided and when they are not any more.
    pub async fn watch(&self, stop: &CancellationToken) {
        let started = Instant::now();
        let mut watch = Watch::default();
        let mut is_undecided = false;
        while !stop.is_cancelled() {
            let failed = match timeout(LOOK, self.claims.roster()).await {
                Ok(Ok(roster)) => {
                    let now = started.elapsed();
                    watch.look(&roster, now);
                    self.note(&roster, &watch, now);
                    None
                }
                Ok(Err(error)) => Some(error_chain(&error)),
                Err(late) => Some(late.to_string()),
            };
            self.note_unread(failed);
            match (self.reason(), is_undecided) {
                (Some(reason), false) => {
                    warn!(reason, "accepted orders are not being decided");
                    is_undecided = true;
                }
                (None, true) => {
                    info!("accepted orders are decided again");
                    is_undecided = false;
                }
                (Some(_), true) | (None, false) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    fn note_unread(&self, failed: Option<String>) {
        let mut unread = self.unread.lock();
        *unread = failed.map(|why| match unread.take() {
            Some((since, _)) => (since, why),
            None => (Instant::now(), why),
        });
    }

    fn note(&self, roster: &Roster, watch: &Watch, now: Duration) {
        let mut unowned = self.unowned.lock();
        for lane in self.lanes.iter() {
            let owner = roster.claim(lane).owner;
            if owner.is_some_and(|owner| watch.is_alive(owner, now)) {
                unowned.remove(&lane);
            } else {
                unowned.entry(lane).or_insert_with(Instant::now);
            }
        }
        self.has_looked.store(true, Ordering::Release);
    }

    /// Why orders wait undecided, for operators.
    fn reason(&self) -> Option<String> {
        let reason = self.nobody().or_else(|| self.not_served());
        let reason = reason.or_else(|| self.no_verdict());
        reason.or_else(|| self.claims_unread())
    }

    /// Nobody can claim a lane then.
    fn claims_unread(&self) -> Option<String> {
        let unread = self.unread.lock();
        let (since, why) = unread.as_ref()?;
        (since.elapsed() >= UNDECIDED_AFTER).then(|| {
            format!(
                "who decides which lane could not be read for {} s: {why}",
                since.elapsed().as_secs()
            )
        })
    }

    /// Of a worker, which does not hear of the orders that others accept.
    fn not_served(&self) -> Option<String> {
        let (lane, since, why) = self.held.failing()?;
        (since >= UNDECIDED_AFTER).then(|| {
            format!(
                "lane {lane} could not be served here for {} s: {why}",
                since.as_secs()
            )
        })
    }

    fn nobody(&self) -> Option<String> {
        let unowned = self.unowned.lock();
        let late = unowned
            .iter()
            .filter(|(_, since)| since.elapsed() >= UNDECIDED_AFTER);
        let (lanes, since): (Vec<&Lane>, Vec<&Instant>) = late.unzip();
        let longest = since.iter().map(|since| since.elapsed()).max()?;
        Some(format!(
            "no worker has had {} for {} s; start workers, or see in their logs why they take none",
            names(&lanes),
            longest.as_secs()
        ))
    }

    fn no_verdict(&self) -> Option<String> {
        let heard = self.heard.as_ref()?;
        let now = heard.clock.now();
        let mut late = Vec::new();
        let mut longest = Duration::ZERO;
        for lane in self.lanes.iter() {
            let waits = PriorityClass::ALL.map(|class| heard.line.undecided_for(lane, class, now));
            let wait = waits.into_iter().flatten().max().unwrap_or_default();
            if wait >= UNDECIDED_AFTER {
                late.push(lane);
                longest = longest.max(wait);
            }
        }
        if late.is_empty() {
            return None;
        }
        Some(format!(
            "no verdict for orders of {} for {} s; see the readiness and the logs of the workers",
            names(&late.iter().collect::<Vec<_>>()),
            longest.as_secs()
        ))
    }
}

/// `lane 3`, or `lane 3 and 5 others`.
fn names(lanes: &[&Lane]) -> String {
    match lanes {
        [] => String::new(),
        [lane] => format!("lane {lane}"),
        [lane, others @ ..] => format!("lane {lane} and {} others", others.len()),
    }
}

#[async_trait]
impl Dependency for LaneWatch {
    fn name(&self) -> &'static str {
        "lanes"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        let reason = self.reason().map(DependencyDown::because);
        reason.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use domain::claims::{Claim, Presence};
    use domain::ports::LaneClaimsError;
    use domain::receipt::ProcessId;

    use super::*;

    /// Somebody has locked its table.
    struct Locked;

    #[async_trait]
    impl LaneClaims for Locked {
        async fn beat(&self, _: &Presence) -> Result<Roster, LaneClaimsError> {
            Err(LaneClaimsError::Unavailable("locked".into()))
        }

        async fn take(
            &self,
            _: ProcessId,
            _: Lane,
            _: u64,
        ) -> Result<Option<Claim>, LaneClaimsError> {
            Err(LaneClaimsError::Unavailable("locked".into()))
        }

        async fn give_back(&self, _: Claim) -> Result<(), LaneClaimsError> {
            Err(LaneClaimsError::Unavailable("locked".into()))
        }

        async fn forget(&self, _: ProcessId) -> Result<(), LaneClaimsError> {
            Err(LaneClaimsError::Unavailable("locked".into()))
        }

        async fn roster(&self) -> Result<Roster, LaneClaimsError> {
            Err(LaneClaimsError::Unavailable("locked".into()))
        }
    }

    /// Nobody can take a lane then, also where nothing else is wrong.
    #[tokio::test(start_paused = true)]
    async fn claims_that_cannot_be_read_are_said() {
        let lanes = Lanes::new(2).unwrap();
        let watch = LaneWatch::new(Arc::new(Locked), lanes, None, Arc::default());
        let stop = CancellationToken::new();
        let limited = timeout(UNDECIDED_AFTER - LOOK, watch.watch(&stop)).await;
        assert!(limited.is_err());
        watch.check().await.unwrap();
        assert_eq!(watch.owned(), []);
        let limited = timeout(LOOK * 4, watch.watch(&stop)).await;
        assert!(limited.is_err());
        let told = watch.check().await.unwrap_err().reason;
        assert!(
            told.contains("could not be read for") && told.contains("locked"),
            "{told}"
        );
        let lanes = lanes.iter().map(|lane| (lane, false));
        assert!(watch.owned().into_iter().eq(lanes));
    }
}
