//! Users.

use std::time::Duration;

use adapter_sql::chunks::padded;
use adapter_sql::row::{ChangedUserRow, UserAuthorsRow, UserRow, class_code};
use adapter_sql::statements::UserStatements;
use async_trait::async_trait;
use domain::ids::UserId;
use domain::ports::UserMark;
use domain::user::{User, UserChange};
use sqlx::QueryBuilder;

use super::{push_list, rows};
use crate::error::StoreError;
use crate::session::Session;

/// Earlier than any change.
const START: &str = "1970-01-01 00:00:01";

#[async_trait]
impl UserStatements for Session {
    async fn existing_users(&mut self, ids: &[&UserId]) -> Result<Vec<Vec<u8>>, StoreError> {
        let ids = padded(ids).into_iter();
        let mut sql = QueryBuilder::new("SELECT id FROM users WHERE id IN ");
        push_list(&mut sql, ids.map(|id| id.as_str().as_bytes()));
        let query = sql.build_query_scalar();
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn users(&mut self, ids: &[UserId]) -> Result<Vec<UserRow>, StoreError> {
        let ids = padded(ids).into_iter();
        let mut sql = QueryBuilder::new("SELECT id, name, priority FROM users WHERE id IN ");
        push_list(&mut sql, ids.map(|id| id.as_str().as_bytes()));
        let query = sql.build_query_as();
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn users_after(
        &mut self,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<UserRow>, StoreError> {
        let query =
            sqlx::query_as("SELECT id, name, priority FROM users WHERE id > ? ORDER BY id LIMIT ?");
        let query = query.bind(after).bind(rows(limit));
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn user_authors(&mut self, id: &UserId) -> Result<Option<UserAuthorsRow>, StoreError> {
        let query = sqlx::query_as(
            "SELECT creators.name AS created_by, changers.name AS changed_by FROM users \
             LEFT JOIN authors AS creators ON creators.id = created_by \
             LEFT JOIN authors AS changers \
                ON changers.id = changed_by AND changed_by_at = changed_at \
             WHERE users.id = ?",
        );
        let query = query.bind(id.as_str().as_bytes());
        Ok(query.fetch_optional(&mut self.connection).await?)
    }

    async fn insert_user(&mut self, user: &User, author: Option<u64>) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO users (id, name, priority, created_by) VALUES (?, ?, ?, ?)")
            .bind(user.id.as_str().as_bytes())
            .bind(user.name.as_str())
            .bind(class_code(user.priority))
            .bind(author)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn update_user(
        &mut self,
        id: &UserId,
        change: &UserChange,
        author: Option<u64>,
    ) -> Result<(), StoreError> {
        // The server gives `changed_at` the same time.
        let mut sql = QueryBuilder::new("UPDATE users SET changed_by_at = CURRENT_TIMESTAMP(6)");
        sql.push(", changed_by = ").push_bind(author);
        if let Some(name) = &change.name {
            sql.push(", name = ").push_bind(name.as_str());
        }
        if let Some(priority) = change.priority {
            sql.push(", priority = ").push_bind(class_code(priority));
        }
        sql.push(" WHERE id = ").push_bind(id.as_str().as_bytes());
        sql.build().execute(&mut self.connection).await?;
        Ok(())
    }

    async fn delete_user(&mut self, id: &UserId) -> Result<bool, StoreError> {
        let query = sqlx::query("DELETE FROM users WHERE id = ?").bind(id.as_str().as_bytes());
        let deleted = query.execute(&mut self.connection).await?;
        Ok(deleted.rows_affected() > 0)
    }

    async fn begin_erasure(&mut self, id: &UserId, alias: &UserId) -> Result<Vec<u8>, StoreError> {
        let (id, alias) = (id.as_str().as_bytes(), alias.as_str().as_bytes());
        let insert = "INSERT INTO erasures (user_id, alias) VALUES (?, ?) \
            ON DUPLICATE KEY UPDATE user_id = user_id";
        let insert = sqlx::query(insert).bind(id).bind(alias);
        insert.execute(&mut self.connection).await?;
        let noted = sqlx::query_scalar("SELECT alias FROM erasures WHERE user_id = ?").bind(id);
        Ok(noted.fetch_one(&mut self.connection).await?)
    }

    async fn end_erasure(&mut self, id: &UserId) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM erasures WHERE user_id = ?");
        let delete = delete.bind(id.as_str().as_bytes());
        delete.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn time_before(&mut self, age: Duration) -> Result<String, StoreError> {
        let query = sqlx::query_scalar("SELECT CAST(SYSDATE(6) - INTERVAL ? SECOND AS CHAR)");
        let query = query.bind(age.as_secs());
        Ok(query.fetch_one(&mut self.connection).await?)
    }

    /// Two statements, because servers search an index by neither `OR` nor pairs of columns.
    async fn users_changed_after(
        &mut self,
        place: Option<&UserMark>,
        limit: usize,
    ) -> Result<Vec<ChangedUserRow>, StoreError> {
        let (changed_at, id) = match place {
            Some(place) => (place.changed_at.as_str(), place.id.as_slice()),
            None => (START, [].as_slice()),
        };
        let at_that_time = sqlx::query_as(
            "SELECT id, priority, CAST(changed_at AS CHAR) AS changed FROM users \
             WHERE changed_at = ? AND id > ? ORDER BY id LIMIT ?",
        );
        let at_that_time = at_that_time.bind(changed_at).bind(id).bind(rows(limit));
        let mut found: Vec<ChangedUserRow> = at_that_time.fetch_all(&mut self.connection).await?;
        if found.len() < limit {
            let later = sqlx::query_as(
                "SELECT id, priority, CAST(changed_at AS CHAR) AS changed FROM users \
                 WHERE changed_at > ? ORDER BY changed_at, id LIMIT ?",
            );
            let later = later.bind(changed_at).bind(rows(limit - found.len()));
            found.extend(later.fetch_all(&mut self.connection).await?);
        }
        Ok(found)
    }
}
