//! Shows and users, and whether the store is well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::author::Author;
use domain::ids::{ShowId, UserId};
use domain::ports::{
    CreateShowError, CreateUserError, Dependency, DependencyDown, ShowRepository,
    ShowRepositoryError, TermsSet, UserAuthors, UserRepository, UserRepositoryError,
};
use domain::show::{Show, ShowStanding};
use domain::user::{User, UserChange};
use tokio::time::Instant;

use super::tables::{ShowRow, Tables};
use super::{Down, SimStore};

/// How long a found show is answered from memory.
const SHOW_CACHE_TIME: Duration = Duration::from_secs(1);

#[async_trait]
impl ShowRepository for SimStore {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        if let Some((read, show)) = self.shows.lock().get(id)
            && read.elapsed() < SHOW_CACHE_TIME
        {
            return Ok(Some(Arc::clone(show)));
        }
        let find = |tables: &Tables| Some(Arc::new(tables.shows.get(id)?.show.clone()));
        let found = self
            .read("store: looks for a show", find)
            .await
            .map_err(|down| ShowRepositoryError::Unavailable(down.into()))?;
        if let Some(show) = &found {
            let read = (Instant::now(), Arc::clone(show));
            self.shows.lock().insert(id.clone(), read);
        }
        Ok(found)
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let ids: BTreeSet<_> = ids.iter().collect();
        let find = |tables: &Tables| {
            let rows = ids.into_iter().filter_map(|id| tables.shows.get(id));
            rows.map(ShowRow::standing).collect()
        };
        self.read("store: reads shows", find)
            .await
            .map_err(|down| ShowRepositoryError::Unavailable(down.into()))
    }

    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let list = |tables: &Tables| {
            let shows = tables.shows.values();
            let shows = shows.filter(|row| after.is_none_or(|after| row.show.id > *after));
            shows.take(limit).map(ShowRow::standing).collect()
        };
        self.read("store: lists shows", list)
            .await
            .map_err(|down| ShowRepositoryError::Unavailable(down.into()))
    }

    async fn terms_history(
        &self,
        _: &ShowId,
        _: u64,
        _: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        Ok(Vec::new())
    }

    /// The shows of a run are there from its beginning.
    async fn create(&self, _: &Show, _: Option<&Author>) -> Result<ShowStanding, CreateShowError> {
        Err(CreateShowError::AlreadyExists)
    }
}

#[async_trait]
impl UserRepository for SimStore {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        self.read("store: looks for a user", |tables| {
            tables.users.get(id).cloned()
        })
        .await
        .map_err(|down| UserRepositoryError::Unavailable(down.into()))
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        let list = |tables: &Tables| {
            let users = tables.users.values();
            let users = users.filter(|user| after.is_none_or(|after| user.id > *after));
            users.take(limit).cloned().collect()
        };
        self.read("store: lists users", list)
            .await
            .map_err(|down| UserRepositoryError::Unavailable(down.into()))
    }

    async fn authors_of(&self, _: &UserId) -> Result<UserAuthors, UserRepositoryError> {
        Ok(UserAuthors::default())
    }

    /// The users of a run are there from its beginning.
    async fn create(&self, _: &User, _: Option<&Author>) -> Result<(), CreateUserError> {
        Err(CreateUserError::AlreadyExists)
    }

    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
        _: Option<&Author>,
    ) -> Result<Option<User>, UserRepositoryError> {
        let unavailable = |down: Down| UserRepositoryError::Unavailable(down.into());
        self.reach("store: changes a user")
            .await
            .map_err(unavailable)?;
        let mut tables = self.world().tables.lock();
        let Some(user) = tables.users.get_mut(id) else {
            return Ok(None);
        };
        *user = user.clone().changed(change.clone());
        Ok(Some(user.clone()))
    }

    /// The users of a run are there to its end.
    async fn erase(&self, _: &UserId, _: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        Ok(None)
    }
}

#[async_trait]
impl Dependency for SimStore {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        self.reach("store: is asked for its health")
            .await
            .map_err(|down| DependencyDown {
                reason: "the simulated store did not answer".to_owned(),
                source: Some(down.into()),
            })
    }
}
