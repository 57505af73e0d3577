//! Users.

use std::collections::btree_map::Entry;
use std::ops::Bound;

use async_trait::async_trait;
use domain::author::Author;
use domain::ids::UserId;
use domain::ports::{CreateUserError, UserAuthors, UserRepository, UserRepositoryError};
use domain::user::{User, UserChange};

use crate::MemoryStore;

#[async_trait]
impl UserRepository for MemoryStore {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        let users = self.users.read();
        Ok(users.get(id).map(|(user, _)| user.clone()))
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.users.read();
        let page = users
            .range::<UserId, _>((after, Bound::Unbounded))
            .take(limit);
        Ok(page.map(|(_, (user, _))| user.clone()).collect())
    }

    async fn authors_of(&self, id: &UserId) -> Result<UserAuthors, UserRepositoryError> {
        let users = self.users.read();
        let authors = users.get(id).map(|(_, authors)| authors.clone());
        Ok(authors.unwrap_or_default())
    }

    async fn create(&self, user: &User, by: Option<&Author>) -> Result<(), CreateUserError> {
        match self.users.write().entry(user.id.clone()) {
            Entry::Occupied(_) => Err(CreateUserError::AlreadyExists),
            Entry::Vacant(place) => {
                let authors = UserAuthors {
                    created_by: by.cloned(),
                    changed_by: None,
                };
                place.insert((user.clone(), authors));
                Ok(())
            }
        }
    }

    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
        by: Option<&Author>,
    ) -> Result<Option<User>, UserRepositoryError> {
        let mut users = self.users.write();
        let Some((user, authors)) = users.get_mut(id) else {
            return Ok(None);
        };
        *user = user.clone().changed(change.clone());
        authors.changed_by = by.cloned();
        Ok(Some(user.clone()))
    }

    async fn erase(&self, id: &UserId, alias: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        let mut books = self.books.write();
        let mut users = self.users.write();
        let was_user = users.remove(id).is_some();
        let [name, other] = [id, alias].map(Author::user);
        let mut was_author = books.rename_author(&name, &other);
        for (_, authors) in users.values_mut() {
            for author in [&mut authors.created_by, &mut authors.changed_by] {
                if author.as_ref() == Some(&name) {
                    *author = Some(other.clone());
                    was_author = true;
                }
            }
        }
        let tickets = books.change_holder(id, alias);
        Ok((was_user || was_author || tickets > 0).then_some(tickets))
    }
}
