//! What one client may ask for: how often ([`Limit`]), how much at the same time
//! ([`Concurrent`]), and which address counts for a request ([`TrustedProxies`]).

mod concurrent;
mod exceeded;
mod limit;
mod network;
mod proxies;
mod rate;

pub use self::concurrent::{Concurrent, Place};
pub use self::exceeded::Exceeded;
pub use self::limit::{Limit, Subject};
pub use self::network::Network;
pub use self::proxies::{Forwarding, TrustedProxies, TrustedProxiesError};
pub use self::rate::{Rate, RateError};
