//! Who orders.

use smol_str::SmolStr;

use crate::ids::UserId;
use crate::named::named;
use crate::show::{LabelError, validated_label};

named! {
    /// Which of a lane's two queues an order waits in; the most urgent class first.
    PriorityClass {
        /// Decided before [`Self::Standard`] by weight, never to its exclusion.
        High = "high",
        /// Everybody else.
        Standard = "standard",
    }
}

/// A user's name as shown to people: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(SmolStr);

impl UserName {
    /// Takes 1 to 200 characters without control characters.
    ///
    /// # Errors
    /// [`LabelError`] says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        validated_label(text).map(Self)
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Somebody who may order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Names the user for ever.
    pub id: UserId,
    /// The name that people read.
    pub name: UserName,
    /// The class of every order that the user places from now on.
    pub priority: PriorityClass,
}

/// What administration may change of a [`User`]; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserChange {
    /// The new name.
    pub name: Option<UserName>,
    /// The new class; orders already accepted keep theirs.
    pub priority: Option<PriorityClass>,
}

impl User {
    /// A user of whom only the id is known, which is the name, too.
    #[must_use]
    pub fn enrolled(id: UserId, priority: PriorityClass) -> Self {
        Self {
            name: UserName(id.as_str().into()),
            id,
            priority,
        }
    }

    /// The user with `change` applied.
    #[must_use]
    pub fn changed(self, change: UserChange) -> Self {
        Self {
            id: self.id,
            name: change.name.unwrap_or(self.name),
            priority: change.priority.unwrap_or(self.priority),
        }
    }
}
