//! Orders into the queue. Per lane and class one task takes whatever has
//! arrived, sends it as one message and awaits the broker's confirm; what
//! arrives meanwhile is the next message. An idle lane adds no wait, a busy one
//! shares the confirm and gathers for another millisecond.

use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::order::{Lane, NewOrder, Order};
use domain::ports::{Clock, PublishError};
use domain::receipt::ProcessId;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use domain::waiting_line::AcceptTally;
use futures_util::TryFutureExt;
use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::{FieldTable, ShortString};
use rand::RngExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use crate::confirms::{Confirms, STALLED};
use crate::error::BrokerError;
use crate::limits::within_limit;
use crate::link::{Link, LiveChannel};
use crate::topology::Topology;
use crate::trace_headers;
use crate::wire;

/// Orders in one message. A message is about 100 bytes per order.
pub(crate) const MAX_ORDERS: usize = 500;
/// After a message of so many orders a lane counts as busy: if fewer than
/// [`ENOUGH`] arrived during its confirm, it lets more gather. A message costs
/// broker and process much the same whatever is in it: fewer of them leave so
/// much more for orders that these are confirmed sooner, not later
/// (docs/BENCHMARKS.md).
const BUSY: usize = 128;
const ENOUGH: usize = 200;
/// For how long: the timer rounds up to its next whole millisecond.
const NEXT_TICK: Duration = Duration::from_micros(1);
/// The longest wait between two attempts to send.
const LONGEST_RETRY: Duration = Duration::from_millis(500);
/// The wait after a refusal: the queue may be about to have a new leader.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);
/// So often a queue that does not confirm is tried without more patience: until the nodes have
/// agreed who is there, what is sent is lost without a word.
const BRISK_ATTEMPTS: u32 = 3;
/// The longest wait for a queue that does not confirm: each new attempt leaves a channel behind
/// that the broker is still busy with.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// How often a blocked connection is looked at, and callers that wait meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) const PERSISTENT: u8 = 2;

pub(crate) fn message_properties(headers: Option<FieldTable>) -> BasicProperties {
    let properties = BasicProperties::default()
        .with_content_type(wire::CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT);
    match headers {
        Some(headers) => properties.with_headers(headers),
        None => properties,
    }
}

/// Publishes and waits until the broker has stored the message in a queue.
pub(crate) async fn publish_confirmed(
    live: &LiveChannel,
    (confirms, patience): (&Confirms, Duration),
    exchange: ShortString,
    routing_key: ShortString,
    body: &[u8],
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let publishing = live
        .channel
        .basic_publish(exchange, routing_key, mandatory, body, properties);
    let confirm = match within_limit(publishing).await {
        Ok(confirm) => confirm,
        Err(error) => {
            live.leave(&error);
            return Err(error);
        }
    };
    match confirms
        .wait(live, patience, confirm.map_err(Into::into))
        .await?
    {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(BrokerError::Unroutable),
        // Without confirms nothing is known to be stored.
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(BrokerError::NotStored),
    }
}

type Answer = oneshot::Sender<Result<Order, PublishError>>;

/// One caller's order that is not sent yet.
struct Request {
    order: NewOrder,
    /// When its caller gets the answer that it was not sent. The task of the lane sees
    /// to that: a timer of each order's own would cost more than all else here.
    deadline: Instant,
    /// Closed if the caller went away.
    answer: Answer,
}

/// What the queue has and no caller counts.
#[derive(Clone, Default)]
struct Unheard(Arc<OnceLock<Arc<AcceptTally>>>);

impl Unheard {
    fn count(&self, lane: Lane, order: &Order) {
        if let Some(tally) = self.0.get() {
            tally.count(lane, order.class, order.requested_at);
        }
    }
}

/// A caller's wait for its answer.
struct Wait<'a> {
    lane: Lane,
    answered: oneshot::Receiver<Result<Order, PublishError>>,
    unheard: &'a Unheard,
}

/// The answer may be there when its caller goes away.
impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.answered.close();
        if let Ok(Ok(order)) = self.answered.try_recv() {
            self.unheard.count(self.lane, &order);
        }
    }
}

/// One of the callers that wait.
struct Caller<'a>(&'a AtomicUsize);

