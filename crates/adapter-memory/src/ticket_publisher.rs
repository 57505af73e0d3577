//! Orders into the queue.

use async_trait::async_trait;
use domain::order::{NewOrder, Order};
use domain::ports::{PublishError, TicketPublisher};

use crate::MemoryQueue;

#[async_trait]
impl TicketPublisher for MemoryQueue {
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError> {
        let queue = &self.shared;
        if !queue.reserve() {
            return Err(PublishError::Full {
                capacity: queue.capacity,
            });
        }
        let now = queue.clock.now();
        Ok(queue
            .lane_of(&order.show_id)
            .accept(order, now, queue.process))
    }
}
