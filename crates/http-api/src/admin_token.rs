//! The secret of administration.

use secrecy::{ExposeSecret, SecretString};

/// Only the hash is kept; two hashes are compared in constant time.
pub(crate) struct AdminToken(blake3::Hash);

impl AdminToken {
    pub(crate) fn new(token: &SecretString) -> Self {
        Self(blake3::hash(token.expose_secret().as_bytes()))
    }

    pub(crate) fn is(&self, given: &str) -> bool {
        self.0 == blake3::hash(given.as_bytes())
    }
}
