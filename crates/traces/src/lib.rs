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

pub use self::export::{Destination, StartError, Traces};
pub use self::span::{Span, log_span};
pub use self::traced_consumer::TracedConsumer;
pub use self::traced_events::TracedEvents;
pub use self::traced_ledger::TracedLedger;
pub use self::traced_publisher::TracedPublisher;
