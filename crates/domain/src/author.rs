//! Who changed something.

use std::fmt;

use smol_str::{SmolStr, format_smolstr};

use crate::ids::UserId;

/// Who changed something, as it is stored with the change. No user is called like somebody who is
/// none: ids have no colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author(SmolStr);

impl Author {
    /// A user. Whoever erases the user puts the alias in place of the id here, too.
    #[must_use]
    pub fn user(id: &UserId) -> Self {
        Self(format_smolstr!("user:{id}"))
    }

    /// Somebody who is no user, or what a store has.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The name, as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
