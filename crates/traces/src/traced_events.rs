//! The announcement of the verdict.

use std::sync::Arc;

use async_trait::async_trait;
use domain::event::Event;
use domain::ports::{EventFeed, TicketEvents, TicketEventsError};
use opentelemetry::trace::SpanKind;

use crate::export::Traces;
use crate::span::Span;

/// Makes a span `announce` of each sampled order whose verdict is announced. Deliveries hang there.
pub struct TracedEvents {
    events: Arc<dyn TicketEvents>,
    traces: Arc<Traces>,
}

impl TracedEvents {
    /// Announces in front of `events`.
    #[must_use]
    pub fn new(events: Arc<dyn TicketEvents>, traces: Arc<Traces>) -> Self {
        Self { events, traces }
    }
}

/// Begins the span of an announcement.
fn begin(event: &mut Event) -> Option<Span> {
    let Event::Ticket(ticket) = event else {
        return None;
    };
    let context = ticket.order.trace.as_deref_mut()?;
    let span = Span::child_of(*context, "announce", SpanKind::Producer);
    *context = span.context;
    Some(span)
}

#[async_trait]
impl TicketEvents for TracedEvents {
    async fn announce(&self, mut events: Vec<Event>) -> Result<(), TicketEventsError> {
        let spans: Vec<_> = events.iter_mut().filter_map(begin).collect();
        let announced = self.events.announce(events).await;
        for mut span in spans {
            if announced.is_err() {
                span.fail("queue_unavailable");
            }
            self.traces.record(span);
        }
        announced
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        self.events.subscribe().await
    }
}
