//! The same tests as in `api`, over TLS with HTTP/1.1: a relay for each service encrypts what its
//! clients say, byte by byte. What asks the binary itself stays out.

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
#[path = "../api/contract.rs"]
mod contract;
#[path = "../api/event_stream.rs"]
mod event_stream;
#[path = "../api/attacks/floods.rs"]
mod floods;
#[path = "../api/attacks/forged_ids.rs"]
mod forged_ids;
#[path = "../api/attacks/forged_tokens.rs"]
mod forged_tokens;
#[path = "../api/gate.rs"]
mod gate;
#[path = "../api/health.rs"]
mod health;
#[path = "../api/helpers.rs"]
mod helpers;
#[path = "../api/holds.rs"]
mod holds;
#[path = "../api/idempotency.rs"]
mod idempotency;
#[path = "../api/identity.rs"]
mod identity;
#[path = "../api/limits.rs"]
mod limits;
#[path = "../api/live.rs"]
mod live;
#[path = "../api/live_limits.rs"]
mod live_limits;
#[path = "../api/live_stopping.rs"]
mod live_stopping;
#[path = "../api/notifications.rs"]
mod notifications;
#[path = "../api/orders.rs"]
mod orders;
#[path = "../api/attacks/others_rights.rs"]
mod others_rights;
#[path = "../api/queueing.rs"]
mod queueing;
#[path = "../api/raw.rs"]
mod raw;
#[path = "../api/reading.rs"]
mod reading;
#[path = "../api/attacks/replays.rs"]
mod replays;
#[path = "../api/show_tickets.rs"]
mod show_tickets;
#[path = "../api/slow_clients.rs"]
mod slow_clients;
#[path = "../api/attacks/smuggling.rs"]
mod smuggling;
#[path = "../api/attacks/spellings.rs"]
mod spellings;
#[path = "../api/stopping.rs"]
mod stopping;
#[path = "../api/tls.rs"]
mod tls;
mod transport;
#[path = "../api/waiting_line.rs"]
mod waiting_line;
#[path = "../api/websocket.rs"]
mod websocket;
