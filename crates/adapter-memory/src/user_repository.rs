//! Users.

use std::collections::btree_map::Entry;
use std::ops::Bound;

use async_trait::async_trait;
use domain::ids::UserId;
use domain::ports::{CreateUserError, UserRepository, UserRepositoryError};
use domain::user::{User, UserChange};

use crate::MemoryStore;

#[async_trait]
impl UserRepository for MemoryStore {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        Ok(self.users.read().get(id).cloned())
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
        Ok(page.map(|(_, user)| user.clone()).collect())
    }

    async fn create(&self, user: &User) -> Result<(), CreateUserError> {
        match self.users.write().entry(user.id.clone()) {
            Entry::Occupied(_) => Err(CreateUserError::AlreadyExists),
            Entry::Vacant(place) => {
                place.insert(user.clone());
                Ok(())
            }
        }
    }

    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
    ) -> Result<Option<User>, UserRepositoryError> {
        let mut users = self.users.write();
        let Some(user) = users.get_mut(id) else {
            return Ok(None);
        };
        *user = user.clone().changed(change.clone());
        Ok(Some(user.clone()))
    }

    async fn erase(&self, id: &UserId, alias: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        let mut books = self.books.write();
        let was_there = self.users.write().remove(id).is_some();
        let tickets = books.change_holder(id, alias);
        Ok((was_there || tickets > 0).then_some(tickets))
    }
}
