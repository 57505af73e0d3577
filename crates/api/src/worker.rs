//! The deciding side: one task per lane that this process may own, and one that
//! sweeps holds. What happens to an order is [`DecidingDesk`]'s; here is only
//! when, how often again, and when it is settled.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use domain::order::Order;
use domain::ports::{ConsumeError, Dependency, LaneConsumer, TicketConsumer};
use domain::use_cases::{DecideOrdersError, DecidingDesk};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::configuration::WorkerSettings;
use crate::outage::Outage;

/// Due holds released in one transaction.
const SWEEP_MAX: usize = 1_000;
/// How long a batch is tried again before its lane is offered to the others:
/// it may be only this worker that cannot reach the store, or has a wrong clock.
const PATIENCE: Duration = Duration::from_secs(3);

/// Draws a number of a range.
pub type Draw = dyn Fn(RangeInclusive<u64>) -> u64 + Send + Sync;

/// What the worker's tasks share.
pub struct Worker {
    /// Decides what the lanes deliver.
    pub desk: DecidingDesk,
    /// Hands out lanes.
    pub consumer: Arc<dyn TicketConsumer>,
    /// Asked before a lane is claimed.
    pub store: Arc<dyn Dependency>,
    /// How much at once, how often.
    pub settings: WorkerSettings,
    /// Draws how long to wait after a failure, in milliseconds.
    pub jitter: Box<Draw>,
    /// Ends the tasks; a batch that is being decided then is dropped unsettled
    /// unless it is committed already.
    pub stop: CancellationToken,
}

impl Worker {
    /// Claims a lane and serves it, again and again, until the stop.
    pub async fn serve_lanes(&self) {
        let mut store = Backoff::of("store");
        let mut queue = Backoff::of("queue");
        while !self.stop.is_cancelled() {
            let checked = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                checked = self.store.check() => checked,
            };
            if let Err(down) = checked {
                store.failed(&down, self).await;
                continue;
            }
            store.outage.is_over();
            let claimed = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                claimed = self.consumer.claim_lane() => claimed,
            };
            let ended = match claimed {
                Ok(mut lane) => {
                    queue.outage.is_over();
                    self.serve(lane.as_mut()).await
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) | Err(ConsumeError::LaneLost) => {}
                Err(error) => queue.failed(&error, self).await,
            }
        }
    }

    /// Serves one lane until it is lost (an error), its orders cannot be
    /// decided here, or the stop.
    async fn serve(&self, lane: &mut dyn LaneConsumer) -> Result<(), ConsumeError> {
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                batch = lane.next_batch(self.settings.batch_max) => batch?,
            };
            let started = Instant::now();
            if !self.decide(batch.orders()).await {
                return Ok(());
            }
            batch.ack().await?;
            pace(started).await;
        }
    }

    /// Decides the orders, however often it takes; false if the stop or the
    /// end of the [`PATIENCE`] came first.
    async fn decide(&self, orders: &[Order]) -> bool {
        let started = Instant::now();
        let mut backoff = Backoff::of("ledger");
        loop {
            match self.desk.decide_orders(orders).await {
                Ok(decided) => {
                    backoff.outage.is_over();
                    if decided.conflicts > 0 {
                        info!(
                            orders.conflicting = decided.conflicts,
                            "dropped orders whose idempotency key was used with another body"
                        );
                    }
                    if decided.dead > 0 {
                        error!(orders.dead = decided.dead, "put undecidable orders aside");
                    }
                    return true;
                }
                Err(error) => backoff.failed(&error, self).await,
            }
            if self.stop.is_cancelled() {
                return false;
            }
            if started.elapsed() >= PATIENCE {
                warn!("gives its lane up: another worker may be able to decide");
                return false;
            }
        }
    }

    /// Gives the seats of due holds back, also of shows that nobody orders.
    pub async fn sweep_holds(&self) {
        let mut backoff = Backoff::of("sweep");
        while !self.stop.is_cancelled() {
            let due = Instant::now() + self.settings.hold_sweep_interval;
            match self.sweep_all().await {
                Ok(()) => backoff.outage.is_over(),
                Err(error) => backoff.failed(&error, self).await,
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = sleep_until(due) => {}
            }
        }
    }

    async fn sweep_all(&self) -> Result<(), DecideOrdersError> {
        while !self.stop.is_cancelled() && self.desk.sweep_holds(SWEEP_MAX).await? == SWEEP_MAX {}
        Ok(())
    }
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

/// Waits longer after each failure in a row, with jitter.
struct Backoff {
    outage: Outage,
}

impl Backoff {
    const FIRST_MS: u64 = 50;
    const LONGEST_MS: u64 = 2_000;

    const fn of(component: &'static str) -> Self {
        Self {
            outage: Outage::of(component),
        }
    }

    async fn failed(
        &mut self,
        error: &(dyn std::error::Error + Send + Sync + 'static),
        worker: &Worker,
    ) {
        let longest = (Self::FIRST_MS << self.outage.failures().min(10)).min(Self::LONGEST_MS);
        self.outage.goes_on(error);
        let wait = (worker.jitter)(longest / 2..=longest);
        tokio::select! {
            biased;
            () = worker.stop.cancelled() => {}
            () = sleep(Duration::from_millis(wait)) => {}
        }
    }
}

/// An error with everything below it, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
