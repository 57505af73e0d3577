//! Users.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::UserId;
use domain::ports::{CreateUserError, UserRepository, UserRepositoryError};
use domain::user::{User, UserChange};
use runtime::Coalescer;

use crate::database::Database;
use crate::engine::Engine;
use crate::error::{SqlError, cause};
use crate::page::Page;
use crate::row::user_id;
use crate::statements::UserStatements;
use crate::store::{Found, SqlStore};
use crate::ticket_ledger::holder;

/// Users asked for in one query.
const MAX_LOOK_UPS: usize = 512;

pub(crate) fn look_ups<E: Engine>(
    db: Arc<Database<E>>,
) -> Coalescer<UserId, Found<User>, E::Error> {
    Coalescer::new(MAX_LOOK_UPS, move |ids: Vec<UserId>| {
        let db = Arc::clone(&db);
        async move {
            let finding = async {
                let mut lease = db.lease_selling().await?;
                let found = find_all::<E>(lease.session(), &ids).await?;
                lease.give_back();
                Ok(found)
            };
            db.read(finding).await
        }
    })
}

async fn find_all<E: Engine>(
    session: &mut E::Session,
    ids: &[UserId],
) -> Result<Vec<Found<User>>, E::Error> {
    let mut found = HashMap::with_capacity(ids.len());
    for row in session.users(ids).await? {
        found.insert(row.id.clone(), User::try_from(row));
    }
    let found = |id: &UserId| found.get(id.as_str().as_bytes()).cloned().transpose();
    Ok(ids.iter().map(found).collect())
}

pub(crate) fn unavailable(error: impl SqlError) -> UserRepositoryError {
    UserRepositoryError::Unavailable(cause(error))
}

#[async_trait]
impl<E: Engine> UserRepository for SqlStore<E> {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        let found = self.users.call(id.clone()).await;
        let found = found.and_then(|found| found.map_err(E::Error::from));
        found.map_err(unavailable)
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        let (db, after) = (Arc::clone(&self.db), after.cloned());
        let reading = async move { list(&db, after.as_ref(), limit).await };
        let read = self.db.read_to_the_end(reading).await;
        read.map_err(unavailable)
    }

    async fn create(&self, user: &User) -> Result<(), CreateUserError> {
        match self.db.change(create(&self.db, user)).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_duplicate() => Err(CreateUserError::AlreadyExists),
            Err(error) => Err(CreateUserError::Unavailable(cause(error))),
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
        let beginning = self.db.change(begin_erasure(&self.db, id, alias));
        let (was_there, alias) = beginning.await.map_err(unavailable)?;
        let tickets = self.change_holder(holder::PORTION, id, &alias).await;
        let tickets = tickets.map_err(unavailable)?;
        let ending = self.db.change(end_erasure(&self.db, id));
        ending.await.map_err(unavailable)?;
        Ok((was_there || tickets > 0).then_some(tickets))
    }
}

async fn list<E: Engine>(
    db: &Database<E>,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Vec<User>, E::Error> {
    let after = after.map_or_else(Vec::new, |id| id.as_str().as_bytes().to_vec());
    let mut page = Page::after(after, limit);
    let mut lease = db.lease_reading().await?;
    while page.missing > 0 {
        let session = lease.session();
        let rows = session.users_after(&page.after, page.missing).await?;
        page.fill(rows, |row| row.id.clone());
    }
    lease.give_back();
    Ok(page.values)
}

async fn create<E: Engine>(db: &Database<E>, user: &User) -> Result<(), E::Error> {
    let mut lease = db.lease_changing().await?;
    lease.session().insert_user(user).await?;
    lease.give_back();
    Ok(())
}

/// Whether there was such a user, and the alias of the first attempt: the audit takes tickets of
/// two aliases for those of two users, each of whom had room within the limit.
async fn begin_erasure<E: Engine>(
    db: &Database<E>,
    id: &UserId,
    alias: &UserId,
) -> Result<(bool, UserId), E::Error> {
    let mut lease = db.lease_changing().await?;
    let alias = lease.session().begin_erasure(id, alias).await?;
    let alias = user_id("erasures", &alias)?;
    let was_there = lease.session().delete_user(id).await?;
    lease.give_back();
    Ok((was_there, alias))
}

async fn end_erasure<E: Engine>(db: &Database<E>, id: &UserId) -> Result<(), E::Error> {
    let mut lease = db.lease_changing().await?;
    lease.session().end_erasure(id).await?;
    lease.give_back();
    Ok(())
}

async fn update<E: Engine>(
    db: &Database<E>,
    id: &UserId,
    change: &UserChange,
) -> Result<Option<User>, E::Error> {
    let mut lease = db.lease_changing().await?;
    lease.session().update_user(id, change).await?;
    let found = find_all::<E>(lease.session(), std::slice::from_ref(id)).await?;
    lease.give_back();
    Ok(found.into_iter().next().unwrap_or(Ok(None))?)
}
