//! Orders out of the queue.

use async_trait::async_trait;

use super::Cause;
use crate::order::{Lane, Order};

/// Why no orders come from a lane.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// The queue took the lane away: somebody deleted it, or the connection that it was
    /// read from is gone. What was not acked is delivered again. Close the
    /// [`LaneConsumer`] and open the lane again.
    #[error("the queue took the lane away")]
    LaneLost,
    /// The lane's next order can be read by a newer release only. Leave the lane to others.
    #[error("its next message is of version {version}, which this release cannot read")]
    NewerVersion {
        /// The version of the message.
        version: u32,
    },
    /// The queue cannot be reached; what was not acked is delivered again.
    /// Close the [`LaneConsumer`], wait, and open the lane again.
    #[error("the queue is unavailable")]
    Unavailable(#[source] Cause),
}

/// Opens lanes. Who should have which is settled by [`super::LaneClaims`]; the queue only
/// sees to it that of several who read a lane one at a time gets orders.
#[async_trait]
pub trait TicketConsumer: Send + Sync {
    /// Opens a lane. If another consumer has it open, in any process, this one gets orders
    /// once that one is closed or gone, and then all that it had not acked first.
    ///
    /// # Errors
    /// [`ConsumeError::Unavailable`].
    async fn open_lane(&self, lane: Lane) -> Result<Box<dyn LaneConsumer>, ConsumeError>;

    /// Orders that the queue loses if this process ends now, accepted and not
    /// yet acked; 0 for a queue that outlives the process. A graceful stop
    /// waits until it is 0.
    fn volatile_orders(&self) -> usize;
}

/// An open lane: both its queues, high before standard by weight. Dropping it closes it, too,
/// some time later.
///
/// ```
/// use domain::ports::{ConsumeError, LaneConsumer, TicketLedger};
///
/// type Done = Result<(), ConsumeError>;
///
/// async fn decide(lane: &mut dyn LaneConsumer, ledger: &dyn TicketLedger) -> Done {
///     let batch = lane.next_batch(500).await?;
///     match ledger.decide(batch.orders(), None).await {
///         Ok(_) => batch.ack().await,
///         Err(_) => Ok(()), // Dropping the batch delivers it again.
///     }
/// }
/// ```
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

    /// Closes the lane: what was not acked is at its place again when this returns, if the
    /// queue can be reached. Takes a few seconds at most.
    async fn close(self: Box<Self>);
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
