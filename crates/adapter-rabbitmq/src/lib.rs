//! The order queue, ticket events and dead letters on RabbitMQ 3.10 or later.
//!
//! `topology.rs` says which exchanges and queues there are, `wire.rs` what their
//! messages look like. Nothing here relies on the client library's own recovery:
//! whoever finds a channel broken drops it and asks `link.rs` for another one.

mod addresses;
mod announcer;
mod confirms;
mod dead_letters;
pub mod doctor;
mod error;
mod lane_consumer;
mod lane_troubles;
mod lanes;
mod link;
mod one_broker;
mod queue;
mod ticket_events;
mod ticket_publisher;
mod topology;
mod wire;

pub use error::{BrokerError, InvalidUrl, StartError};
pub use lanes::{LanesError, set_lanes};
pub use queue::{RabbitMq, RabbitMqConfig};
