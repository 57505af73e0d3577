//! Verifies bearer tokens (JWT, RFC 7519) and says who they stand for.
//!
//! A [`Verifier`] has the [`Rules`] that every token must satisfy and the [`Keys`] that signatures
//! are checked with. [`Verifier::known`] answers for tokens that were verified before, without
//! waiting; [`Verifier::verify`] for any token. Neither logs a token or a claim.

mod checks;
mod claims;
mod current_keys;
mod error;
mod identity;
mod key_set;
mod key_source;
mod ring_provider;
mod rules;
#[cfg(test)]
mod tests;
mod verifier;

pub use error::{StartError, TokenError};
pub use identity::{Identity, Roles};
pub use rules::{Algorithm, Keys, Rules};
pub use verifier::Verifier;

/// The longest token that is looked at, in bytes: what proxies and servers commonly take as one
/// header. The limit bounds what is hashed and parsed before a signature is known to be right.
pub const MAX_TOKEN_LENGTH: usize = 8 * 1024;
