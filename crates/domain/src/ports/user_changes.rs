//! Changes of users, for a copy of them that is kept current.

use std::time::Duration;

use async_trait::async_trait;

use super::UserRepositoryError;
use crate::ids::UserId;
use crate::user::PriorityClass;

/// A place among users by the time of their last change. Only the store that gave it can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMark {
    /// That time, as the store writes it.
    pub changed_at: String,
    /// The user's id, as the store has it; empty before all who changed at that time.
    pub id: Vec<u8>,
}

/// Some users who were created or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedUsers {
    /// With their class, which is what a copy is for. Those who cannot be read are left out.
    pub users: Vec<(UserId, PriorityClass)>,
    /// Where the next ones begin; `None` if there are none.
    pub next: Option<UserMark>,
}

/// Lists users by the time of their last change.
///
/// A change may become visible after a later one has, by as long as its transaction takes. Who
/// reads changes again and again begins that much earlier than the last time.
///
/// ```
/// use domain::ports::{UserChanges, UserRepositoryError};
///
/// async fn count(changes: &dyn UserChanges) -> Result<usize, UserRepositoryError> {
///     let first = changes.changed_after(None, 1_000).await?;
///     Ok(first.users.len())
/// }
/// ```
#[async_trait]
pub trait UserChanges: Send + Sync {
    /// The place before all users who change from so long ago on, by the store's clock.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn place_before(&self, age: Duration) -> Result<UserMark, UserRepositoryError>;

    /// Up to `limit` users behind a place, or of all users.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn changed_after(
        &self,
        place: Option<&UserMark>,
        limit: usize,
    ) -> Result<ChangedUsers, UserRepositoryError>;
}
