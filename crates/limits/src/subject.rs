//! Whose request it is.

use std::fmt;

use crate::network::Network;

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject<'a> {
    /// Whoever has the address.
    Address(Network),
    /// A user, by id.
    User(&'a str),
}

/// As a part of keys: a limit is either by address or by user.
impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(network) => network.fmt(f),
            Self::User(id) => f.write_str(id),
        }
    }
}
