//! Orders out of the queue, for who has a lane open and for those who had.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use async_trait::async_trait;
use domain::order::{Lane, Order};
use domain::ports::{ConsumeError, DeliveryBatch, LaneConsumer, TicketConsumer};
use domain::schedule::ClassSchedule;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::queue::cause;
use super::{CLASSES, SimQueue, class_index, ids};
use crate::mistake::Mistake;
use crate::node::Node;
use crate::world::World;

/// Messages that a lane's owner may have of a class.
const PREFETCH: usize = 4;
/// How a lane serves its classes.
const HIGH: NonZeroU32 = NonZeroU32::new(4).unwrap();
const STANDARD: NonZeroU32 = NonZeroU32::MIN;

#[async_trait]
impl TicketConsumer for SimQueue {
    async fn open_lane(&self, lane: Lane) -> Result<Box<dyn LaneConsumer>, ConsumeError> {
        let world = &self.node.world;
        let opening = world.broker.lock().opens();
        // From here on dropping it closes what is open.
        let open = Box::new(SimLaneConsumer {
            node: Arc::clone(&self.node),
            lane,
            opening,
            schedule: ClassSchedule::new(HIGH, STANDARD),
            arrived: Default::default(),
            unsettled: None,
        });
        for class in 0..CLASSES {
            self.node.step("broker: opens a queue of a lane").await;
            let mut broker = world.broker.lock();
            if broker.is_down() {
                return Err(ConsumeError::Unavailable(cause()));
            }
            broker.consume(lane, class, opening, &self.node.name);
        }
        self.node
            .note(format_args!("opens lane {lane} as {opening}"));
        Ok(open)
    }

    fn volatile_orders(&self) -> usize {
        0
    }
}

/// A message of which not all orders are handed out.
struct Arrived {
    id: u64,
    orders: vec::IntoIter<Order>,
}

struct SimLaneConsumer {
    node: Arc<Node>,
    lane: Lane,
    opening: u64,
    schedule: ClassSchedule,
    arrived: [VecDeque<Arrived>; CLASSES],
    /// The batch that is out; its sender is dropped when it is given up.
    unsettled: Option<oneshot::Receiver<()>>,
}

impl SimLaneConsumer {
    fn world(&self) -> &World {
        &self.node.world
    }

    /// Takes over what the broker has delivered by now.
    fn receive(&mut self) -> Result<(), ConsumeError> {
        let node = Arc::clone(&self.node);
        let world = &node.world;
        let mut broker = world.broker.lock();
        if world.happens(|weather| weather.lanes_lost) {
            broker.revoke(world, self.lane, Duration::ZERO);
        }
        if broker.is_down() {
            return Err(ConsumeError::Unavailable(cause()));
        }
        if !broker.is_open(self.lane, self.opening) {
            // A process may hear of it later than it decides what it has.
            let has_more = self.arrived.iter().any(|arrived| !arrived.is_empty());
            if has_more && world.draw(|chance| chance.one_in(2)) {
                return Ok(());
            }
            return Err(ConsumeError::LaneLost);
        }
        for (class, arrived) in self.arrived.iter_mut().enumerate() {
            let mut most = PREFETCH.saturating_sub(arrived.len());
            if world.happens(|weather| weather.deliveries_late) {
                most = world.draw(|chance| chance.index(most + 1));
            }
            let messages = broker.deliver(self.lane, class, self.opening, most);
            arrived.extend(messages.into_iter().map(|message| Arrived {
                id: message.id,
                orders: message.orders.into_iter(),
            }));
        }
        Ok(())
    }

