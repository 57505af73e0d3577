//! Who a token stands for.

use domain::ids::UserId;
use domain::time::Timestamp;
use domain::user::PriorityClass;

/// What the claims of a verified token say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user. `None` only with a role: everybody without one is a buyer, and a buyer has an id.
    pub user: Option<UserId>,
    /// What the token allows beside buying.
    pub roles: Roles,
    /// The class, if [`crate::Rules::priority_claim`] is set and the token has the claim.
    pub priority: Option<PriorityClass>,
    /// From this instant on the token is refused. The leeway is included.
    pub expires_at: Timestamp,
}

/// The roles that are known. Others in a token mean nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles {
    /// `operator`: administers shows and users.
    pub operator: bool,
    /// `agent`: orders for other users.
    pub agent: bool,
}

impl Roles {
    /// Whether there is one.
    #[must_use]
    pub const fn any(self) -> bool {
        self.operator || self.agent
    }
}
