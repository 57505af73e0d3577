//! The deciding side: one task keeps this worker's claims, one per lane serves a claimed
//! lane, and one sweeps holds. What happens to an order is [`DecidingDesk`]'s, who should
//! have which lane is [`domain::claims`]'; here is only when, how often again, and when it
//! is settled.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use domain::claims::{BEAT, Claim, Roster, Watch, plan};
use domain::order::{Lane, Lanes, Order};
use domain::ports::{
    ConsumeError, LaneClaims, LaneClaimsError, LaneConsumer, TicketConsumer, TicketEventsError,
};
use domain::receipt::ProcessId;
use domain::use_cases::{DecideOrdersError, Decided, DecidingDesk};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::configuration::WorkerSettings;
use crate::held_lanes::{HeldLane, HeldLanes};
use crate::outage::{Outage, Seldom};

/// Due holds released in one transaction.
const SWEEP_MAX: usize = 1_000;
/// How long a batch, or opening its lane, is tried again before the lane is left to the
/// others: it may be only this worker that cannot reach the store or the queue.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how long it is left to them.
const AVOID: Duration = Duration::from_secs(3);
/// The longest that a request to the claims' store may take.
const CLAIMS_LIMIT: Duration = Duration::from_secs(1);
/// After so long without a beat that was kept, others have the lanes.
const LET_GO: Duration = Duration::from_secs(3);
/// A worker that was silent for so long is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// The longest that a stop waits for the lanes to be closed.
const CLOSING_LIMIT: Duration = Duration::from_secs(6);

/// What serving a lane needs, as the log calls it.
const QUEUE: &str = "queue";
const LEDGER: &str = "ledger";

/// Draws a number of a range.
pub type Draw = dyn Fn(RangeInclusive<u64>) -> u64 + Send + Sync;

/// What the worker's tasks share.
pub struct Worker {
    /// Decides what the lanes deliver.
    pub desk: DecidingDesk,
    /// Opens lanes.
    pub consumer: Arc<dyn TicketConsumer>,
    /// Knows who has which lane.
    pub claims: Arc<dyn LaneClaims>,
    /// Names this worker among the others.
    pub process: ProcessId,
    /// How many lanes there are.
    pub lanes: Lanes,
    /// How much at once, how often.
    pub settings: WorkerSettings,
    /// Draws how long to wait after a failure, in milliseconds.
    pub jitter: Box<Draw>,
    /// Ends the tasks; a batch that is being decided then is dropped unsettled
    /// unless it is committed already.
    pub stop: CancellationToken,
    /// The lanes that this worker has.
    pub held: Arc<HeldLanes>,
    /// What is logged of them.
    pub log: DecisionLog,
}

/// What is logged of decisions, for all lanes together.
pub struct DecisionLog {
    announcements: Mutex<Outage>,
    conflicts: Mutex<Seldom>,
    dead: Mutex<Seldom>,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self {
            announcements: Mutex::new(Outage::of("events")),
            conflicts: Mutex::default(),
            dead: Mutex::default(),
        }
    }
}

impl DecisionLog {
    fn note(&self, announced: &Result<(), TicketEventsError>) {
        let mut announcements = self.announcements.lock();
        match announced {
            Ok(()) => announcements.is_over(),
            Err(error) => announcements.goes_on(error),
        }
    }

