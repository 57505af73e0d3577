//! Spans of a sampled order's way, and their export over OTLP. Decorators make them in front of
//! ports ([`TracedPublisher`], [`TracedConsumer`], [`TracedLedger`], [`TracedEvents`]); those of
//! requests and deliveries are made where HTTP is wired. An order that is not sampled has no
//! context, and passes them all untouched.
//!
//! `docs/OPERATIONS.md` lists the spans and what is in them. No show, user, ticket or token is.

mod export;
mod sampler;
mod span;
mod traced_consumer;
mod traced_events;
mod traced_ledger;
mod traced_publisher;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};

pub use self::export::{Destination, StartError};
pub use self::span::{Span, log_span};
pub use self::traced_consumer::TracedConsumer;
pub use self::traced_events::TracedEvents;
pub use self::traced_ledger::TracedLedger;
pub use self::traced_publisher::TracedPublisher;

use self::export::Losses;
use self::sampler::Sampler;

/// How long the end of the process waits for the collector to take the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Links of one span. A batch may have hundreds of sampled orders.
const MAX_LINKS: usize = 32;

/// The traces of a process: which requests are sampled, and where spans go.
pub struct Traces {
    /// Which requests are sampled.
    pub sampler: Sampler,
    /// Has a thread of its own, which alone waits for the collector.
    processor: BatchSpanProcessor,
    losses: Arc<Losses>,
}

impl Traces {
    /// Takes a span that has ended now. Never waits: what the collector does not take in time is
    /// dropped and counted.
    pub fn record(&self, span: Span) {
        if self.losses.has_room() {
            self.processor.on_end(span.ended());
        }
    }

    /// How many spans were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.losses.dropped()
    }

    /// Hands the last spans over, if the collector takes them within two seconds.
    pub async fn shut_down(self: Arc<Self>) {
        let last = move || self.processor.shutdown_with_timeout(LAST_SPANS);
        // What is lost by now is counted, or nobody reads the count any more.
        let _handed_over = tokio::task::spawn_blocking(last).await;
    }
}
