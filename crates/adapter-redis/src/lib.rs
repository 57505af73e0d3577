//! What api processes share in one Redis server, 6.0 or later. None of it is on the way of
//! deciding an order: a Redis that is down, slow or empty costs precision, never an order.
//!
//! `connection.rs` has the one connection: [`Redis`] can be used by every command of the crate
//! `redis`. `token_store.rs` and `lease.lua` are the limits of clients. Each key begins with
//! `redis.prefix` and expires by itself.

mod connection;
mod token_store;

pub use connection::{InvalidUrl, Redis, RedisConfig};
pub use token_store::RedisTokens;
