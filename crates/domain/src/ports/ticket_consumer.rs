//! Orders out of the queue.

use async_trait::async_trait;

use super::Cause;
use crate::order::{Lane, Order};

/// Why no orders come from a lane.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The lane belongs to another consumer now, or is to be given up for one.
    /// What was not acked goes there. Drop the [`LaneConsumer`] and claim again.
    #[error("the lane is no longer owned")]
    LaneLost,
    /// The queue cannot be reached; what was not acked is delivered again.
    /// Drop the [`LaneConsumer`], wait, and claim again.
    #[error("the queue is unavailable")]
    Unavailable(#[source] Cause),
}

/// Hands out lanes. A lane has one owner at a time, among all processes.
#[async_trait]
pub trait TicketConsumer: Send + Sync {
    /// Waits until a lane is free that this process should serve, and owns it
    /// until the returned consumer is dropped.
    ///
    /// # Errors
    /// [`ConsumeError::Unavailable`].
    async fn claim_lane(&self) -> Result<Box<dyn LaneConsumer>, ConsumeError>;

    /// Orders that the queue loses if this process ends now, accepted and not
    /// yet acked; 0 for a queue that outlives the process. A graceful stop
    /// waits until it is 0.
    fn volatile_orders(&self) -> usize;
}

/// The owner of one lane: both its queues, high before standard by weight.
#[async_trait]
pub trait LaneConsumer: Send {
    /// The lane.
    fn lane(&self) -> Lane;

    /// Waits until the lane has an order, then takes what is there, at most
    /// `max` orders (at least one), without waiting for more. Within a class they come in
    /// the sequence of the queue, redelivered ones first.
    ///
    /// Dropping the future takes nothing.
    ///
    /// # Errors
    /// [`ConsumeError`].
    async fn next_batch(&mut self, max: usize) -> Result<Box<dyn DeliveryBatch>, ConsumeError>;
}

/// Orders that were delivered and not yet settled. Dropping it unsettled
/// delivers all of them again, at their old places.
#[async_trait]
pub trait DeliveryBatch: Send {
    /// The orders, in the sequence of the lane.
    fn orders(&self) -> &[Order];

    /// Settles all of them: the queue forgets them.
    ///
    /// # Errors
    /// [`ConsumeError`]; they may be delivered again then.
    async fn ack(self: Box<Self>) -> Result<(), ConsumeError>;
}
