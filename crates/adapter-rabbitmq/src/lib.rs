//! The order queue, ticket events and dead letters on RabbitMQ 3.10 or later.
//!
//! `topology.rs` says which exchanges and queues there are, `wire.rs` what their
//! messages look like. Nothing here relies on the client library's own recovery:
//! a task that finds a channel broken drops it and asks `link.rs` for another one.

mod adapter;
mod addresses;
mod announcer;
mod confirms;
mod dead_letters;
pub mod doctor;
mod error;
mod lane_consumer;
mod lane_troubles;
mod limits;
mod link;
mod one_broker;
mod set_lanes;
mod ticket_events;
mod ticket_publisher;
mod topology;
mod trace_headers;
pub mod wire;

pub use adapter::{RabbitMq, RabbitMqConfig};
pub use error::{BrokerError, InvalidUrl, StartError};
pub use set_lanes::{LanesError, set_lanes};
