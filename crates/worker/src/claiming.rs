//! Claiming lanes: which one is whose is said by [`domain::claims::plan`].

use std::collections::BTreeSet;
use std::time::Duration;

use domain::claims::{BEAT, Claim, Roster, Watch, plan};
use domain::order::Lane;
use domain::ports::LaneClaimsError;
use runtime::Outage;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info};

use crate::{AVOID, Worker};

/// The longest that a request to the claims' store may take.
const CLAIMS_LIMIT: Duration = Duration::from_secs(1);
/// After so long without a beat that was kept, others have the lanes.
const LET_GO: Duration = Duration::from_secs(3);
/// A worker that was silent for so long is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// The longest that a stop waits for the lanes to be closed.
const CLOSING_LIMIT: Duration = Duration::from_secs(6);

impl Worker {
    /// Says that this worker is there, claims the lanes that it should have, and gives up
    /// those that others should have, until the stop.
    pub async fn keep_claims(&self) {
        let started = Instant::now();
        let mut watch = Watch::default();
        let mut outage = Outage::of("lane claims");
        let mut kept = Instant::now();
        while !self.stop.is_cancelled() {
            let due = Instant::now() + BEAT;
            let presence = self.held.presence(self.process);
            match within_limit(self.claims.beat(&presence)).await {
                Ok(roster) => {
                    outage.record_success();
                    kept = Instant::now();
                    let now = started.elapsed();
                    watch.look(&roster, now);
                    self.follow(&roster, &watch, now).await;
                }
                Err(error) => {
                    outage.record_failure(&error);
                    if kept.elapsed() >= LET_GO {
                        self.let_go_of_all();
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = sleep_until(due) => {}
                () = self.held.removed() => {}
            }
        }
        self.leave().await;
    }

    /// Frees all lanes once they are closed, so that others need not wait for the silence.
    async fn leave(&self) {
        let closed = async {
            while let Some(unserved) = self.held.take_unserved() {
                self.held.remove(unserved.claim.lane, None);
            }
            while !self.held.is_empty() {
                self.held.removed().await;
            }
        };
        // What is not closed by then is free once the queue has noticed our end.
        let _closed = timeout(CLOSING_LIMIT, closed).await;
        if let Err(error) = within_limit(self.claims.forget(self.process)).await {
            debug!(
                %error,
                "could not release this worker's claims; others take its lanes after a timeout"
            );
        }
    }

    fn let_go_of_all(&self) {
        for lane in self.held.lanes().iter() {
            if self.held.let_go(lane) {
                info!(queue.lane = %lane, "gives up the lane: the claim could not be renewed");
            }
        }
    }

    /// Does what the plan says.
    async fn follow(&self, roster: &Roster, watch: &Watch, now: Duration) {
        let workers = roster.members.iter().map(|member| member.presence.worker);
        let mut alive: BTreeSet<_> = workers
            .filter(|worker| watch.is_alive(*worker, now))
            .collect();
        alive.insert(self.process);
        let plan = plan(roster, &alive, self.lanes);
        for lane in self.lanes.iter() {
            let claim = roster.claim(lane);
            let owner = claim.owner.filter(|owner| alive.contains(owner));
            if owner.is_some_and(|owner| owner != self.process) {
                let number = claim.number;
                self.held.note_taken(Claim { lane, number });
            }
            match self.held.claim(lane) {
                Some(held) if held.number < claim.number => {
                    if self.held.let_go(lane) {
                        info!(
                            queue.lane = %lane,
                            "gives up the lane: another worker has claimed it"
                        );
                    }
                }
                Some(_) => {
                    if plan
                        .get(&lane)
                        .is_some_and(|worker| *worker != self.process)
                        && self.held.let_go(lane)
                    {
                        info!(
                            queue.lane = %lane,
                            "gives up the lane: it is assigned to another worker"
                        );
                    }
                }
                None => {
                    let is_mine = plan.get(&lane) == Some(&self.process);
                    let is_free = owner.is_none_or(|owner| owner == self.process);
                    if is_mine && is_free {
                        self.take(lane, claim.number).await;
                    } else if owner == Some(self.process) {
                        // Taken without an answer, or given back without one.
                        self.give_back(Claim {
                            lane,
                            number: claim.number,
                        })
                        .await;
                    }
                }
            }
        }
        for member in &roster.members {
            let worker = member.presence.worker;
            let silence = watch.silence(worker, now).unwrap_or_default();
            if worker != self.process && silence >= FORGET {
                debug!(
                    process.id = worker.get(),
                    "removes the claims of a worker that is gone"
                );
                // The next look tries again.
                let _unknown = within_limit(self.claims.forget(worker)).await;
            }
        }
    }

    pub(crate) async fn give_back(&self, claim: Claim) {
        if let Err(error) = within_limit(self.claims.give_back(claim)).await {
            debug!(queue.lane = %claim.lane, %error, "could not release the lane; trying again");
        }
    }

    async fn take(&self, lane: Lane, seen: u64) {
        match within_limit(self.claims.take(self.process, lane, seen)).await {
            Ok(Some(claim)) => {
                self.held.add(claim);
                // Said when it has shown that it can be served.
                if self.held.is_on_trial(lane) {
                    debug!(queue.lane = %lane, claim = claim.number, "tries the lane again");
                } else {
                    info!(queue.lane = %lane, claim = claim.number, "owns the lane");
                }
            }
            Ok(None) => debug!(queue.lane = %lane, "another worker claimed the lane first"),
            Err(error) => {
                debug!(queue.lane = %lane, %error, "cannot claim the lane");
                self.held.remove(lane, Some(Instant::now() + AVOID));
            }
        }
    }
}

/// A request to the claims' store that takes longer has failed.
async fn within_limit<T>(
    request: impl Future<Output = Result<T, LaneClaimsError>>,
) -> Result<T, LaneClaimsError> {
    match timeout(CLAIMS_LIMIT, request).await {
        Ok(answer) => answer,
        Err(late) => Err(LaneClaimsError::Unavailable(Box::new(late))),
    }
}
