//! Changes of users, by a column that the server keeps.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{ChangedUsers, UserChanges, UserMark, UserRepositoryError};
use tracing::error;

use crate::MySqlStore;
use crate::database::Database;
use crate::error::StoreError;
use crate::row::{class, user_id};
use crate::user_repository::unavailable;

/// Earlier than any change.
const START: &str = "1970-01-01 00:00:01";

#[async_trait]
impl UserChanges for MySqlStore {
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
        let start = UserMark {
            changed_at: START.to_owned(),
            id: Vec::new(),
        };
        let reading = page_after(&self.db, place.unwrap_or(&start), limit);
        let page = self.db.read(reading).await.map_err(unavailable)?;
        let next = page.last().filter(|_| page.len() == limit);
        let next = next.map(|(id, _, changed_at)| UserMark {
            changed_at: changed_at.clone(),
            id: id.clone(),
        });
        let mut users = Vec::with_capacity(page.len());
        for (id, code, _) in page {
            match user_id("users", &id).and_then(|id| Ok((id, class("users", code)?))) {
                Ok(user) => users.push(user),
                Err(error) => {
                    error!(error = %error.of_row(&id), "left out a user that cannot be read");
                }
            }
        }
        Ok(ChangedUsers { users, next })
    }
}

/// So long ago by the server's clock.
async fn time_before(db: &Database, age: Duration) -> Result<String, StoreError> {
    let mut lease = db.lease_reading().await?;
    let time = sqlx::query_scalar("SELECT CAST(SYSDATE(6) - INTERVAL ? SECOND AS CHAR)")
        .bind(age.as_secs())
        .fetch_one(lease.connection())
        .await?;
    lease.give_back();
    Ok(time)
}

/// Id, code of the class, time of the last change.
type Row = (Vec<u8>, u8, String);

/// Two statements, because servers search an index by neither `OR` nor pairs of columns.
async fn page_after(db: &Database, place: &UserMark, limit: usize) -> Result<Vec<Row>, StoreError> {
    let left = |taken: usize| u64::try_from(limit - taken).unwrap_or(u64::MAX);
    let mut lease = db.lease_reading().await?;
    let mut page: Vec<Row> = sqlx::query_as(
        "SELECT id, priority, CAST(changed_at AS CHAR) FROM users \
         WHERE changed_at = ? AND id > ? ORDER BY id LIMIT ?",
    )
    .bind(&place.changed_at)
    .bind(&place.id)
    .bind(left(0))
    .fetch_all(lease.connection())
    .await?;
    if page.len() < limit {
        let later: Vec<Row> = sqlx::query_as(
            "SELECT id, priority, CAST(changed_at AS CHAR) FROM users \
             WHERE changed_at > ? ORDER BY changed_at, id LIMIT ?",
        )
        .bind(&place.changed_at)
        .bind(left(page.len()))
        .fetch_all(lease.connection())
        .await?;
        page.extend(later);
    }
    lease.give_back();
    Ok(page)
}
