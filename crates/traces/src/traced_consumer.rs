//! The wait in the queue.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use domain::order::{Lane, Order};
use domain::ports::{ConsumeError, DeliveryBatch, LaneConsumer, TicketConsumer};
use opentelemetry::trace::SpanKind;

use crate::export::Traces;
use crate::span::Span;

/// Makes a span `wait` of each sampled order that is delivered; another one when it is delivered
/// again.
pub struct TracedConsumer {
    consumer: Arc<dyn TicketConsumer>,
    traces: Arc<Traces>,
}

impl TracedConsumer {
    /// A consumer in front of `consumer`.
    #[must_use]
    pub fn new(consumer: Arc<dyn TicketConsumer>, traces: Arc<Traces>) -> Self {
        Self { consumer, traces }
    }
}

#[async_trait]
impl TicketConsumer for TracedConsumer {
    async fn open_lane(&self, lane: Lane) -> Result<Box<dyn LaneConsumer>, ConsumeError> {
        let lane = self.consumer.open_lane(lane).await?;
        let traces = Arc::clone(&self.traces);
        Ok(Box::new(TracedLane { lane, traces }))
    }

    fn volatile_orders(&self) -> usize {
        self.consumer.volatile_orders()
    }
}

struct TracedLane {
    lane: Box<dyn LaneConsumer>,
    traces: Arc<Traces>,
}

#[async_trait]
impl LaneConsumer for TracedLane {
    fn lane(&self) -> Lane {
        self.lane.lane()
    }

    async fn next_batch(&mut self, max: usize) -> Result<Box<dyn DeliveryBatch>, ConsumeError> {
        let batch = self.lane.next_batch(max).await?;
        for order in batch.orders() {
            if let Some(span) = wait(order, self.lane.lane()) {
                self.traces.record(span);
            }
        }
        Ok(batch)
    }

    async fn close(self: Box<Self>) {
        self.lane.close().await;
    }
}

/// From the order's place in the queue until now.
fn wait(order: &Order, lane: Lane) -> Option<Span> {
    let mut span = Span::child_of(*order.trace.as_deref()?, "wait", SpanKind::Consumer);
    let micros = u64::try_from(order.requested_at.as_micros()).ok()?;
    span.begun = UNIX_EPOCH + Duration::from_micros(micros);
    span.note("tickets.lane", i64::from(lane.index()));
    span.note("tickets.redriven", order.redriven);
    Some(span)
}
