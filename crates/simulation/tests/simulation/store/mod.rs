//! The simulated store: tables, a lock per show, transactions that commit or do
//! not, and answers that get lost. What changes is said by [`domain::rule`].

mod claims;
mod lane_claims;
mod ledger;
mod look_ups;
mod tables;
mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::ShowId;
use domain::ports::{Cause, LedgerError};
use domain::receipt::Receipts;
use domain::show::Show;
use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use self::tables::Tables;
use crate::node::Node;
use crate::plan::SECRET;
use crate::world::World;

/// The store did not answer, or said that it could not.
#[derive(Debug)]
struct Down;

impl From<Down> for Cause {
    fn from(_: Down) -> Self {
        "the simulated store did not answer".into()
    }
}

fn unavailable(down: Down) -> LedgerError {
    LedgerError::Unavailable(down.into())
}

/// A process's way to the store.
pub(crate) struct SimStore {
    node: Arc<Node>,
    /// Shows as they were found, and when.
    shows: Mutex<BTreeMap<ShowId, (Instant, Arc<Show>)>>,
    receipts: Receipts,
}

impl SimStore {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
            shows: Mutex::default(),
            receipts: Receipts::new([SECRET], node.process).unwrap(),
        }
    }

    fn world(&self) -> &World {
        &self.node.world
    }

    /// A request on its way to the store.
    async fn reach(&self, what: &'static str) -> Result<(), Down> {
        self.node.step(what).await;
        if !self.node.reaches_store() || self.world().happens(|weather| weather.store_fails) {
            self.node.note(format_args!("does not reach the store"));
            return Err(Down);
        }
        Ok(())
    }

    /// Reads what is committed at one instant between question and answer.
    async fn read<T>(
        &self,
        what: &'static str,
        from: impl FnOnce(&Tables) -> T,
    ) -> Result<T, Down> {
        self.reach(what).await?;
        let read = from(&self.world().tables.lock());
        self.node.step("store: has read").await;
        if self.world().happens(|weather| weather.answers_lost) {
            return Err(Down);
        }
        Ok(read)
    }
}
