//! Who calls, and for whom they may act.

use crate::author::Author;
use crate::ids::UserId;
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// Who calls, as the face to the outside has proved it. Use cases that concern somebody's tickets
/// ask for one, so that none of them can be called without saying on whose behalf.
///
/// | | orders, confirms, cancels for | sees the tickets of | administers |
/// |---|---|---|---|
/// | a buyer | the user that it is | that user | no |
/// | an agent, such as a shop's backend | everybody | everybody | no |
/// | an operator | nobody | everybody | yes |
///
/// One caller may be several of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// The user that the caller is.
    pub user: Option<UserId>,
    /// Whether it acts for every user.
    pub agent: bool,
    /// Whether it administers.
    pub operator: bool,
    /// What a caller that is no user is called as an author.
    pub known_as: &'static str,
    /// If its user does not exist, the first order creates it in this class.
    pub enrols_as: Option<PriorityClass>,
    /// When what it proved itself by is over; `None` if that has no end. A stream ends then.
    pub until: Option<Timestamp>,
}

/// The caller may not do this on behalf of that user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller may not act for this user")]
pub struct Forbidden;

impl Principal {
    /// Acts for every user and administers nothing: everybody, where nobody has to prove who
    /// they are.
    #[must_use]
    pub const fn agent() -> Self {
        Self {
            user: None,
            agent: true,
            operator: false,
            known_as: "anybody",
            enrols_as: None,
            until: None,
        }
    }

    /// Acts for every user and administers: everybody, where there is nothing to protect.
    #[must_use]
    pub fn anybody() -> Self {
        Self {
            operator: true,
            ..Self::agent()
        }
    }

    /// A buyer.
    #[must_use]
    pub fn buyer(user: UserId) -> Self {
        Self {
            user: Some(user),
            ..Self::default()
        }
    }

    /// Whoever has `admin.token`.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            operator: true,
            known_as: "admin.token",
            ..Self::default()
        }
    }

    /// Whether it may order for the user, and confirm and cancel the user's tickets.
    #[must_use]
    pub fn may_act_for(&self, user: &UserId) -> bool {
        self.agent || self.is(user)
    }

    /// Whether it may see the user's tickets.
    #[must_use]
    pub fn may_see(&self, user: &UserId) -> bool {
        self.operator || self.may_act_for(user)
    }

    /// Whether it is this user.
    #[must_use]
    pub fn is(&self, user: &UserId) -> bool {
        self.user.as_ref() == Some(user)
    }

    /// What it is called where it has changed something.
    #[must_use]
    pub fn author(&self) -> Author {
        match &self.user {
            Some(user) => Author::user(user),
            None => Author::named(self.known_as),
        }
    }

    /// The only user for whom it may act; `None` if it acts for all, or for nobody.
    #[must_use]
    pub fn only_user(&self) -> Option<&UserId> {
        self.user.as_ref().filter(|_| !self.agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_is_called_like_somebody_who_is_none() {
        for principal in [
            Principal::operator(),
            Principal::agent(),
            Principal::anybody(),
        ] {
            let author = principal.author();
            let imitator = UserId::new(author.as_str()).map(Principal::buyer);
            assert!(imitator.is_ok_and(|user| user.author() != author));
        }
    }
}
