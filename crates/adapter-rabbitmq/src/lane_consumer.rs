//! An open lane: a channel and a consumer for each of its two queues.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::order::{Lane, Order};
use domain::ports::{Clock, ConsumeError, DeadLetter, DeliveryBatch, LaneConsumer};
use domain::schedule::ClassSchedule;
use domain::user::PriorityClass;
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use crate::dead_letters::RabbitDeadLetters;
use crate::error::BrokerError;
use crate::lane_troubles::LaneTroubles;
use crate::limits::{CLOSE_LIMIT, within_limit};
use crate::link::{Link, LiveChannel};
use crate::topology::{PREFETCH, Topology};
use crate::trace_headers;
use crate::wire::{self, DecodeError};

/// How long a node may take at most to say what waits in a queue. One that looks for the leader
/// at a node that is away answers only once that is known to be down.
const OPEN_LIMIT: Duration = Duration::from_secs(2);
/// How long the channels of a lane may take to close before their connection is left, which
/// other lanes have too.
const LANE_CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How often an idle lane looks whether its connection is still there.
const GLANCE: Duration = Duration::from_millis(100);
/// How often an idle lane is asked whether it has orders after all.
const LOOK: Duration = Duration::from_secs(2);
/// How long a queue may take to say whether orders wait in it.
const ASK_LIMIT: Duration = Duration::from_millis(500);
/// A lane that has orders and gets none for so long is read through another node. Longer than
/// the broker takes to notice a frozen owner, who holds the lane rightly until then.
const STARVED_TOO_LONG: Duration = Duration::from_secs(15);
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
    /// Left by `tickets lanes set`.
    Marker {
        tag: u64,
    },
}

