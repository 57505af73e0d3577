//! Changes of users, by the time that the database gives them.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{ChangedUsers, UserChanges, UserMark, UserRepositoryError};
use tracing::error;

use crate::database::Database;
use crate::engine::Engine;
use crate::log_once::log_once;
use crate::row::{ChangedUserRow, class, user_id};
use crate::statements::UserStatements;
use crate::store::SqlStore;
use crate::user_repository::unavailable;

#[async_trait]
impl<E: Engine> UserChanges for SqlStore<E> {
    async fn place_before(&self, age: Duration) -> Result<UserMark, UserRepositoryError> {
        let reading = self.db.read(time_before(&self.db, age));
        let changed_at = reading.await.map_err(unavailable)?;
        let id = Vec::new();
        Ok(UserMark { changed_at, id })
    }

    async fn changed_after(
        &self,
        place: Option<&UserMark>,
        limit: usize,
    ) -> Result<ChangedUsers, UserRepositoryError> {
        let reading = self.db.read(page_after(&self.db, place, limit));
        let page = reading.await.map_err(unavailable)?;
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

async fn time_before<E: Engine>(db: &Database<E>, age: Duration) -> Result<String, E::Error> {
    let mut lease = db.lease_reading().await?;
    let time = lease.session().time_before(age).await?;
    lease.give_back();
    Ok(time)
}

async fn page_after<E: Engine>(
    db: &Database<E>,
    place: Option<&UserMark>,
    limit: usize,
) -> Result<Vec<ChangedUserRow>, E::Error> {
    let mut lease = db.lease_reading().await?;
    let page = lease.session().users_changed_after(place, limit).await?;
    lease.give_back();
    Ok(page)
}
