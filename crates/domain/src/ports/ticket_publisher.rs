//! Orders into the queue.

use std::sync::Arc;

use async_trait::async_trait;

use super::Cause;
use crate::order::{NewOrder, Order};
use crate::waiting_line::AcceptTally;

/// Why an order has no place in the queue, or none that we know of.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The queue is full. The order was not sent.
    #[error("the queue is full: it takes at most {capacity} orders")]
    Full {
        /// The configured limit, in orders.
        capacity: usize,
    },
    /// The queue cannot be reached. The order was not sent.
    #[error("the queue is unavailable")]
    Unavailable(#[source] Cause),
    /// The order was sent, and no answer came in time: it may or may not be
    /// decided. Publishing it again under the same ticket id is safe.
    #[error("the queue did not confirm the order in time")]
    OutcomeUnknown,
}

/// Accepts orders: puts each durably into the queue of its lane and class.
///
/// ```
/// use domain::order::NewOrder;
/// use domain::ports::{PublishError, TicketPublisher};
///
/// async fn must_ask_again(queue: &dyn TicketPublisher, order: NewOrder) -> bool {
///     matches!(queue.publish(order).await, Err(PublishError::OutcomeUnknown))
/// }
/// ```
#[async_trait]
pub trait TicketPublisher: Send + Sync {
    /// Puts the order at the end of its show's lane and class and returns it
    /// with its place, once the queue has it as durably as it ever will.
    ///
    /// Per process, lane and class the places (`requested_at`) strictly
    /// increase in queue order, even when the clock stands still or goes back.
    /// A caller that goes away while it waits takes nothing back: the order
    /// may be in the queue.
    ///
    /// # Errors
    /// [`PublishError`]; only [`PublishError::OutcomeUnknown`] leaves open
    /// whether the queue has the order.
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError>;

    /// From now on, once, counts in `tally` what the queue has and [`Self::publish`] told nobody:
    /// its caller has gone away, or was told [`PublishError::OutcomeUnknown`]. An adapter whose
    /// `publish` never waits has nothing to count.
    fn count_unheard(&self, tally: Arc<AcceptTally>) {
        drop(tally);
    }
}
