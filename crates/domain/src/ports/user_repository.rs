//! Users.

use async_trait::async_trait;

use super::Cause;
use crate::author::Author;
use crate::ids::UserId;
use crate::user::{PriorityClass, User, UserChange};

/// The store did not answer; the outcome is unknown and retrying is safe.
#[derive(Debug, thiserror::Error)]
pub enum UserRepositoryError {
    /// The store did not answer.
    #[error("the users' store is unavailable")]
    Unavailable(#[source] Cause),
}

/// Why a user was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// There is a user with this id; it is unchanged.
    #[error("the user exists")]
    AlreadyExists,
    /// The store did not answer; a retry finds out what happened.
    #[error("the users' store is unavailable")]
    Unavailable(#[source] Cause),
}

/// Who wrote a user; `None` if nobody said so, as earlier releases did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAuthors {
    /// Who created the user.
    pub created_by: Option<Author>,
    /// Who changed the user last.
    pub changed_by: Option<Author>,
}

/// Keeps the users that may order, with the class of each.
///
/// A user that `create` or `change` answered for is found by every process at
/// once: a miss is never cached.
///
/// ```
/// use domain::ids::UserId;
/// use domain::ports::{UserRepository, UserRepositoryError};
///
/// async fn exists(users: &dyn UserRepository, id: &UserId) -> Result<bool, UserRepositoryError> {
///     Ok(users.class_of(id).await?.is_some())
/// }
/// ```
#[async_trait]
pub trait UserRepository: Send + Sync {
    /// The user of that id, as it is now. Concurrent calls are to be answered
    /// by one query.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError>;

    /// The class of that user, asked once per order; `None` if there is no such
    /// user. A class that was changed up to two seconds ago may be the old one.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn class_of(&self, id: &UserId) -> Result<Option<PriorityClass>, UserRepositoryError> {
        Ok(self.find(id).await?.map(|user| user.priority))
    }

    /// Up to `limit` users with an id greater than `after`, by id in byte order.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError>;

    /// Who created the user of that id, and who changed it last: of the last change or of none.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn authors_of(&self, id: &UserId) -> Result<UserAuthors, UserRepositoryError>;

    /// Adds a user, by that author. Of concurrent calls with one id exactly one succeeds.
    ///
    /// # Errors
    /// [`CreateUserError`].
    async fn create(&self, user: &User, by: Option<&Author>) -> Result<(), CreateUserError>;

    /// Changes a user, by that author, and returns it as it is now; `None` if there is none.
    /// Concurrent changes of different fields both last.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
        by: Option<&Author>,
    ) -> Result<Option<User>, UserRepositoryError>;

    /// Forgets a user, who cannot order any more. Decided tickets stay as they are, with `alias`
    /// in place of the user's id, so that shows and the audit add up as before. So do changes of
    /// which the user is the author. Returns how many tickets there are; `None` if there is
    /// neither such a user nor a ticket or change of one.
    ///
    /// An attempt that fails may have done a part of it, which the next one finishes. An order
    /// that is being decided may leave a ticket under the id of before, for the next attempt.
    ///
    /// # Errors
    /// [`UserRepositoryError`] when the store did not answer.
    async fn erase(&self, id: &UserId, alias: &UserId) -> Result<Option<u64>, UserRepositoryError>;
}
