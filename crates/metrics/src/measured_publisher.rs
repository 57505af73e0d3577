//! How long the queue takes to accept an order.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use domain::order::{NewOrder, Order};
use domain::ports::{PublishError, TicketPublisher};
use domain::waiting_line::AcceptTally;
use runtime::Timing;

use crate::Metrics;

/// Measures each order that goes into the queue, accepted or not.
pub struct MeasuredPublisher {
    publisher: Arc<dyn TicketPublisher>,
    seconds: Arc<Timing>,
}

impl MeasuredPublisher {
    /// A publisher in front of `publisher`.
    #[must_use]
    pub fn new(publisher: Arc<dyn TicketPublisher>, metrics: &mut Metrics) -> Self {
        let seconds = metrics.timing(
            "tickets_publish_seconds",
            "Time from an order to the queue's answer that it has it or not",
            Timing::of_calls(),
        );
        Self { publisher, seconds }
    }
}

#[async_trait]
impl TicketPublisher for MeasuredPublisher {
    // Written out, so that the order goes to the publisher at once and this future, which each
    // order has, is a pointer and a time.
    fn publish<'a, 'async_trait>(
        &'a self,
        order: NewOrder,
    ) -> Pin<Box<dyn Future<Output = Result<Order, PublishError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
    {
        Box::pin(self.seconds.of(self.publisher.publish(order)))
    }

    fn count_unheard(&self, tally: Arc<AcceptTally>) {
        self.publisher.count_unheard(tally);
    }
}
