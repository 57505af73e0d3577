//! Orders into the queue. Per lane and class one task takes whatever has
//! arrived, sends it as one message and awaits the broker's confirm; what
//! arrives meanwhile is the next message. An idle lane adds no wait, a busy one
//! shares the confirm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::order::{Lane, NewOrder, Order};
use domain::ports::{Clock, PublishError, TicketPublisher};
use domain::receipt::ProcessId;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use lapin::{Channel, Confirmation};
use rand::RngExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::error::BrokerError;
use crate::link::{Link, LiveChannel};
use crate::queue::RabbitMq;
use crate::topology::Topology;
use crate::wire;

/// Orders in one message. A message is about 100 bytes per order.
pub(crate) const MAX_ORDERS: usize = 500;
/// The longest wait between two attempts to send.
const LONGEST_RETRY: Duration = Duration::from_millis(500);
/// How often a blocked connection is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) const PERSISTENT: u8 = 2;

pub(crate) fn message_properties() -> BasicProperties {
    BasicProperties::default()
        .with_content_type(wire::CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
}

/// Publishes and waits until the broker has stored the message in a queue.
pub(crate) async fn publish_confirmed(
    channel: &Channel,
    exchange: ShortString,
    routing_key: ShortString,
    body: &[u8],
    properties: BasicProperties,
) -> Result<(), BrokerError> {
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let confirm = channel
        .basic_publish(exchange, routing_key, mandatory, body, properties)
        .await?;
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(BrokerError::Unroutable),
        // Without confirms nothing is known to be stored.
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(BrokerError::NotStored),
    }
}

/// One caller's order on its way.
struct Request {
    order: NewOrder,
    /// Set by whoever is first: the task that sends it, or the caller that gives up.
    taken: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Order, PublishError>>,
    /// Room in this process, until the order is confirmed or dropped.
    room: OwnedSemaphorePermit,
}

/// Takes a waiting order back when its caller goes away.
struct TakeBack<'a>(&'a AtomicBool);

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The publishing side of all lanes.
pub(crate) struct Publisher {
    capacity: usize,
    room: Arc<Semaphore>,
    timeout: Duration,
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
        let start = |lane: Lane, class: PriorityClass| {
            let (sender, requests) = mpsc::unbounded_channel();
            let sending = Sending {
                link: Arc::clone(link),
                exchange: topology.orders_exchange(),
                routing_key: Topology::lane_key(class, lane),
                clock: Arc::clone(clock),
                process,
                requests,
                waiting: Vec::new(),
                latest: Timestamp::MIN,
                live: None,
            };
            tokio::spawn(sending.run());
            sender
        };
        Self {
            capacity,
            room: Arc::new(Semaphore::new(capacity)),
            timeout,
            queues: topology
                .lanes
                .iter()
                .map(|lane| PriorityClass::ALL.map(|class| start(lane, class)))
                .collect(),
        }
    }
}

const fn class_index(class: PriorityClass) -> usize {
    match class {
        PriorityClass::High => 0,
        PriorityClass::Standard => 1,
    }
}

#[async_trait]
impl TicketPublisher for RabbitMq {
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError> {
        let publisher = &self.publisher;
        let Ok(room) = Arc::clone(&publisher.room).try_acquire_owned() else {
            return Err(PublishError::Full {
                capacity: publisher.capacity,
            });
        };
        let lane = self.topology.lanes.of(&order.show_id);
        let queue = &publisher.queues[usize::from(lane.index())][class_index(order.class)];
        let taken = Arc::new(AtomicBool::new(false));
        let _take_back = TakeBack(&taken);
        let (answer, answered) = oneshot::channel();
        let request = Request {
            order,
            taken: Arc::clone(&taken),
            answer,
            room,
        };
        // Fails only when the runtime shuts down; the answer says so then.
        let _sent = queue.send(request);
        match timeout(publisher.timeout, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(PublishError::OutcomeUnknown),
            Err(_) if taken.swap(true, Ordering::Relaxed) => Err(PublishError::OutcomeUnknown),
            Err(_) => Err(PublishError::Unavailable(
                BrokerError::TimedOut(publisher.timeout).cause(),
            )),
        }
    }
}

/// The task of one lane and class.
struct Sending {
    link: Arc<Link>,
    exchange: ShortString,
    routing_key: ShortString,
    clock: Arc<dyn Clock>,
    process: ProcessId,
    requests: mpsc::UnboundedReceiver<Request>,
    waiting: Vec<Request>,
    /// The place that was given last.
    latest: Timestamp,
    live: Option<LiveChannel>,
}

