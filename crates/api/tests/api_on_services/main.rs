//! The same tests as in `api`, on RabbitMQ and MySQL: each with a database and a
//! part of the broker of its own. What is true of memory only stays out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

#[path = "../api/administration.rs"]
mod administration;
#[path = "../api/audit.rs"]
mod audit;
mod backend;
#[path = "../api/bad_orders.rs"]
mod bad_orders;
mod cache;
mod clock;
#[allow(dead_code, reason = "what the tests that are left out use")]
#[path = "../api/collector.rs"]
mod collector;
#[allow(dead_code, reason = "what the tests that are left out use")]
#[path = "../api/contract.rs"]
mod contract;
mod doctor;
#[path = "../api/event_stream.rs"]
mod event_stream;
#[path = "../api/gate.rs"]
mod gate;
mod handover;
#[path = "../api/health.rs"]
mod health;
mod health_of_servers;
#[path = "../api/helpers.rs"]
mod helpers;
#[path = "../api/holds.rs"]
mod holds;
#[path = "../api/attacks/hostile_values.rs"]
mod hostile_values;
#[path = "../api/idempotency.rs"]
mod idempotency;
#[path = "../api/identity.rs"]
mod identity;
#[path = "../api/live.rs"]
mod live;
#[path = "../api/live_limits.rs"]
mod live_limits;
mod live_processes;
#[path = "../api/live_stopping.rs"]
mod live_stopping;
mod metrics;
#[path = "../api/orders.rs"]
mod orders;
#[path = "../api/attacks/others_rights.rs"]
mod others_rights;
#[path = "../api/reading.rs"]
mod reading;
#[path = "../api/attacks/replays.rs"]
mod replays;
mod rotating;
#[path = "../api/scraped.rs"]
mod scraped;
mod shared_limits;
mod tracing;
#[path = "../api/transport.rs"]
mod transport;
#[path = "../api/waiting_line.rs"]
mod waiting_line;
#[path = "../api/websocket.rs"]
mod websocket;
