//! The service over real HTTP, each test against a process side of its own on a free port.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod administration;
mod attacks;
mod audit;
mod backend;
mod bad_orders;
mod browsers;
mod collector;
mod contract;
mod documentation;
mod event_stream;
mod gate;
mod health;
mod helpers;
mod holds;
mod http2;
mod https;
mod idempotency;
mod identity;
mod limits;
mod live;
mod live_limits;
mod live_stopping;
mod metrics;
mod notifications;
mod orders;
mod program;
mod queueing;
mod raw;
mod reading;
mod scraped;
mod show_tickets;
mod slow_clients;
mod stopping;
mod tls;
mod tracing;
mod transport;
mod waiting_line;
mod websocket;
