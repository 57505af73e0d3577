//! Shows.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use domain::author::Author;
use domain::ids::ShowId;
use domain::ports::{CreateShowError, ShowRepository, ShowRepositoryError, TermsSet};
use domain::rule::open_show;
use domain::show::{Show, ShowStanding};
use parking_lot::RwLockUpgradableReadGuard;

use crate::MemoryStore;

#[async_trait]
impl ShowRepository for MemoryStore {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        let books = self.books.read();
        Ok(books.show(id).map(|book| Arc::clone(&book.show)))
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let ids: BTreeSet<_> = ids.iter().collect();
        let books = self.books.read();
        Ok(ids
            .into_iter()
            .filter_map(|id| books.show(id).map(|book| book.standing()))
            .collect())
    }

    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let books = self.books.read();
        Ok(books
            .shows_after(after)
            .take(limit)
            .map(|book| book.standing())
            .collect())
    }

    async fn terms_history(
        &self,
        id: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        let books = self.books.read();
        let terms = books.show(id).map(|book| book.terms.as_slice());
        let later = terms.unwrap_or_default().iter();
        let later = later.filter(|terms| terms.seq > after_seq);
        Ok(later.take(limit).cloned().collect())
    }

    async fn create(
        &self,
        show: &Show,
        by: Option<&Author>,
    ) -> Result<ShowStanding, CreateShowError> {
        let books = self.books.upgradable_read();
        if books.show(&show.id).is_some() {
            return Err(CreateShowError::AlreadyExists);
        }
        let saved = open_show(show.clone(), self.clock.now());
        let standing = saved.standing();
        RwLockUpgradableReadGuard::upgrade(books).save_show(saved, by);
        Ok(standing)
    }
}