impl<'a> Caller<'a> {
    /// Unless there are `capacity` already.
    fn enter(count: &'a AtomicUsize, capacity: usize) -> Option<Self> {
        let caller = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < capacity).then_some(caller)
    }
}

/// Also when the caller goes away.
impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The publishing side of all lanes.
pub(crate) struct Publisher {
    capacity: usize,
    callers: AtomicUsize,
    timeout: Duration,
    confirms: Arc<Confirms>,
    unheard: Unheard,
    /// By lane, then class.
    queues: Vec<[mpsc::UnboundedSender<Request>; PriorityClass::ALL.len()]>,
}

impl Publisher {
    /// Starts a task per lane and class.
    pub(crate) fn start(
        link: &Arc<Link>,
        topology: &Topology,
        clock: &Arc<dyn Clock>,
        process: ProcessId,
        capacity: usize,
        timeout: Duration,
    ) -> Self {
        let confirms = Arc::new(Confirms::default());
        let unheard = Unheard::default();
        let start = |lane: Lane, class: PriorityClass| {
            let (sender, requests) = mpsc::unbounded_channel();
            let sending = Sending {
                outlet: Outlet {
                    link: Arc::clone(link),
                    confirms: Arc::clone(&confirms),
                    exchange: topology.orders_exchange(),
                    routing_key: Topology::lane_key(class, lane),
                    live: None,
                    silences: 0,
                },
                arrivals: Arrivals {
                    requests,
                    waiting: Vec::new(),
                    timeout,
                },
                clock: Arc::clone(clock),
                process,
                lane,
                unheard: unheard.clone(),
                latest: Timestamp::MIN,
                is_failing: false,
            };
            tokio::spawn(sending.run());
            sender
        };
        let lanes = topology.lanes.iter();
        let queues = lanes
            .map(|lane| PriorityClass::ALL.map(|class| start(lane, class)))
            .collect();
        Self {
            capacity,
            callers: AtomicUsize::new(0),
            timeout,
            confirms,
            unheard,
            queues,
        }
    }

    /// For how long the oldest message of orders has waited for its confirm.
    pub(crate) fn oldest_unconfirmed(&self) -> Option<Duration> {
        self.confirms.oldest()
    }

    pub(crate) async fn publish(&self, lane: Lane, order: NewOrder) -> Result<Order, PublishError> {
        let capacity = self.capacity;
        let Some(_caller) = Caller::enter(&self.callers, capacity) else {
            return Err(PublishError::Full { capacity });
        };
        let queue = &self.queues[usize::from(lane.index())][order.class.index()];
        let (answer, answered) = oneshot::channel();
        let request = Request {
            order,
            deadline: Instant::now() + self.timeout,
            answer,
        };
        // Fails only when the runtime shuts down; the answer says so then.
        let _sent = queue.send(request);
        let mut wait = Wait {
            lane,
            answered,
            unheard: &self.unheard,
        };
        let answer = (&mut wait.answered).await;
        answer.unwrap_or(Err(PublishError::OutcomeUnknown))
    }

    pub(crate) fn count_unheard(&self, tally: Arc<AcceptTally>) {
        self.unheard.0.get_or_init(|| tally);
    }
}

/// Orders that are not sent yet, in the sequence of their arrival and so of
/// their deadlines.
struct Arrivals {
    requests: mpsc::UnboundedReceiver<Request>,
    waiting: Vec<Request>,
    timeout: Duration,
}

impl Arrivals {
    /// Waits for orders; false if there will be none.
    async fn wait(&mut self) -> bool {
        !self.waiting.is_empty() || self.requests.recv_many(&mut self.waiting, MAX_ORDERS).await > 0
    }

