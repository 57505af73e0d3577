//! What a store needs before it is of use.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{ShowRepository, UserRepository};
use runtime::error_chain;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::seed;
use crate::settings::StoreSettings;
use crate::wiring::{Migration, StorePorts};

/// Its schema, and the demo data where
/// the configuration wants them.
pub(super) struct Preparation {
    migrate: Migration,
    users: Arc<dyn UserRepository>,
    shows: Arc<dyn ShowRepository>,
    migrates: bool,
    seeds_demo: bool,
}

impl Preparation {
    /// A store that answers is done by then.
    pub(super) const AT_ONCE: Duration = Duration::from_secs(3);
    const TRY_AGAIN: Duration = Duration::from_secs(1);

    pub(super) fn new(store: &StorePorts, settings: &StoreSettings) -> Self {
        Self {
            migrate: Arc::clone(&store.migrate),
            users: Arc::clone(&store.users),
            shows: Arc::clone(&store.shows),
            migrates: settings.adapter().migrates_at_start(),
            seeds_demo: settings.seed_demo,
        }
    }

    /// A store that is down is no reason to end, nor to keep health unserved:
    /// it may be started later.
    pub(super) async fn start(self) -> JoinHandle<()> {
        let mut preparing = tokio::spawn(self.until_done());
        // Either way the task goes on; it is its own success that counts.
        let _at_once = timeout(Self::AT_ONCE, &mut preparing).await;
        preparing
    }

    async fn until_done(self) {
        let mut failures = 0_u64;
        while let Err(error) = self.attempt().await {
            if failures == 0 {
                warn!(
                    error = error_chain(error.as_ref()),
                    "the store could not be prepared; trying again until it works"
                );
            }
            failures += 1;
            sleep(Self::TRY_AGAIN).await;
        }
        if failures > 0 {
            info!(failures, "the store is prepared");
        }
    }

    async fn attempt(&self) -> anyhow::Result<()> {
        if self.migrates {
            (self.migrate)().await?;
        }
        if self.seeds_demo {
            seed::demo(&*self.users, &*self.shows).await?;
        }
        Ok(())
    }
}
