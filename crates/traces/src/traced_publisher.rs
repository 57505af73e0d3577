//! The way into the queue.

use std::pin::Pin;
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
    // Written out, so that an order without a trace, as most are, costs no future of its own.
    fn publish<'a, 'async_trait>(
        &'a self,
        mut order: NewOrder,
    ) -> Pin<Box<dyn Future<Output = Result<Order, PublishError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
    {
        let Some(context) = order.trace.as_deref_mut() else {
            return self.publisher.publish(order);
        };
        let mut span = Span::child_of(*context, "publish", SpanKind::Producer);
        *context = span.context;
        span.note("tickets.class", order.class.as_str());
        Box::pin(async move {
            let published = self.publisher.publish(order).await;
            match &published {
                Ok(_) => {}
                Err(PublishError::Full { .. }) => span.fail("queue_full"),
                Err(PublishError::Unavailable(_)) => span.fail("queue_unavailable"),
                Err(PublishError::OutcomeUnknown) => span.fail("outcome_unknown"),
            }
            self.traces.record(span);
            published
        })
    }

    fn count_unheard(&self, tally: Arc<AcceptTally>) {
        self.publisher.count_unheard(tally);
    }
}