    fn note_all(&self, decided: &Decided) {
        self.note(&decided.announced);
        if let Some(conflicting) = self.conflicts.lock().count(decided.conflicts) {
            info!(
                orders.conflicting = conflicting,
                "dropped orders whose idempotency key was used with another body"
            );
        }
        if let Some(dead) = self.dead.lock().count(decided.dead) {
            error!(orders.dead = dead, "put undecidable orders aside");
        }
    }
}

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
                    outage.is_over();
                    kept = Instant::now();
                    let now = started.elapsed();
                    watch.look(&roster, now);
                    self.follow(&roster, &watch, now).await;
                }
                Err(error) => {
                    outage.goes_on(&error);
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
            debug!(%error, "the others notice by its silence that this worker is gone");
        }
    }

    fn let_go_of_all(&self) {
        for lane in self.held.lanes().iter() {
            if self.held.let_go(lane) {
                info!(queue.lane = %lane, "lets the lane go: the claims cannot be kept");
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
                self.held.is_taken(Claim { lane, number });
            }
            match self.held.claim(lane) {
                Some(held) if held.number < claim.number => {
                    if self.held.let_go(lane) {
                        info!(queue.lane = %lane, "another worker has claimed the lane");
                    }
                }
                Some(_) => {
                    if plan
                        .get(&lane)
                        .is_some_and(|worker| *worker != self.process)
                        && self.held.let_go(lane)
                    {
                        info!(queue.lane = %lane, "another worker is to have the lane");
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
                debug!(process.id = worker.get(), "forgets a worker that is gone");
                // Whoever looks next tries again.
                let _unknown = within_limit(self.claims.forget(worker)).await;
            }
        }
    }

    async fn give_back(&self, claim: Claim) {
        if let Err(error) = within_limit(self.claims.give_back(claim)).await {
            debug!(queue.lane = %claim.lane, %error, "the next roster tells whether it is free");
        }
    }

    async fn take(&self, lane: Lane, seen: u64) {
        match within_limit(self.claims.take(self.process, lane, seen)).await {
            Ok(Some(claim)) => {
                // A lane that cannot be served comes and goes every few seconds.
                if self.held.is_failing(lane) {
                    debug!(queue.lane = %lane, claim = claim.number, "owns the lane");
                } else {
                    info!(queue.lane = %lane, claim = claim.number, "owns the lane");
                }
                self.held.add(claim);
            }
            Ok(None) => debug!(queue.lane = %lane, "another worker was quicker"),
            Err(error) => {
                debug!(queue.lane = %lane, %error, "cannot claim the lane");
                self.held.remove(lane, Some(Instant::now() + AVOID));
            }
        }
    }

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
            if self.held.is_failing(lane) {
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
        let mut queue = Backoff::of(QUEUE, self.held.is_failing_by(lane, QUEUE));
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
                    self.held.is_open(lane);
                    let mut has_worked = false;
                    let since = Instant::now();
                    let outage = &mut queue.outage;
                    let served = self.serve(open.as_mut(), held, outage, &mut has_worked);
                    let served = served.await;
                    // An idle lane shows by staying open that it can be served here.
                    has_worked |= since.elapsed() >= PATIENCE;
                    open.close().await;
                    if has_worked {
                        queue.outage.is_over();
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
            self.held.fails(lane, QUEUE, &error);
            let since = *failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= PATIENCE {
                if self.held.gives_up(lane) {
                    warn!(queue.lane = %lane, "gives the lane up: its orders cannot be had here");
                }
                return Ended::Unable;
            }
            queue.failed(&error, self).await;
        }
    }

    /// Serves an open lane, noting whether a batch was settled, which ends the outage.
    async fn serve(
        &self,
        open: &mut dyn LaneConsumer,
        held: &HeldLane,
        outage: &mut Outage,
        has_settled: &mut bool,
    ) -> Served {
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Served::Ended(Ended::LetGo),
                () = held.let_go.cancelled() => return Served::Ended(Ended::LetGo),
                batch = open.next_batch(self.settings.batch_max) => batch,
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Served::Failed(error),
            };
            self.held.is_busy(held.claim.lane);
            let started = Instant::now();
            if let Some(ended) = self.decide(batch.orders(), held.claim).await {
                return Served::Ended(ended);
            }
            if let Err(error) = batch.ack().await {
                return Served::Failed(error);
            }
            if !*has_settled {
                self.held.is_served(held.claim.lane);
                outage.is_over();
            }
            *has_settled = true;
            pace(started).await;
        }
    }

    /// Decides the orders, however often it takes; why not, if the stop, another claim or
    /// the end of the [`PATIENCE`] came first.
    async fn decide(&self, orders: &[Order], claim: Claim) -> Option<Ended> {
        let started = Instant::now();
        let is_known = self.held.is_failing_by(claim.lane, LEDGER);
        let mut backoff = Backoff::of(LEDGER, is_known);
        loop {
            match self.desk.decide_orders(orders, Some(claim)).await {
                Ok(decided) => {
                    if backoff.outage.failures() > 0 {
                        self.held.is_served(claim.lane);
                    }
                    backoff.outage.is_over();
                    self.log.note_all(&decided);
                    return None;
                }
                Err(DecideOrdersError::ClaimLost) => return Some(Ended::ClaimLost),
                Err(error) => {
                    self.held.fails(claim.lane, LEDGER, &error);
                    backoff.failed(&error, self).await;
                }
            }
            if self.stop.is_cancelled() {
                return Some(Ended::LetGo);
            }
            if started.elapsed() >= PATIENCE {
                if self.held.gives_up(claim.lane) {
                    warn!("gives its lane up: another worker may be able to decide");
                }
                return Some(Ended::Unable);
            }
        }
    }

    /// Gives the seats of due holds back, also of shows that nobody orders.
    pub async fn sweep_holds(&self) {
        let mut backoff = Backoff::of("sweep", false);
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
        while !self.stop.is_cancelled() {
            let swept = self.desk.sweep_holds(SWEEP_MAX).await?;
            // That nothing was to be told does not say that it could have been.
            if swept.expired > 0 {
                self.log.note(&swept.announced);
            }
            if swept.expired < SWEEP_MAX {
                break;
            }
        }
        Ok(())
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

    const fn of(component: &'static str, is_known: bool) -> Self {
        let outage = if is_known {
            Outage::known(component)
        } else {
            Outage::of(component)
        };
        Self { outage }
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
