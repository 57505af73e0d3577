//! The way into the queue.

use std::sync::Arc;

use async_trait::async_trait;
use domain::order::{NewOrder, Order};
use domain::ports::{PublishError, TicketPublisher};
use domain::waiting_line::AcceptTally;
use opentelemetry::trace::SpanKind;

use crate::export::Traces;
use crate::span::Span;

/// Makes a span `publish` of each sampled order. What comes after it hangs there.
pub struct TracedPublisher {
    publisher: Arc<dyn TicketPublisher>,
    traces: Arc<Traces>,
}

impl TracedPublisher {
    /// A publisher in front of `publisher`.
    #[must_use]
    pub fn new(publisher: Arc<dyn TicketPublisher>, traces: Arc<Traces>) -> Self {
        Self { publisher, traces }
    }
}

#[async_trait]
impl TicketPublisher for TracedPublisher {
    async fn publish(&self, mut order: NewOrder) -> Result<Order, PublishError> {
        let Some(context) = order.trace.as_deref_mut() else {
            return self.publisher.publish(order).await;
        };
        let mut span = Span::child_of(*context, "publish", SpanKind::Producer);
        *context = span.context;
        span.note("tickets.class", order.class.as_str());
        let published = self.publisher.publish(order).await;
        match &published {
            Ok(_) => {}
            Err(PublishError::Full { .. }) => span.fail("queue_full"),
            Err(PublishError::Unavailable(_)) => span.fail("queue_unavailable"),
            Err(PublishError::OutcomeUnknown) => span.fail("outcome_unknown"),
        }
        self.traces.record(span);
        published
    }

    fn count_unheard(&self, tally: Arc<AcceptTally>) {
        self.publisher.count_unheard(tally);
    }
}
