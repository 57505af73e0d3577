//! Users.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::author::Author;
use domain::ids::UserId;
use domain::ports::{CreateUserError, UserAuthors, UserRepository, UserRepositoryError};
use domain::user::{User, UserChange};

use crate::authors::author;
use crate::connections::Connections;
use crate::engine::Engine;
use crate::error::{SqlError, cause};
use crate::look_ups::Found;
use crate::page::page;
use crate::row::user_id;
use crate::statements::{AuthorStatements, UserStatements};
use crate::store::SqlStore;
use crate::ticket_ledger::holder;

/// For those who order.
pub(crate) async fn find_all<E: Engine>(
    connections: Arc<Connections<E>>,
    ids: Vec<UserId>,
) -> Result<Vec<Found<User>>, E::Error> {
    let finding = async |session: &mut E::Session| session.users(&ids).await;
    let mut found: HashMap<Vec<u8>, _> = HashMap::with_capacity(ids.len());
    for row in connections.run(finding).await? {
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
        self.users.find(id.clone()).await.map_err(unavailable)
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        let after = after.map_or_else(Vec::new, |id| id.as_str().as_bytes().to_vec());
        let listing = self.db.reading.run_to_the_end(move |session| {
            Box::pin(page(
                session,
                after,
                limit,
                |session, after, missing| session.users_after(after, missing),
                |row| row.id.clone(),
            ))
        });
        listing.await.map_err(unavailable)
    }

    async fn authors_of(&self, id: &UserId) -> Result<UserAuthors, UserRepositoryError> {
        let reading = async |session: &mut E::Session| session.user_authors(id).await;
        let row = self.db.reading.run(reading).await.map_err(unavailable)?;
        Ok(row.unwrap_or_default().into())
    }

    async fn create(&self, user: &User, by: Option<&Author>) -> Result<(), CreateUserError> {
        let creating = async |session: &mut E::Session| {
            let author = author::<E>(session, by).await?;
            session.insert_user(user, author).await
        };
        match self.db.changing.run(creating).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_duplicate() => Err(CreateUserError::AlreadyExists),
            Err(error) => Err(CreateUserError::Unavailable(cause(error))),
        }
    }

    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
        by: Option<&Author>,
    ) -> Result<Option<User>, UserRepositoryError> {
        let changing = async |session: &mut E::Session| {
            let author = author::<E>(session, by).await?;
            session.update_user(id, change, author).await?;
            session.users(std::slice::from_ref(id)).await
        };
        let rows = self.db.changing.run(changing).await.map_err(unavailable)?;
        let user = rows.into_iter().next().map(User::try_from).transpose();
        user.map_err(|fault| unavailable(E::Error::from(fault)))
    }

    async fn erase(&self, id: &UserId, alias: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        // The alias of the first attempt: the audit takes tickets of two aliases for those of two
        // users, each of whom had room within the limit.
        let beginning = async |session: &mut E::Session| {
            let alias = session.begin_erasure(id, alias).await?;
            let alias = user_id("erasures", &alias)?;
            let [name, other] = [id, &alias].map(Author::user);
            let was_author = session.rename_author(&name, &other).await?;
            Ok((session.delete_user(id).await? || was_author, alias))
        };
        let begun = self.db.changing.run(beginning).await;
        let (was_there, alias) = begun.map_err(unavailable)?;
        let tickets = self.change_holder(holder::PORTION, id, &alias).await;
        let tickets = tickets.map_err(unavailable)?;
        let ending = async |session: &mut E::Session| session.end_erasure(id).await;
        self.db.changing.run(ending).await.map_err(unavailable)?;
        Ok((was_there || tickets > 0).then_some(tickets))
    }
}
