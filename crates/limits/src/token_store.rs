//! Where processes that share limits take tokens from.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;

use crate::rate::Rate;

/// The tokens of each client, for several processes together.
///
/// It is asked for many clients at once and for several tokens of one, so that it costs a process
/// no round trip for each request.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Takes tokens out: for each want as many as there are, up to [`Want::tokens`]. Returns a
    /// lease for each want, in their sequence. No two wants are for the same client and policy.
    ///
    /// It ends by itself within a few seconds. When it is dropped or fails, tokens may be gone.
    ///
    /// # Errors
    /// [`TokensUnavailable`] if there is any doubt about the answer.
    async fn lease(&self, wants: &[Want]) -> Result<Vec<Lease>, TokensUnavailable>;
}

/// Tokens that a process wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Of which limit: the setting's name in the section `limits`.
    pub policy: &'static str,
    /// Whose: an address or a user.
    pub client: String,
    /// How many there are, and how fast they come back.
    pub rate: Rate,
    /// The most that are taken; 0 only asks whether there is one.
    pub tokens: u32,
}

/// Tokens that a process has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lease {
    /// How many.
    pub tokens: u32,
    /// Until there is another one; zero if there is one now.
    pub next_in: Duration,
}

/// The store did not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("the store of tokens does not answer as it should")]
pub struct TokensUnavailable(#[source] pub Box<dyn Error + Send + Sync>);
