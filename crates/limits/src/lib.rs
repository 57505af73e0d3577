//! What one client may ask for: how often ([`Limit`]), how much at the same time
//! ([`Concurrent`]), and which address counts for a request ([`TrustedProxies`]).
//!
//! Rates are kept by each process for itself, or taken in portions from a [`TokenStore`] that
//! several processes share ([`SharedTokens`]).

mod concurrent;
mod exceeded;
mod leases;
mod limit;
mod network;
mod own_limit;
mod proxies;
mod rate;
mod shared_tokens;
mod subject;
mod token_store;

pub use self::concurrent::{Concurrent, Place};
pub use self::exceeded::Exceeded;
pub use self::limit::{Asked, Limit};
pub use self::network::Network;
pub use self::proxies::{Forwarding, TrustedProxies, TrustedProxiesError};
pub use self::rate::{Rate, RateError};
pub use self::shared_tokens::SharedTokens;
pub use self::subject::Subject;
pub use self::token_store::{Lease, TokenStore, TokensUnavailable, Want};