    fn take_batch(&mut self, max: usize) -> Option<SimDeliveryBatch> {
        let mut orders = Vec::new();
        let mut ends: [Option<u64>; CLASSES] = Default::default();
        while orders.len() < max {
            let [high, standard] = &self.arrived;
            let next = self.schedule.next(!high.is_empty(), !standard.is_empty());
            let Some(class) = next.map(class_index) else {
                break;
            };
            let Some(message) = self.arrived[class].front_mut() else {
                break;
            };
            orders.extend(message.orders.next());
            if message.orders.len() == 0 {
                ends[class] = Some(message.id);
                self.arrived[class].pop_front();
            }
        }
        if orders.is_empty() {
            return None;
        }
        let (settled, unsettled) = oneshot::channel();
        self.unsettled = Some(unsettled);
        Some(SimDeliveryBatch {
            node: Arc::clone(&self.node),
            lane: self.lane,
            opening: self.opening,
            orders,
            ends,
            settled,
        })
    }
}

#[async_trait]
impl LaneConsumer for SimLaneConsumer {
    fn lane(&self) -> Lane {
        self.lane
    }

    async fn next_batch(&mut self, max: usize) -> Result<Box<dyn DeliveryBatch>, ConsumeError> {
        if let Some(unsettled) = self.unsettled.take()
            && unsettled.await.is_err()
        {
            return Err(ConsumeError::LaneLost);
        }
        loop {
            self.node.step("broker: awaits deliveries").await;
            let changed = self.world().broker.lock().changed(self.lane);
            let mut changed = pin!(changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            self.receive()?;
            if let Some(batch) = self.take_batch(max) {
                let node = &self.node;
                node.note(format_args!("is handed {}", ids(&batch.orders)));
                if node.world.has(Mistake::AckBeforeCommit) {
                    batch.settle_all();
                }
                return Ok(Box::new(batch));
            }
            if self.world().broker.lock().has_undelivered(self.lane) {
                let pause = self.world().draw(|chance| chance.millis(1, 50));
                sleep(pause).await;
            } else {
                changed.await;
            }
        }
    }

    async fn close(self: Box<Self>) {
        self.node.step("broker: closes a lane").await;
        let world = &self.node.world;
        if world.happens(|weather| weather.acks_lost) {
            // No answer came; the connection is dropped.
            return;
        }
        let mut broker = world.broker.lock();
        broker.close(world, self.lane, self.opening, Duration::ZERO);
    }
}

impl Drop for SimLaneConsumer {
    /// The broker notices sooner or later.
    fn drop(&mut self) {
        let world = &self.node.world;
        let noticed = world.draw(|chance| chance.millis(1, 300));
        let mut broker = world.broker.lock();
        broker.close(world, self.lane, self.opening, noticed);
    }
}

struct SimDeliveryBatch {
    node: Arc<Node>,
    lane: Lane,
    opening: u64,
    orders: Vec<Order>,
    /// Per class the last message that this batch ends.
    ends: [Option<u64>; CLASSES],
    settled: oneshot::Sender<()>,
}

impl SimDeliveryBatch {
    fn settle(&self, class: usize) {
        let world = &self.node.world;
        let mut broker = world.broker.lock();
        if let Some(end) = self.ends[class] {
            broker.settle(world, self.lane, class, self.opening, end);
        }
    }

    fn settle_all(&self) {
        for class in 0..CLASSES {
            self.settle(class);
        }
    }
}

#[async_trait]
impl DeliveryBatch for SimDeliveryBatch {
    fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// An ack has no answer: it returns when it is sent.
    async fn ack(self: Box<Self>) -> Result<(), ConsumeError> {
        let world = &self.node.world;
        if world.has(Mistake::AckLost) && world.draw(|chance| chance.one_in(10)) {
            let _unheard = self.settled.send(());
            return Ok(());
        }
        for class in 0..CLASSES {
            self.node.step("broker: acks").await;
            if world.happens(|weather| weather.acks_lost) {
                let mut broker = world.broker.lock();
                broker.close(world, self.lane, self.opening, Duration::ZERO);
            }
            let is_open = world.broker.lock().is_open(self.lane, self.opening);
            if !is_open && world.draw(|chance| chance.one_in(2)) {
                return Err(ConsumeError::Unavailable(cause()));
            }
            self.settle(class);
        }
        // Nobody waits if the lane was given up meanwhile.
        let _unheard = self.settled.send(());
        Ok(())
    }
}