    fn collect(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            self.waiting.push(request);
        }
    }

    /// Waits for `work`, and answers those who are late meanwhile: orders here,
    /// and those of the `batch` that is under way.
    async fn during<T>(&mut self, batch: &mut Batch, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let here = self.waiting.first().map(|request| request.deadline);
            let next = [here, batch.deadline()].into_iter().flatten().min();
            let look = Instant::now() + LOOK_AGAIN;
            if let Ok(done) = timeout_at(next.map_or(look, |next| next.min(look)), &mut work).await
            {
                return done;
            }
            self.collect();
            let now = Instant::now();
            self.answer_late(now);
            batch.answer_late(now);
        }
    }

    /// Who is late learns that nothing was sent. Who has gone is forgotten.
    fn answer_late(&mut self, now: Instant) {
        let late = self
            .waiting
            .partition_point(|request| request.deadline <= now);
        for request in self.waiting.drain(..late) {
            let cause = BrokerError::TimedOut(self.timeout).cause();
            let _unheard = request.answer.send(Err(PublishError::Unavailable(cause)));
        }
        self.waiting.retain(|request| !request.answer.is_closed());
    }
}

/// Orders of one message.
#[derive(Default)]
struct Batch {
    orders: Vec<Order>,
    /// When each order's caller gets the answer that the outcome is unknown, unless it
    /// was answered.
    answers: Vec<(Instant, Option<Answer>)>,
}

impl Batch {
    fn deadline(&self) -> Option<Instant> {
        let mut waiting = self.answers.iter().filter(|(_, answer)| answer.is_some());
        waiting.next().map(|(deadline, _)| *deadline)
    }

    fn answer_late(&mut self, now: Instant) {
        let late = self.answers.iter_mut().take_while(|(at, _)| *at <= now);
        for answer in late.filter_map(|(_, answer)| answer.take()) {
            let _unheard = answer.send(Err(PublishError::OutcomeUnknown));
        }
    }

    /// The queue has the orders. Those whose callers are gone are `unheard`.
    fn accept(self, unheard: impl Fn(&Order)) {
        for ((_, answer), order) in self.answers.into_iter().zip(self.orders) {
            let order = match answer {
                Some(answer) => answer.send(Ok(order)).err().and_then(Result::ok),
                None => Some(order),
            };
            if let Some(order) = order {
                unheard(&order);
            }
        }
    }

    fn refuse(self, error: impl Fn() -> PublishError) {
        for answer in self.answers.into_iter().filter_map(|(_, answer)| answer) {
            let _unheard = answer.send(Err(error()));
        }
    }
}

/// What leads to the queue of one lane and class.
struct Outlet {
    link: Arc<Link>,
    confirms: Arc<Confirms>,
    exchange: ShortString,
    routing_key: ShortString,
    live: Option<LiveChannel>,
    /// How often in a row the queue did not confirm although others did.
    silences: u32,
}

impl Outlet {
    /// Waits for a channel that the broker takes messages on, however long that takes.
    async fn open(&mut self) {
        let mut wait = LOOK_AGAIN;
        loop {
            match &self.live {
                Some(live) if !live.is_open() => self.live = None,
                Some(live) if !live.is_blocked() => return,
                Some(_) => pause(LOOK_AGAIN).await,
                None => match self.link.confirming_channel().await {
                    Ok(live) => self.live = Some(live),
                    Err(_) => {
                        pause(wait).await;
                        wait = (wait * 2).min(LONGEST_RETRY);
                    }
                },
            }
        }
    }

    /// How long the queue may take to confirm before another channel is tried.
    fn patience(&self) -> Duration {
        let doublings = (self.silences + 1).saturating_sub(BRISK_ATTEMPTS);
        let patience = STALLED.saturating_mul(2_u32.saturating_pow(doublings));
        patience.min(LONGEST_PATIENCE)
    }

    async fn publish(&self, body: &[u8], properties: BasicProperties) -> Result<(), BrokerError> {
        let live = self.live.as_ref().ok_or(BrokerError::Connecting)?;
        publish_confirmed(
            live,
            (&self.confirms, self.patience()),
            self.exchange.clone(),
            self.routing_key.clone(),
            body,
            properties,
        )
        .await
    }

    /// What failed in this way can work soon: after a pause, without the channel that it
    /// was, with everything declared that was missing.
    async fn recover(&mut self, error: &BrokerError, wait: Duration) {
        // A channel looks for the leader of a queue as it first sends there, and asks the same
        // node ever after: while that is down it gets refusals or nothing (RabbitMQ 3.10).
        if !matches!(error, BrokerError::Unroutable) {
            self.live = None;
        }
        let wait = match error {
            BrokerError::NotStored => wait.max(AFTER_REFUSAL),
            BrokerError::QueueSilent(_) => {
                self.silences += 1;
                wait
            }
            _ => wait,
        };
        if error.is_missing() {
            let _said = self.link.repair().await;
        }
        pause(wait).await;
    }
}

