//! Shows that were found a moment ago.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::author::Author;
use domain::ids::ShowId;
use domain::ports::{
    CreateShowError, ShowRepository, ShowRepositoryError, TermsSet, UnreadableShow,
};
use domain::show::{Show, ShowStanding};
use moka::sync::Cache;

use crate::reads::CacheReads;

/// Time that a found show may be answered from memory.
const TIME: Duration = Duration::from_secs(1);
/// Shows kept in memory.
const MAX: u64 = 10_000;

/// A repository that finds a show in memory for a second after it was found in the store.
pub struct ShowCache {
    shows: Arc<dyn ShowRepository>,
    found: Cache<ShowId, Arc<Show>>,
    reads: Arc<CacheReads>,
}

impl ShowCache {
    /// A cache in front of `shows`.
    #[must_use]
    pub fn new(shows: Arc<dyn ShowRepository>) -> Self {
        let found = Cache::builder()
            .max_capacity(MAX)
            .time_to_live(TIME)
            .build();
        Self {
            shows,
            found,
            reads: Arc::default(),
        }
    }

    /// How often it had a show.
    #[must_use]
    pub fn reads(&self) -> Arc<CacheReads> {
        Arc::clone(&self.reads)
    }
}

#[async_trait]
impl ShowRepository for ShowCache {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        if let Some(show) = self.reads.count(self.found.get(id)) {
            return Ok(Some(show));
        }
        let show = self.reads.ask(self.shows.find(id)).await?;
        if let Some(show) = &show {
            self.found.insert(id.clone(), Arc::clone(show));
        }
        Ok(show)
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        self.shows.standings(ids).await
    }

    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        self.shows.list(after, limit).await
    }

    async fn unreadable(&self) -> Result<Vec<UnreadableShow>, ShowRepositoryError> {
        self.shows.unreadable().await
    }

    async fn terms_history(
        &self,
        id: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        self.shows.terms_history(id, after_seq, limit).await
    }

    async fn create(
        &self,
        show: &Show,
        by: Option<&Author>,
    ) -> Result<ShowStanding, CreateShowError> {
        self.shows.create(show, by).await
    }
}
