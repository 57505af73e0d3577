//! How long the queue takes to accept an order.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::order::{NewOrder, Order};
use domain::ports::{PublishError, TicketPublisher};
use domain::waiting_line::AcceptTally;
use prometheus_client::metrics::histogram::Histogram;

use crate::{Metrics, buckets};

/// Measures each order that goes into the queue, accepted or not.
pub struct MeasuredPublisher {
    publisher: Arc<dyn TicketPublisher>,
    seconds: Histogram,
}

impl MeasuredPublisher {
    /// A publisher in front of `publisher`.
    #[must_use]
    pub fn new(publisher: Arc<dyn TicketPublisher>, metrics: &mut Metrics) -> Self {
        let seconds = buckets::of_calls();
        metrics.registry.register(
            "tickets_publish_seconds",
            "Time from an order to the queue's answer that it has it or not",
            seconds.clone(),
        );
        Self { publisher, seconds }
    }
}

#[async_trait]
impl TicketPublisher for MeasuredPublisher {
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError> {
        let start = Instant::now();
        let published = self.publisher.publish(order).await;
        self.seconds.observe(start.elapsed().as_secs_f64());
        published
    }

    fn count_unheard(&self, tally: Arc<AcceptTally>) {
        self.publisher.count_unheard(tally);
    }
}
