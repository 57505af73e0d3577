//! The service as its buyers and operators see it: over HTTP and WebSocket, by its
//! command line, its processes, its database and its broker. Nothing here knows how
//! it is built, so that what it did is proven by other code than did it.
//!
//! Start reading at [`proof`].

#![expect(
    clippy::missing_errors_doc,
    reason = "errors are for people and say themselves what failed; the others are explained"
)]

pub mod administration;
pub mod body;
pub mod database;
pub mod deployment;
pub mod endpoint;
pub mod http;
pub mod issuer;
pub mod load;
pub mod local_servers;
pub mod metrics;
pub mod names;
pub mod process;
pub mod program;
pub mod proof;
pub mod secured;
pub mod store;
mod store_server;
pub mod target;
pub mod usage;
pub mod waiting;
pub mod websocket;
