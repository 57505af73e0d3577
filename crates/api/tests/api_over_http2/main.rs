//! The same tests as in `api`, over HTTP/2: a relay for each service passes on what its clients
//! ask. What is about the bytes of HTTP/1.1, or needs a WebSocket, stays out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

#[path = "../api/administration.rs"]
mod administration;
#[path = "../api/audit.rs"]
mod audit;
#[path = "../api/backend.rs"]
mod backend;
#[path = "../api/bad_orders.rs"]
mod bad_orders;
#[allow(dead_code, reason = "what the tests that are left out use")]
#[path = "../api/contract.rs"]
mod contract;
#[path = "../api/event_stream.rs"]
mod event_stream;
#[path = "../api/attacks/forged_ids.rs"]
mod forged_ids;
#[path = "../api/attacks/forged_tokens.rs"]
mod forged_tokens;
#[path = "../api/gate.rs"]
mod gate;
#[path = "../api/health.rs"]
mod health;
#[allow(dead_code, reason = "what the tests that are left out use")]
#[path = "../api/helpers.rs"]
mod helpers;
#[path = "../api/holds.rs"]
mod holds;
#[path = "../api/idempotency.rs"]
mod idempotency;
#[path = "../api/identity.rs"]
mod identity;
#[allow(dead_code, reason = "the half of it for WebSockets")]
#[path = "../api/live.rs"]
mod live;
#[path = "../api/orders.rs"]
mod orders;
#[path = "../api/attacks/others_rights.rs"]
mod others_rights;
#[path = "../api/reading.rs"]
mod reading;
#[path = "../api/attacks/replays.rs"]
mod replays;
#[path = "../api/show_tickets.rs"]
mod show_tickets;
#[path = "../api/tls.rs"]
mod tls;
mod transport;