/// The task of one lane and class.
struct Sending {
    outlet: Outlet,
    arrivals: Arrivals,
    clock: Arc<dyn Clock>,
    process: ProcessId,
    lane: Lane,
    unheard: Unheard,
    /// The place that was given last.
    latest: Timestamp,
    /// The latest message was not confirmed.
    is_failing: bool,
}

impl Sending {
    async fn run(mut self) {
        while self.arrivals.wait().await {
            let mut nothing = Batch::default();
            self.arrivals.during(&mut nothing, self.outlet.open()).await;
            self.arrivals.collect();
            let batch = self.next_batch();
            let was_busy = batch.orders.len() >= BUSY;
            if !batch.orders.is_empty() {
                self.send(batch).await;
            }
            self.arrivals.collect();
            if was_busy && self.arrivals.waiting.len() < ENOUGH {
                sleep(NEXT_TICK).await;
            }
        }
    }

    /// Gives the orders that wait their places, unless their callers have gone.
    fn next_batch(&mut self) -> Batch {
        let now = self.clock.now();
        let waiting = &mut self.arrivals.waiting;
        let size = waiting.len().min(MAX_ORDERS);
        let mut batch = Batch {
            orders: Vec::with_capacity(size),
            answers: Vec::with_capacity(size),
        };
        for request in waiting.drain(..size) {
            if request.answer.is_closed() {
                continue;
            }
            self.latest = now.max(self.latest.plus_micros(1));
            let order = request.order.accepted(self.latest, self.process);
            batch.orders.push(order);
            batch.answers.push((request.deadline, Some(request.answer)));
        }
        batch
    }

    /// Once until a message is confirmed again.
    fn say(&mut self, error: &BrokerError, orders: usize) {
        let routing_key = &self.outlet.routing_key;
        if mem::replace(&mut self.is_failing, true) {
            debug!(%routing_key, %error, orders, "the broker did not confirm orders");
        } else {
            warn!(%routing_key, %error, orders, "the broker did not confirm orders; trying again");
        }
    }

    /// Sends the orders as one message until the broker has it: nothing else of
    /// this lane and class is sent before, so that they keep their places. A
    /// copy too many does no harm, the ledger decides a ticket once.
    async fn send(&mut self, mut batch: Batch) {
        let body = wire::encode_orders(&batch.orders);
        let properties = message_properties(trace_headers::of_orders(&batch.orders));
        let confirms = Arc::clone(&self.outlet.confirms);
        let _unconfirmed = confirms.enter();
        let mut may_be_stored = false;
        let mut wait = LOOK_AGAIN;
        loop {
            let published = self.outlet.publish(&body, properties.clone());
            let Err(error) = self.arrivals.during(&mut batch, published).await else {
                self.outlet.silences = 0;
                if mem::take(&mut self.is_failing) {
                    info!(
                        routing_key = %self.outlet.routing_key,
                        "the broker confirms orders again"
                    );
                }
                return batch.accept(|order| self.unheard.count(self.lane, order));
            };
            self.say(&error, batch.orders.len());
            if matches!(error, BrokerError::Unroutable) {
                // It is in no queue, so nothing is to be repeated.
                mem::take(&mut batch).refuse(|| {
                    if may_be_stored {
                        PublishError::OutcomeUnknown
                    } else {
                        PublishError::Unavailable(error.clone().cause())
                    }
                });
            }
            may_be_stored = true;
            let recovered = self.outlet.recover(&error, wait);
            self.arrivals.during(&mut batch, recovered).await;
            if batch.orders.is_empty() {
                return;
            }
            wait = (wait * 2).min(LONGEST_RETRY);
            self.arrivals.during(&mut batch, self.outlet.open()).await;
        }
    }
}

/// Waits up to `longest`, with jitter, so that not all lanes try at once.
async fn pause(longest: Duration) {
    let part = rand::rng().random_range(0.5..=1.0);
    sleep(longest.mul_f64(part)).await;
}
