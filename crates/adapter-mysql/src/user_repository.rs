//! Users.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::ids::UserId;
use domain::ports::{CreateUserError, UserRepository, UserRepositoryError};
use domain::user::{User, UserChange};
use sqlx::QueryBuilder;
use sqlx::mysql::MySqlConnection;

use crate::MySqlStore;
use crate::database::Database;
use crate::error::StoreError;
use crate::page::Page;
use crate::row::{UserRow, class_code};
use crate::ticket_ledger::holder;
use crate::ticket_ledger::sql::{padded, placeholders};
use runtime::Coalescer;

/// Users asked for in one query.
const MAX_LOOK_UPS: usize = 512;

/// A row that cannot be read is that user's failure alone.
pub(crate) type Found = Result<Option<User>, StoreError>;

pub(crate) fn look_ups(db: Database) -> Coalescer<UserId, Found, StoreError> {
    Coalescer::new(MAX_LOOK_UPS, move |ids: Vec<UserId>| {
        let db = db.clone();
        async move {
            let finding = async {
                let mut lease = db.lease_selling().await?;
                let found = find_all(lease.connection(), &ids).await?;
                lease.give_back();
                Ok(found)
            };
            db.read(finding).await
        }
    })
}

async fn find_all(
    connection: &mut MySqlConnection,
    ids: &[UserId],
) -> Result<Vec<Found>, StoreError> {
    let ids_padded = padded(ids);
    let sql = format!(
        "SELECT id, name, priority FROM users WHERE id IN ({})",
        placeholders(ids_padded.len())
    );
    let mut query = sqlx::query_as::<_, UserRow>(&sql);
    for id in ids_padded {
        query = query.bind(id.as_str().as_bytes());
    }
    let mut found = HashMap::with_capacity(ids.len());
    for row in query.fetch_all(connection).await? {
        found.insert(row.id.clone(), User::try_from(row));
    }
    let found = |id: &UserId| found.get(id.as_str().as_bytes()).cloned().transpose();
    Ok(ids.iter().map(found).collect())
}

pub(crate) fn unavailable(error: StoreError) -> UserRepositoryError {
    UserRepositoryError::Unavailable(error.cause())
}

#[async_trait]
impl UserRepository for MySqlStore {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        let found = self.users.call(id.clone()).await.and_then(|found| found);
        found.map_err(unavailable)
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        let (db, after) = (self.db.clone(), after.cloned());
        let reading = async move { list(&db, after.as_ref(), limit).await };
        let read = self.db.read_to_the_end(reading).await;
        read.map_err(unavailable)
    }

    async fn create(&self, user: &User) -> Result<(), CreateUserError> {
        match self.db.change(create(&self.db, user)).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_duplicate() => Err(CreateUserError::AlreadyExists),
            Err(error) => Err(CreateUserError::Unavailable(error.cause())),
        }
    }

    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
    ) -> Result<Option<User>, UserRepositoryError> {
        let changing = self.db.change(update(&self.db, id, change));
        changing.await.map_err(unavailable)
    }

    async fn erase(&self, id: &UserId, alias: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        let was_there = self.db.change(remove(&self.db, id)).await;
        let was_there = was_there.map_err(unavailable)?;
        let tickets = holder::change(&self.db, id, alias).await;
        let tickets = tickets.map_err(unavailable)?;
        Ok((was_there || tickets > 0).then_some(tickets))
    }
}

async fn list(
    db: &Database,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Vec<User>, StoreError> {
    let after = after.map_or_else(Vec::new, |id| id.as_str().as_bytes().to_vec());
    let mut page = Page::after(after, limit);
    let mut lease = db.lease_reading().await?;
    while page.missing > 0 {
        let query = sqlx::query_as::<_, UserRow>(
            "SELECT id, name, priority FROM users WHERE id > ? ORDER BY id LIMIT ?",
        )
        .bind(page.after.clone())
        .bind(u64::try_from(page.missing).unwrap_or(u64::MAX));
        let rows = query.fetch_all(lease.connection()).await?;
        page.fill(rows, |row| row.id.clone());
    }
    lease.give_back();
    Ok(page.values)
}

async fn create(db: &Database, user: &User) -> Result<(), StoreError> {
    let query = sqlx::query("INSERT INTO users (id, name, priority) VALUES (?, ?, ?)")
        .bind(user.id.as_str().as_bytes())
        .bind(user.name.as_str())
        .bind(class_code(user.priority));
    let mut lease = db.lease_changing().await?;
    query.execute(lease.connection()).await?;
    lease.give_back();
    Ok(())
}

/// Whether there was one.
async fn remove(db: &Database, id: &UserId) -> Result<bool, StoreError> {
    let removing = sqlx::query("DELETE FROM users WHERE id = ?").bind(id.as_str().as_bytes());
    let mut lease = db.lease_changing().await?;
    let done = removing.execute(lease.connection()).await?;
    lease.give_back();
    Ok(done.rows_affected() > 0)
}

async fn update(
    db: &Database,
    id: &UserId,
    change: &UserChange,
) -> Result<Option<User>, StoreError> {
    // Only what is named is written, so concurrent changes of different fields both last.
    let mut sql = QueryBuilder::new("UPDATE users SET id = id");
    if let Some(name) = &change.name {
        sql.push(", name = ").push_bind(name.as_str().to_owned());
    }
    if let Some(priority) = change.priority {
        sql.push(", priority = ").push_bind(class_code(priority));
    }
    sql.push(" WHERE id = ")
        .push_bind(id.as_str().as_bytes().to_vec());
    let mut lease = db.lease_changing().await?;
    sql.build().execute(lease.connection()).await?;
    let found = find_all(lease.connection(), std::slice::from_ref(id)).await?;
    lease.give_back();
    found.into_iter().next().unwrap_or(Ok(None))
}
