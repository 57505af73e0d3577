//! Serving a claimed lane: batch after batch is decided and settled.

use std::time::Duration;

use domain::claims::Claim;
use domain::order::Order;
use domain::ports::{ConsumeError, LaneConsumer};
use domain::use_cases::DecideOrdersError;
use runtime::{Backoff, Outage};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::held_lanes::HeldLane;
use crate::{AVOID, Worker};

/// How long a batch, or opening its lane, is tried again before the lane is left to the
/// others: it may be only this worker that cannot reach the store or the queue.
const PATIENCE: Duration = Duration::from_secs(3);

/// What serving a lane needs, as the log calls it.
const QUEUE: &str = "queue";
const LEDGER: &str = "ledger";

/// Why a lane is no longer served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The worker stops, or another one is to have the lane.
    LetGo,
    /// Another worker has it.
    ClaimLost,
    /// It cannot be served here now.
    Unable,
}

/// How serving an open lane ended.
enum Served {
    Ended(Ended),
    /// The queue failed.
    Failed(ConsumeError),
}

impl Worker {
    /// Serves one claimed lane after the other, until the stop.
    pub async fn serve_lanes(&self) {
        loop {
            let held = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                held = self.held.next() => held,
            };
            let ended = self.serve_lane(&held).await;
            let lane = held.claim.lane;
            if ended != Ended::ClaimLost {
                self.give_back(held.claim).await;
            }
            // At the level at which it was logged that the worker has it.
            if self.held.is_on_trial(lane) {
                debug!(queue.lane = %lane, "gave the lane up");
            } else {
                info!(queue.lane = %lane, "gave the lane up");
            }
            let avoided = (ended == Ended::Unable).then(|| Instant::now() + AVOID);
            self.held.remove(lane, avoided);
        }
    }

    /// Serves a lane, opening it again whenever the queue takes it away, for as long as it
    /// is this worker's and can be served here.
    async fn serve_lane(&self, held: &HeldLane) -> Ended {
        let lane = held.claim.lane;
        let mut queue = backoff(QUEUE, self.held.is_failing_by(lane, QUEUE));
        let mut failing_since: Option<Instant> = None;
        loop {
            let opened = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ended::LetGo,
                () = held.let_go.cancelled() => return Ended::LetGo,
                opened = self.consumer.open_lane(lane) => opened,
            };
            let error = match opened {
                Ok(mut open) => {
                    let mut has_worked = false;
                    let outage = &mut queue.outage;
                    let served = self.serve(open.as_mut(), held, outage, &mut has_worked);
                    let served = served.await;
                    open.close().await;
                    if has_worked {
                        failing_since = None;
                    }
                    match served {
                        Served::Ended(ended) => return ended,
                        Served::Failed(error) => error,
                    }
                }
                Err(error) => error,
            };
            if matches!(error, ConsumeError::NewerVersion { .. }) {
                return Ended::Unable;
            }
            self.held.note_failure(lane, QUEUE, &error);
            let since = *failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= PATIENCE {
                if self.held.give_up(lane) {
                    warn!(queue.lane = %lane, "gives up the lane: the queue does not deliver its orders here");
                }
                return Ended::Unable;
            }
            queue.wait_after(&error, &*self.jitter, &self.stop).await;
        }
    }

    /// Serves an open lane. The first settled batch shows that it can be served here, which ends
    /// the outage; an idle lane shows it by staying open.
    async fn serve(
        &self,
        open: &mut dyn LaneConsumer,
        held: &HeldLane,
        outage: &mut Outage,
        has_worked: &mut bool,
    ) -> Served {
        let opened = Instant::now();
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Served::Ended(Ended::LetGo),
                () = held.let_go.cancelled() => return Served::Ended(Ended::LetGo),
                batch = open.next_batch(self.settings.batch_max) => batch,
                () = sleep_until(opened + PATIENCE), if !*has_worked => {
                    self.note_worked(held.claim, outage, has_worked);
                    continue;
                }
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Served::Failed(error),
            };
            self.held.note_batch(held.claim.lane);
            let started = Instant::now();
            if let Some(ended) = self.decide(batch.orders(), held.claim).await {
                return Served::Ended(ended);
            }
            if let Err(error) = batch.ack().await {
                return Served::Failed(error);
            }
            self.held.note_settled(held.claim.lane);
            self.note_worked(held.claim, outage, has_worked);
            pace(started).await;
        }
    }

    /// Notes, once, that the lane can be served here.
    fn note_worked(&self, claim: Claim, outage: &mut Outage, has_worked: &mut bool) {
        if !std::mem::replace(has_worked, true) {
            outage.record_success();
            self.note_served(claim);
        }
    }

    fn note_served(&self, claim: Claim) {
        if self.held.note_served(claim.lane) {
            info!(queue.lane = %claim.lane, claim = claim.number, "owns the lane");
        }
    }

    /// Decides the orders, however often it takes; why not, if the stop, another claim or
    /// the end of the [`PATIENCE`] came first.
    async fn decide(&self, orders: &[Order], claim: Claim) -> Option<Ended> {
        let started = Instant::now();
        let is_known = self.held.is_failing_by(claim.lane, LEDGER);
        let mut backoff = backoff(LEDGER, is_known);
        loop {
            match self.desk.decide_orders(orders, Some(claim)).await {
                Ok(decided) => {
                    if backoff.outage.failures() > 0 {
                        self.note_served(claim);
                    }
                    backoff.outage.record_success();
                    self.log.note_all(&decided);
                    return None;
                }
                Err(DecideOrdersError::ClaimLost) => return Some(Ended::ClaimLost),
                Err(error) => {
                    self.held.note_failure(claim.lane, LEDGER, &error);
                    backoff.wait_after(&error, &*self.jitter, &self.stop).await;
                }
            }
            if self.stop.is_cancelled() {
                return Some(Ended::LetGo);
            }
            if started.elapsed() >= PATIENCE {
                if self.held.give_up(claim.lane) {
                    warn!(
                        queue.lane = %claim.lane,
                        "gives up the lane: the store does not decide its orders here"
                    );
                }
                return Some(Ended::Unable);
            }
        }
    }
}

fn backoff(component: &'static str, is_logged: bool) -> Backoff {
    Backoff::of(if is_logged {
        Outage::already_logged(component)
    } else {
        Outage::of(component)
    })
}

/// Starts at most one batch per lane and millisecond. An idle lane is not
/// delayed, and a store that takes longer than that isn't either; a store in
/// memory would otherwise have the worker woken for every single order, which
/// costs the accepting side a third of its rate.
async fn pace(started: Instant) {
    const BATCH_INTERVAL: Duration = Duration::from_millis(1);
    if started.elapsed() < BATCH_INTERVAL {
        sleep_until(started + BATCH_INTERVAL).await;
    }
}
