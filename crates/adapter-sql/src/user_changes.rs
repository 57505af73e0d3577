//! Changes of users, by the time that the database gives them.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{ChangedUsers, UserChanges, UserMark, UserRepositoryError};
use tracing::error;

use crate::engine::Engine;
use crate::log_once::log_once;
use crate::row::{class, user_id};
use crate::statements::UserStatements;
use crate::store::SqlStore;
use crate::user_repository::unavailable;

#[async_trait]
impl<E: Engine> UserChanges for SqlStore<E> {
    async fn place_before(&self, age: Duration) -> Result<UserMark, UserRepositoryError> {
        let reading = async |session: &mut E::Session| session.time_before(age).await;
        let changed_at = self.db.reading.run(reading).await.map_err(unavailable)?;
        let id = Vec::new();
        Ok(UserMark { changed_at, id })
    }

    async fn changed_after(
        &self,
        place: Option<&UserMark>,
        limit: usize,
    ) -> Result<ChangedUsers, UserRepositoryError> {
        let reading =
            async |session: &mut E::Session| session.users_changed_after(place, limit).await;
        let page = self.db.reading.run(reading).await.map_err(unavailable)?;
        let next = page.last().filter(|_| page.len() == limit);
        let next = next.map(|row| UserMark {
            changed_at: row.changed.clone(),
            id: row.id.clone(),
        });
        let mut users = Vec::with_capacity(page.len());
        for row in page {
            let user = user_id("users", &row.id);
            match user.and_then(|id| Ok((id, class("users", row.priority)?))) {
                Ok(user) => users.push(user),
                Err(error) => {
                    let error = error.of_row(&row.id);
                    log_once(&error.to_string(), || {
                        error!(%error, "skipped a user that cannot be read");
                    });
                }
            }
        }
        Ok(ChangedUsers { users, next })
    }
}
