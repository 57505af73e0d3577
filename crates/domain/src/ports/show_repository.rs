//! Shows, as they are looked up. Their terms change in the ledger
//! ([`super::TicketLedger::change_show`]), under the lock of their counters.

use std::sync::Arc;

use async_trait::async_trait;

use super::Cause;
use crate::author::Author;
use crate::ids::ShowId;
use crate::show::{Show, ShowStanding, Terms};
use crate::time::Timestamp;

/// The store did not answer; retrying is safe.
#[derive(Debug, thiserror::Error)]
pub enum ShowRepositoryError {
    /// The store did not answer.
    #[error("the shows' store is unavailable")]
    Unavailable(#[source] Cause),
}

/// Why a show was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateShowError {
    /// There is a show with this id; it is unchanged.
    #[error("the show exists")]
    AlreadyExists,
    /// The store did not answer; a retry finds out what happened.
    #[error("the shows' store is unavailable")]
    Unavailable(#[source] Cause),
}

/// A row of the store that should be a show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableShow {
    /// Its id, with `\u{fffd}` for what is no text.
    pub id: String,
    /// What is wrong with it, for operators.
    pub why: String,
}

/// Terms of sale that a show got: when it was put on sale, or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsSet {
    /// The change's number.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The show's terms from then on.
    pub terms: Terms,
    /// Who set them; `None` if nobody said so, as earlier releases did not.
    pub by: Option<Author>,
}

/// Keeps shows with their terms of sale and counters.
///
/// ```
/// use domain::ids::ShowId;
/// use domain::ports::{ShowRepository, ShowRepositoryError};
///
/// async fn exists(shows: &dyn ShowRepository, id: &ShowId) -> Result<bool, ShowRepositoryError> {
///     Ok(shows.find(id).await?.is_some())
/// }
/// ```
#[async_trait]
pub trait ShowRepository: Send + Sync {
    /// The show of that id, called once per order. A found show may be a few
    /// seconds old, so the answer may refuse an order early but must not be
    /// used to sell; a miss is never remembered: a show that `create` answered
    /// for is found by every process at once.
    ///
    /// # Errors
    /// [`ShowRepositoryError`] when the store did not answer.
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError>;

    /// The shows among `ids` with their seats as they are committed now, each
    /// once, in any sequence; ids of no show are left out. Takes any number of
    /// ids. Does not wait for any show's lock.
    ///
    /// # Errors
    /// [`ShowRepositoryError`] when the store did not answer.
    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError>;

    /// Up to `limit` shows with an id greater than `after`, by id in byte
    /// order. Does not wait for any show's lock.
    ///
    /// # Errors
    /// [`ShowRepositoryError`] when the store did not answer.
    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError>;

    /// What other programs have made of shows, so that they can be neither listed nor sold: for
    /// the audit. Reads all shows.
    ///
    /// # Errors
    /// [`ShowRepositoryError`] when the store did not answer.
    async fn unreadable(&self) -> Result<Vec<UnreadableShow>, ShowRepositoryError> {
        Ok(Vec::new())
    }

    /// Up to `limit` changes of a show's terms with a number greater than `after_seq`, in
    /// sequence. Does not wait for any show's lock. Empty for an unknown show.
    ///
    /// # Errors
    /// [`ShowRepositoryError`] when the store did not answer.
    async fn terms_history(
        &self,
        id: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError>;

    /// Puts a show on sale, with all its seats available and the first entry
    /// of its journal ([`crate::rule::open_show`]), by that author, both or neither, and returns
    /// it. Of concurrent calls with one id exactly one succeeds.
    ///
    /// # Errors
    /// [`CreateShowError`].
    async fn create(
        &self,
        show: &Show,
        by: Option<&Author>,
    ) -> Result<ShowStanding, CreateShowError>;
}
