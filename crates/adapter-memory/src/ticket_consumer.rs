//! Orders out of the queue.

use std::mem;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use domain::order::{Lane, Order};
use domain::ports::{ConsumeError, DeliveryBatch, LaneConsumer, TicketConsumer};

use crate::MemoryQueue;
use crate::queue::SharedQueue;

#[async_trait]
impl TicketConsumer for MemoryQueue {
    async fn open_lane(&self, lane: Lane) -> Result<Box<dyn LaneConsumer>, ConsumeError> {
        Ok(Box::new(MemoryLaneConsumer {
            queue: Arc::clone(&self.shared),
            lane,
            has_turn: false,
        }))
    }

    fn volatile_orders(&self) -> usize {
        self.shared.orders()
    }
}

struct MemoryLaneConsumer {
    queue: Arc<SharedQueue>,
    lane: Lane,
    /// Nobody else who has the lane open gets orders meanwhile.
    has_turn: bool,
}

impl MemoryLaneConsumer {
    async fn turn(&mut self) {
        while !self.has_turn {
            let mut freed = pin!(self.queue.lane_freed.notified());
            // From here on no freed lane is missed.
            freed.as_mut().enable();
            self.has_turn = self.queue.take_turn(self.lane);
            if !self.has_turn {
                freed.await;
            }
        }
    }
}

#[async_trait]
impl LaneConsumer for MemoryLaneConsumer {
    fn lane(&self) -> Lane {
        self.lane
    }

    async fn next_batch(&mut self, max: usize) -> Result<Box<dyn DeliveryBatch>, ConsumeError> {
        self.turn().await;
        Ok(Box::new(MemoryDeliveryBatch {
            orders: self.queue.lane(self.lane).take(max).await,
            queue: Arc::clone(&self.queue),
            lane: self.lane,
        }))
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for MemoryLaneConsumer {
    /// Frees the lane. A batch that is still out keeps the next owner waiting.
    fn drop(&mut self) {
        if self.has_turn {
            self.queue.end_turn(self.lane);
        }
    }
}

struct MemoryDeliveryBatch {
    queue: Arc<SharedQueue>,
    lane: Lane,
    /// Empty once settled.
    orders: Vec<Order>,
}

#[async_trait]
impl DeliveryBatch for MemoryDeliveryBatch {
    fn orders(&self) -> &[Order] {
        &self.orders
    }

    async fn ack(mut self: Box<Self>) -> Result<(), ConsumeError> {
        self.queue.release(mem::take(&mut self.orders).len());
        self.queue.lane(self.lane).settle();
        Ok(())
    }
}

impl Drop for MemoryDeliveryBatch {
    fn drop(&mut self) {
        if !self.orders.is_empty() {
            let orders = mem::take(&mut self.orders);
            self.queue.lane(self.lane).give_back(orders);
        }
    }
}