type Answers = Vec<oneshot::Sender<Result<Order, PublishError>>>;

impl Sending {
    async fn run(mut self) {
        while self.requests.recv_many(&mut self.waiting, MAX_ORDERS).await > 0 {
            let channel = self.open_channel().await;
            while self.waiting.len() < MAX_ORDERS
                && let Ok(request) = self.requests.try_recv()
            {
                self.waiting.push(request);
            }
            let (orders, answers, room) = self.take_waiting();
            if !orders.is_empty() {
                self.send(channel, orders, answers).await;
            }
            drop(room);
        }
    }

    /// Gives every waiting order its place, unless its caller has given up.
    fn take_waiting(&mut self) -> (Vec<Order>, Answers, Option<OwnedSemaphorePermit>) {
        let now = self.clock.now();
        let mut orders = Vec::with_capacity(self.waiting.len());
        let mut answers = Vec::with_capacity(self.waiting.len());
        // One permit for all of them is given back at once.
        let mut room: Option<OwnedSemaphorePermit> = None;
        for request in self.waiting.drain(..) {
            if request.taken.swap(true, Ordering::Relaxed) {
                continue;
            }
            self.latest = now.max(self.latest.plus_micros(1));
            orders.push(request.order.accepted(self.latest, self.process));
            answers.push(request.answer);
            match &mut room {
                Some(room) => room.merge(request.room),
                None => room = Some(request.room),
            }
        }
        (orders, answers, room)
    }

    /// Sends the orders as one message until the broker has it: nothing else of
    /// this lane and class is sent before, so that they keep their places. A
    /// copy too many does no harm, the ledger decides a ticket once.
    async fn send(&mut self, mut channel: Channel, orders: Vec<Order>, answers: Answers) {
        let body = wire::encode_orders(&orders);
        let mut may_be_stored = false;
        loop {
            let published = publish_confirmed(
                &channel,
                self.exchange.clone(),
                self.routing_key.clone(),
                &body,
                message_properties(),
            )
            .await;
            let error = match published {
                Ok(()) => {
                    for (answer, order) in answers.into_iter().zip(orders) {
                        // The caller may have given up; the order is queued all the same.
                        let _unheard = answer.send(Ok(order));
                    }
                    return;
                }
                Err(error) => error,
            };
            warn!(routing_key = %self.routing_key, %error, orders = orders.len(), "not confirmed");
            if matches!(error, BrokerError::Unroutable) {
                // It is in no queue, so nothing is to be repeated.
                self.refuse(answers, &error, may_be_stored);
                if let Err(error) = self.link.declare_topology().await {
                    warn!(%error, "the queues could not be declared again");
                }
                return;
            }
            may_be_stored = true;
            if matches!(error, BrokerError::NotStored) {
                pause(LONGEST_RETRY).await;
            } else {
                self.live = None;
            }
            channel = self.open_channel().await;
        }
    }

    fn refuse(&self, answers: Answers, error: &BrokerError, may_be_stored: bool) {
        for answer in answers {
            let _unheard = answer.send(Err(if may_be_stored {
                PublishError::OutcomeUnknown
            } else {
                PublishError::Unavailable(error.clone().cause())
            }));
        }
    }

    /// A channel that the broker takes messages on, however long that takes.
    /// Meanwhile orders whose callers have given up make room for others.
    async fn open_channel(&mut self) -> Channel {
        let mut wait = LOOK_AGAIN;
        loop {
            match &self.live {
                Some(live) if !live.is_open() => self.live = None,
                Some(live) if !live.is_blocked() => return live.channel.clone(),
                Some(_) => pause(LOOK_AGAIN).await,
                None => match self.link.confirming_channel().await {
                    Ok(live) => self.live = Some(live),
                    Err(_) => {
                        pause(wait).await;
                        wait = (wait * 2).min(LONGEST_RETRY);
                    }
                },
            }
            self.waiting
                .retain(|request| !request.taken.load(Ordering::Relaxed));
            while self.waiting.len() < MAX_ORDERS
                && let Ok(request) = self.requests.try_recv()
            {
                self.waiting.push(request);
            }
        }
    }
}

/// Waits up to `longest`, with jitter, so that not all lanes try at once.
async fn pause(longest: Duration) {
    let part = rand::rng().random_range(0.5..=1.0);
    sleep(longest.mul_f64(part)).await;
}
