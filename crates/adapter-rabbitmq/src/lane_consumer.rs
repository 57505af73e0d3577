//! The owner of one lane: a channel and a consumer for each of its two queues.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use domain::order::{Lane, Order};
use domain::ports::{ConsumeError, DeadLetter, DeadLetters, DeliveryBatch, LaneConsumer};
use domain::schedule::ClassSchedule;
use domain::user::PriorityClass;
use futures_util::{Stream, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::error::BrokerError;
use crate::link::within_limit;
use crate::ownership::Ownership;
use crate::topology::{PREFETCH, Topology};
use crate::wire::{self, DecodeError};

/// A lane that waits for a newer worker is offered to the others this often.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a class that may have more in the broker is waited for before the
/// other class gets its turns. Once per backlog it is waited for in vain.
const REFILL: Duration = Duration::from_millis(50);

/// One class of the lane.
pub(crate) struct ClassFeed {
    class: PriorityClass,
    channel: Channel,
    consumer: Consumer,
    /// What was delivered and is not handed out as a whole.
    arrived: VecDeque<Arrived>,
    /// The latest message that is acked, by its tag; tags count from 1.
    acked: u64,
    /// That nothing has arrived does not say that nothing waits: the broker
    /// delivers no more than the prefetch before acks.
    may_have_more: bool,
}

enum Arrived {
    Orders {
        tag: u64,
        orders: std::vec::IntoIter<Order>,
    },
    Undecodable {
        tag: u64,
        payload: Vec<u8>,
        reason: String,
    },
    Newer(u32),
}

impl ClassFeed {
    pub(crate) async fn open(
        connection: &Connection,
        topology: &Topology,
        class: PriorityClass,
        lane: Lane,
    ) -> Result<Self, BrokerError> {
        let channel = within_limit(connection.create_channel()).await?;
        within_limit(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let queue = topology.lane_queue(class, lane);
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let looking = channel.queue_declare(queue.clone(), passive, FieldTable::default());
        let may_have_more = within_limit(looking).await?.message_count() > 0;
        let consuming = channel.basic_consume(
            queue,
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = within_limit(consuming).await?;
        Ok(Self {
            class,
            channel,
            consumer,
            arrived: VecDeque::new(),
            acked: 0,
            may_have_more,
        })
    }

    fn push(&mut self, delivery: Delivery) {
        let tag = delivery.delivery_tag;
        self.may_have_more |= tag - self.acked >= u64::from(PREFETCH);
        let arrived = match wire::decode_orders(&delivery.data) {
            Ok(orders) => Arrived::Orders {
                tag,
                orders: orders.into_iter(),
            },
            Err(DecodeError::Newer(version)) => Arrived::Newer(version),
            Err(error @ DecodeError::Invalid(_)) => Arrived::Undecodable {
                tag,
                payload: delivery.data,
                reason: error.to_string(),
            },
        };
        self.arrived.push_back(arrived);
    }

    /// Takes what the consumer gave; an error when no more will come.
    fn delivered(&mut self, given: Option<lapin::Result<Delivery>>) -> Result<(), ConsumeError> {
        match given {
            Some(Ok(delivery)) => {
                self.push(delivery);
                Ok(())
            }
            Some(Err(error)) => Err(ConsumeError::Unavailable(BrokerError::from(error).cause())),
            None => Err(ConsumeError::LaneLost),
        }
    }

    /// Takes what is delivered already.
    fn poll_deliveries(&mut self, context: &mut Context<'_>) -> Result<(), ConsumeError> {
        while let Poll::Ready(given) = Pin::new(&mut self.consumer).poll_next(context) {
            self.delivered(given)?;
        }
        Ok(())
    }

    /// Its next order may be on its way.
    fn is_awaited(&self) -> bool {
        self.may_have_more && self.arrived.is_empty()
    }

    fn has_order(&self) -> bool {
        matches!(self.arrived.front(), Some(Arrived::Orders { .. }))
    }

    /// The next order, and the tag of its message if it was the last one of it.
    fn take(&mut self) -> Option<(Order, Option<u64>)> {
        let Some(Arrived::Orders { tag, orders }) = self.arrived.front_mut() else {
            return None;
        };
        let order = orders.next()?;
        let settles = (orders.len() == 0).then_some(*tag);
        if settles.is_some() {
            self.arrived.pop_front();
        }
        Some((order, settles))
    }

    async fn ack(channel: &Channel, tag: u64, multiple: bool) -> Result<(), ConsumeError> {
        let acked = within_limit(channel.basic_ack(tag, BasicAckOptions { multiple })).await;
        acked.map_err(|error| ConsumeError::Unavailable(error.cause()))
    }
}

/// The latest message of each class that a batch ends, high, then standard.
type Ends = [Option<u64>; PriorityClass::ALL.len()];

/// A batch that is being decided.
struct Unsettled {
    ends: Ends,
    /// Its sender is dropped when the batch is given up.
    settled: oneshot::Receiver<()>,
}

/// A lane that this process owns.
pub(crate) struct RabbitLaneConsumer {
    lane: Lane,
    schedule: ClassSchedule,
    /// High, then standard. Empty once given up.
    feeds: Vec<ClassFeed>,
    /// The batch that is out.
    unsettled: Option<Unsettled>,
    is_lost: bool,
    /// Says that the lane is to be given up for another worker.
    shed: CancellationToken,
    /// The connection that owns the lane in the broker.
    connection: Arc<Connection>,
    ownership: Arc<Ownership>,
    dead_letters: Arc<dyn DeadLetters>,
}

impl RabbitLaneConsumer {
    pub(crate) async fn open(
        lane: Lane,
        shed: CancellationToken,
        connection: Arc<Connection>,
        ownership: Arc<Ownership>,
    ) -> Result<Self, BrokerError> {
        let mut feeds = Vec::new();
        for class in PriorityClass::ALL {
            feeds.push(ClassFeed::open(&connection, ownership.topology(), class, lane).await?);
        }
        Ok(Self {
            lane,
            schedule: ownership.schedule(),
            feeds,
            unsettled: None,
            is_lost: false,
            shed,
            connection,
            dead_letters: ownership.dead_letters(),
            ownership,
        })
    }

    fn feed(&mut self, class: PriorityClass) -> Option<&mut ClassFeed> {
        self.feeds.iter_mut().find(|feed| feed.class == class)
    }

    fn poll_deliveries(&mut self, context: &mut Context<'_>) -> Result<(), ConsumeError> {
        self.feeds
            .iter_mut()
            .try_for_each(|feed| feed.poll_deliveries(context))
    }

    /// Waits for the batch before; an error if it was not settled.
    async fn settled(&mut self) -> Result<(), ConsumeError> {
        if let Some(unsettled) = &mut self.unsettled {
            self.is_lost = (&mut unsettled.settled).await.is_err();
            for (feed, end) in self.feeds.iter_mut().zip(unsettled.ends) {
                feed.acked = end.unwrap_or(feed.acked);
            }
            self.unsettled = None;
        }
        // What was not settled comes again only once the channels are closed,
        // and everything that is buffered here comes after it.
        if self.is_lost || self.shed.is_cancelled() {
            return Err(ConsumeError::LaneLost);
        }
        Ok(())
    }

    /// Puts what nobody can read aside, once it is next.
    async fn put_undecodable_aside(&mut self) -> Result<(), ConsumeError> {
        let at = self.ownership.now();
        for feed in &mut self.feeds {
            while let Some(Arrived::Undecodable {
                tag,
                payload,
                reason,
            }) = feed.arrived.front()
            {
                error!(queue.lane = %self.lane, reason, "put an undecodable message aside");
                let letter = DeadLetter {
                    at,
                    reason: reason.clone(),
                    order: None,
                    payload: payload.clone(),
                };
                let put = self.dead_letters.put(letter).await;
                put.map_err(|error| ConsumeError::Unavailable(Box::new(error)))?;
                ClassFeed::ack(&feed.channel, *tag, false).await?;
                feed.acked = *tag;
                feed.arrived.pop_front();
            }
        }
        Ok(())
    }

    /// The version that this build cannot read, if it is next in either class.
    fn newer_version(&self) -> Option<u32> {
        let fronts = self.feeds.iter().filter_map(|feed| feed.arrived.front());
        fronts
            .filter_map(|arrived| match arrived {
                Arrived::Newer(version) => Some(*version),
                Arrived::Orders { .. } | Arrived::Undecodable { .. } => None,
            })
            .next()
    }

    fn take_batch(&mut self, max: usize) -> Option<RabbitDeliveryBatch> {
        let mut orders = Vec::new();
        let mut ends = Ends::default();
        while orders.len() < max.max(1) {
            if !orders.is_empty() && self.feeds.iter().any(ClassFeed::is_awaited) {
                // Its turns are not the other's: the ack of this batch brings more.
                break;
            }
            let [high, standard] = [PriorityClass::High, PriorityClass::Standard].map(|class| {
                self.feeds
                    .iter()
                    .any(|feed| feed.class == class && feed.has_order())
            });
            let Some(class) = self.schedule.next(high, standard) else {
                break;
            };
            let Some((order, tag)) = self.feed(class).and_then(ClassFeed::take) else {
                break;
            };
            orders.push(order);
            let end = &mut ends[usize::from(class == PriorityClass::Standard)];
            *end = tag.or(*end);
        }
        if orders.is_empty() {
            return None;
        }
        let (sender, settled) = oneshot::channel();
        self.unsettled = Some(Unsettled { ends, settled });
        let channels = self.feeds.iter().map(|feed| feed.channel.clone());
        Some(RabbitDeliveryBatch {
            orders,
            acks: channels
                .zip(ends)
                .filter_map(|(channel, tag)| Some((channel, tag?)))
                .collect(),
            settled: sender,
        })
    }
}

#[async_trait]
impl LaneConsumer for RabbitLaneConsumer {
    fn lane(&self) -> Lane {
        self.lane
    }

    async fn next_batch(&mut self, max: usize) -> Result<Box<dyn DeliveryBatch>, ConsumeError> {
        self.settled().await?;
        loop {
            self.poll_deliveries(&mut Context::from_waker(Waker::noop()))?;
            self.put_undecodable_aside().await?;
            if let Some(version) = self.newer_version() {
                self.ownership.paused(self.lane, version);
                warn!(queue.lane = %self.lane, version, "paused: a newer version of tickets must decide it");
                tokio::select! {
                    () = self.shed.cancelled() => {}
                    () = sleep(PAUSE) => {}
                }
                return Err(ConsumeError::LaneLost);
            }
            if self.refill().await? {
                continue;
            }
            if let Some(batch) = self.take_batch(max) {
                self.ownership.is_busy(self.lane);
                return Ok(Box::new(batch));
            }
            self.wait_for_delivery().await?;
        }
    }
}

impl RabbitLaneConsumer {
    /// While one class has orders and the other may have more, waits for that
    /// one; whether something arrived.
    async fn refill(&mut self) -> Result<bool, ConsumeError> {
        if !self.feeds.iter().any(ClassFeed::has_order) {
            return Ok(false);
        }
        let Some(awaited) = self.feeds.iter_mut().find(|feed| feed.is_awaited()) else {
            return Ok(false);
        };
        tokio::select! {
            () = self.shed.cancelled() => Err(ConsumeError::LaneLost),
            delivered = timeout(REFILL, awaited.consumer.next()) => match delivered {
                Ok(delivered) => awaited.delivered(delivered).map(|()| true),
                Err(_) => {
                    awaited.may_have_more = false;
                    Ok(false)
                }
            }
        }
    }

    async fn wait_for_delivery(&mut self) -> Result<(), ConsumeError> {
        let [high, standard] = self.feeds.as_mut_slice() else {
            return Err(ConsumeError::LaneLost);
        };
        let (feed, delivered) = tokio::select! {
            () = self.shed.cancelled() => return Err(ConsumeError::LaneLost),
            delivered = high.consumer.next() => (high, delivered),
            delivered = standard.consumer.next() => (standard, delivered),
        };
        feed.delivered(delivered)
    }
}

impl Drop for RabbitLaneConsumer {
    /// Gives the lane up: first the channels, so that everything unsettled is
    /// back at its place, then the ownership. The consumers are kept until then,
    /// because dropping one cancels it, and a cancelled consumer keeps what it has.
    fn drop(&mut self) {
        let feeds = std::mem::take(&mut self.feeds);
        let (lane, connection) = (self.lane, Arc::clone(&self.connection));
        let ownership = Arc::clone(&self.ownership);
        let Ok(runtime) = Handle::try_current() else {
            // The process ends; the broker takes everything back with the connection.
            std::mem::forget(feeds);
            return;
        };
        runtime.spawn(async move {
            for feed in &feeds {
                let closed = within_limit(feed.channel.close(200, "OK".into())).await;
                if let Err(error) = closed {
                    warn!(queue.lane = %lane, %error, "a channel was not closed in order");
                }
            }
            drop(feeds);
            ownership.give_up(lane, &connection).await;
        });
    }
}

struct RabbitDeliveryBatch {
    orders: Vec<Order>,
    /// Per class the last message that this batch ends.
    acks: Vec<(Channel, u64)>,
    settled: oneshot::Sender<()>,
}

#[async_trait]
impl DeliveryBatch for RabbitDeliveryBatch {
    fn orders(&self) -> &[Order] {
        &self.orders
    }

    async fn ack(self: Box<Self>) -> Result<(), ConsumeError> {
        for (channel, tag) in &self.acks {
            ClassFeed::ack(channel, *tag, true).await?;
        }
        // Nobody waits if the lane was given up meanwhile.
        let _unheard = self.settled.send(());
        Ok(())
    }
}
