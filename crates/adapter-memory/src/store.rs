//! The store: what its ports share.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::UserId;
use domain::ports::{Clock, Dependency, DependencyDown, UserAuthors};
use domain::user::User;
use parking_lot::RwLock;

use crate::books::Books;
use crate::claims::Claims;

/// Users, shows and the ledger in memory.
pub struct MemoryStore {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) users: RwLock<BTreeMap<UserId, (User, UserAuthors)>>,
    /// Whoever changes a show holds the upgradable lock, of which there is one
    /// at a time, from before the clock is read, and upgrades it to save: all
    /// shows share one lock, and readers wait for nothing but the saving.
    /// Taken before the lock of `users`.
    pub(crate) books: RwLock<Books>,
    /// Taken before the books, by who decides, and after nothing.
    pub(crate) claims: RwLock<Claims>,
}

impl MemoryStore {
    /// An empty store that dates changes by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            users: RwLock::default(),
            books: RwLock::default(),
            claims: RwLock::default(),
        }
    }
}

#[async_trait]
impl Dependency for MemoryStore {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        Ok(())
    }
}
