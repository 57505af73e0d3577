//! Those who change shows and users.

use adapter_sql::statements::AuthorStatements;
use async_trait::async_trait;
use domain::author::Author;

use crate::error::StoreError;
use crate::session::Session;

#[async_trait]
impl AuthorStatements for Session {
    /// Two sessions may give one name two numbers, which does no harm; a unique name would make
    /// them wait for each other.
    async fn author(&mut self, author: &Author) -> Result<u64, StoreError> {
        let name = author.as_str().as_bytes();
        let find = sqlx::query_scalar("SELECT id FROM authors WHERE name = ? ORDER BY id LIMIT 1");
        let found = find.bind(name).fetch_optional(&mut self.connection);
        if let Some(id) = found.await? {
            return Ok(id);
        }
        let insert = sqlx::query("INSERT INTO authors (name) VALUES (?)").bind(name);
        let inserted = insert.execute(&mut self.connection).await?;
        Ok(inserted.last_insert_id())
    }

    async fn rename_author(&mut self, from: &Author, to: &Author) -> Result<bool, StoreError> {
        let update = sqlx::query("UPDATE authors SET name = ? WHERE name = ?")
            .bind(to.as_str().as_bytes())
            .bind(from.as_str().as_bytes());
        let updated = update.execute(&mut self.connection).await?;
        Ok(updated.rows_affected() > 0)
    }
}