impl ClassFeed {
    async fn open(
        channel: Channel,
        topology: &Topology,
        class: PriorityClass,
        lane: Lane,
        may_have_more: bool,
    ) -> Result<Self, BrokerError> {
        let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        within_limit(qos).await?;
        let consuming = channel.basic_consume(
            topology.lane_queue(class, lane),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        // Cut short it would start again from the beginning, on a broker that is only slow.
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
        if wire::is_marker(&delivery.properties) {
            self.arrived.push_back(Arrived::Marker { tag });
            return;
        }
        let arrived = match wire::decode_orders(&delivery.data) {
            Ok(mut orders) => {
                trace_headers::into_orders(delivery.properties.headers().as_ref(), &mut orders);
                Arrived::Orders {
                    tag,
                    orders: orders.into_iter(),
                }
            }
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

    /// Takes what is delivered already; whether there was any.
    fn poll_deliveries(&mut self, context: &mut Context<'_>) -> Result<bool, ConsumeError> {
        let mut is_fed = false;
        while let Poll::Ready(given) = Pin::new(&mut self.consumer).poll_next(context) {
            self.delivered(given)?;
            is_fed = true;
        }
        Ok(is_fed)
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

/// What all lanes of a process share.
pub(crate) struct LaneReader {
    pub(crate) consuming: Arc<Link>,
    pub(crate) topology: Topology,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) schedule: ClassSchedule,
    pub(crate) dead_letters: Arc<RabbitDeadLetters>,
    pub(crate) troubles: LaneTroubles,
}

/// A lane that this process has open.
pub(crate) struct RabbitLaneConsumer {
    lane: Lane,
    schedule: ClassSchedule,
    /// All that were opened, also if a consumer could not be.
    channels: Vec<LiveChannel>,
    /// High, then standard. Empty once closed.
    feeds: Vec<ClassFeed>,
    /// The batch that is out.
    unsettled: Option<Unsettled>,
    is_lost: bool,
    /// To ask for what waits: the broker answers on a channel in sequence, so that a question
    /// without an answer would hold up what is delivered there.
    asking: Option<LiveChannel>,
    reader: Arc<LaneReader>,
}

impl RabbitLaneConsumer {
    /// Opens both queues, or none: what was opened is closed if the rest fails.
    pub(crate) async fn open(lane: Lane, reader: Arc<LaneReader>) -> Result<Self, BrokerError> {
        let mut open = Self {
            lane,
            schedule: reader.schedule.clone(),
            channels: Vec::new(),
            feeds: Vec::new(),
            unsettled: None,
            is_lost: false,
            asking: None,
            reader,
        };
        for class in PriorityClass::ALL {
            let opened = open.open_class(class).await;
            if opened.as_ref().is_err_and(BrokerError::is_missing) {
                open.reader.consuming.repair().await?;
            }
            opened?;
        }
        open.reader.troubles.note_opened(lane);
        Ok(open)
    }

    async fn open_class(&mut self, class: PriorityClass) -> Result<(), BrokerError> {
        // A node that looks for the leader of the queue where it no longer is consumes all the
        // same, and keeps the lane for as long as it looks. So it is first asked whether it
        // knows the leader, on another channel.
        let mut limit = ASK_LIMIT;
        let has_orders = loop {
            if let Ok(asked) = timeout(limit, self.has_orders(class)).await {
                break asked?;
            }
            let asking = self.asking.take();
            if limit >= OPEN_LIMIT {
                let times = self.reader.troubles.note_leaderless(self.lane);
                if let Some(asking) = asking
                    && times.is_power_of_two()
                    && times > 1
                {
                    asking.leave(&BrokerError::Leaderless(self.lane));
                }
                return Err(BrokerError::Leaderless(self.lane));
            }
            limit *= 2;
        };
        let live = self.reader.consuming.channel().await?;
        let channel = live.channel.clone();
        self.channels.push(live);
        let topology = &self.reader.topology;
        let feed = ClassFeed::open(channel, topology, class, self.lane, has_orders).await?;
        self.feeds.push(feed);
        Ok(())
    }

    fn feed(&mut self, class: PriorityClass) -> Option<&mut ClassFeed> {
        self.feeds.iter_mut().find(|feed| feed.class == class)
    }

    fn poll_deliveries(&mut self, context: &mut Context<'_>) -> Result<(), ConsumeError> {
        for feed in &mut self.feeds {
            if feed.poll_deliveries(context)? {
                self.reader.consuming.sound();
            }
        }
        Ok(())
    }

    /// Waits for the batch before; an error if it was not settled.
    async fn wait_until_settled(&mut self) -> Result<(), ConsumeError> {
        if let Some(unsettled) = &mut self.unsettled {
            self.is_lost = (&mut unsettled.settled).await.is_err();
            for (feed, end) in self.feeds.iter_mut().zip(unsettled.ends) {
                feed.acked = end.unwrap_or(feed.acked);
            }
            self.unsettled = None;
        }
        // What was not settled comes again only once the channels are closed,
        // and everything that is buffered here comes after it.
        if self.is_lost {
            return Err(ConsumeError::LaneLost);
        }
        Ok(())
    }

    /// Settles what is next and has no orders; what nobody can read is put aside.
    async fn settle_others(&mut self) -> Result<(), ConsumeError> {
        let at = self.reader.clock.now();
        for feed in &mut self.feeds {
            loop {
                let tag = match feed.arrived.front() {
                    Some(Arrived::Marker { tag }) => *tag,
                    Some(Arrived::Undecodable {
                        tag,
                        payload,
                        reason,
                    }) => {
                        let letter = DeadLetter {
                            at,
                            reason: reason.clone(),
                            order: None,
                            payload: payload.clone(),
                        };
                        let put = self.reader.dead_letters.put(&letter).await;
                        put.map_err(|error| ConsumeError::Unavailable(Box::new(error)))?;
                        error!(
                            queue.lane = %self.lane, reason,
                            "moved a message that cannot be decoded to the dead letters"
                        );
                        *tag
                    }
                    Some(Arrived::Orders { .. } | Arrived::Newer(_)) | None => break,
                };
                ClassFeed::ack(&feed.channel, tag, false).await?;
                feed.acked = tag;
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
                Arrived::Orders { .. } | Arrived::Undecodable { .. } | Arrived::Marker { .. } => {
                    None
                }
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
            let end = &mut ends[class.index()];
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
        self.wait_until_settled().await?;
        loop {
            self.poll_deliveries(&mut Context::from_waker(Waker::noop()))?;
            self.settle_others().await?;
            if let Some(version) = self.newer_version() {
                self.reader.troubles.note_paused(self.lane, version);
                warn!(
                    queue.lane = %self.lane, version,
                    "paused the lane: only a newer version of tickets can read its next message"
                );
                return Err(ConsumeError::NewerVersion { version });
            }
            if self.refill().await? {
                continue;
            }
            if let Some(batch) = self.take_batch(max) {
                return Ok(Box::new(batch));
            }
            self.wait_for_delivery().await?;
        }
    }

    async fn close(mut self: Box<Self>) {
        let closing = tokio::spawn(self.begin_closing());
        let _late = timeout(CLOSE_LIMIT, closing).await;
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
        match timeout(REFILL, awaited.consumer.next()).await {
            Ok(delivered) => {
                awaited.delivered(delivered)?;
                self.reader.consuming.sound();
                Ok(true)
            }
            Err(_) => {
                awaited.may_have_more = false;
                Ok(false)
            }
        }
    }

    async fn wait_for_delivery(&mut self) -> Result<(), ConsumeError> {
        let mut looked = Instant::now();
        loop {
            let [high, standard] = self.feeds.as_mut_slice() else {
                return Err(ConsumeError::LaneLost);
            };
            let (feed, delivered) = tokio::select! {
                delivered = high.consumer.next() => (high, delivered),
                delivered = standard.consumer.next() => (standard, delivered),
                () = sleep(GLANCE) => {
                    // What is left or lost says nothing more.
                    if !self.channels.iter().all(LiveChannel::is_open) {
                        return Err(ConsumeError::LaneLost);
                    }
                    if looked.elapsed() >= LOOK {
                        self.look().await?;
                        looked = Instant::now();
                    }
                    continue;
                }
            };
            self.reader.troubles.note_fed(self.lane);
            if matches!(delivered, Some(Ok(_))) {
                self.reader.consuming.sound();
            }
            return feed.delivered(delivered);
        }
    }

    /// Asks whether the lane has orders although it gives none. It may: a frozen worker has
    /// it until the broker notices.
    async fn look(&mut self) -> Result<(), ConsumeError> {
        let unavailable = |error: BrokerError| ConsumeError::Unavailable(error.cause());
        let mut has_some = false;
        for class in PriorityClass::ALL {
            let Ok(waits) = timeout(ASK_LIMIT, self.has_orders(class)).await else {
                // What it consumes may come all the same.
                self.asking = None;
                return Ok(());
            };
            has_some |= waits.map_err(unavailable)?;
        }
        if !has_some {
            self.reader.troubles.note_fed(self.lane);
        } else if self.reader.troubles.note_starved(self.lane) >= STARVED_TOO_LONG {
            let reason = BrokerError::Starved(self.lane);
            if let Some(live) = self.channels.first() {
                live.leave(&reason);
            }
            return Err(unavailable(reason));
        }
        Ok(())
    }

    /// Whether the queue says that orders wait in it. What others have and did not ack does not
    /// count.
    async fn has_orders(&mut self, class: PriorityClass) -> Result<bool, BrokerError> {
        let asking = match self.asking.take().filter(LiveChannel::is_open) {
            Some(asking) => asking,
            None => self.reader.consuming.channel().await?,
        };
        let channel = &self.asking.insert(asking).channel;
        let queue = self.reader.topology.lane_queue(class, self.lane);
        let passive = QueueDeclareOptions::durable().passive();
        let asking = channel.queue_declare(queue, passive, FieldTable::default());
        Ok(asking.await?.message_count() > 0)
    }

    /// Closes the channels, so that everything unsettled is back at its place. The consumers
    /// are kept until then, because dropping one cancels it, and a cancelled consumer keeps
    /// what it has.
    ///
    /// A channel that is busy with a request closes after it, and a consumer that it gets
    /// meanwhile closes with it; that is waited for in the background.
    fn begin_closing(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let (channels, feeds) = (mem::take(&mut self.channels), mem::take(&mut self.feeds));
        self.asking = None;
        self.reader.troubles.note_closed(self.lane);
        async move {
            let closing = channels
                .into_iter()
                .map(|live| live.close(LANE_CLOSE_LIMIT));
            // If it fails, the connection is left, and everything is back all the same.
            let _closed = join_all(closing).await;
            drop(feeds);
        }
    }
}

impl Drop for RabbitLaneConsumer {
    fn drop(&mut self) {
        if self.channels.is_empty() {
            return;
        }
        let closing = self.begin_closing();
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(closing)),
            // The process ends; the broker takes everything back with the connection.
            Err(_) => mem::forget(closing),
        }
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
