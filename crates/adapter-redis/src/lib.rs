//! What api processes share in one Redis server, 6.0 or later. None of it is on the way of
//! deciding an order: a Redis that is down, slow or empty costs precision, never an order.
//!
//! `connection.rs` has the one connection: [`Redis`] can be used by every command of the crate
//! `redis`. `token_store.rs` and `lease.lua` are the limits of clients; `state_cache.rs` keeps
//! decided state, as `state_value.rs` writes it. Each key begins with `redis.prefix` and the
//! deployment's id, and expires by itself.

mod connection;
mod state_cache;
mod state_value;
mod token_store;

pub use connection::{InvalidUrl, Redis, RedisConfig};
pub use state_cache::RedisStateCache;
pub use token_store::RedisTokens;
