//! The store's health: whether orders find what they need, and changes are committed.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ports::{ClocksDiffer, Dependency, DependencyDown};
use parking_lot::Mutex;

use crate::connections::within;
use crate::database::Database;
use crate::engine::Engine;
use crate::error::{Fault, SqlError, cause};
use crate::statements::SqlSession;
use crate::store::SqlStore;

/// Whether orders find their users and shows, and what that server's clock says.
async fn check_selling<E: Engine>(db: &Database<E>) -> Result<(), E::Error> {
    let asking = async |session: &mut E::Session| {
        let asked = Instant::now();
        Ok((asked, session.server_time().await?))
    };
    let (asked, server) = db.selling.run(asking).await?;
    db.checked_now(asked, server)?;
    Ok(())
}

/// Whether a change is taken and committed, over a connection like those that decide and confirm.
/// That the server takes none is noticed as the connection is lent; what else can be in the way
/// is found by a change, which costs a commit, so that is not done every time.
async fn check_changing<E: Engine>(
    db: &Database<E>,
    changed: &Mutex<Option<Instant>>,
) -> Result<(), E::Error> {
    const CHANGE_AGAIN: Duration = Duration::from_secs(4);

    let checking = async |session: &mut E::Session| {
        let is_due = (*changed.lock()).is_none_or(|changed| changed.elapsed() > CHANGE_AGAIN);
        if is_due {
            *changed.lock() = None;
            session.write_check().await?;
            *changed.lock() = Some(Instant::now());
        }
        Ok(())
    };
    db.changing.run(checking).await
}

/// Ends before the caller gives up, so that the answer says which one it was.
const CHECK_LIMIT: Duration = Duration::from_millis(1_800);

fn down(what: &str, error: impl SqlError) -> DependencyDown {
    DependencyDown {
        reason: format!("{what}: {}", error.advice()),
        source: Some(match error.fault() {
            Some(Fault::ClockOff { skew }) => Box::new(ClocksDiffer { skew: *skew }),
            _ => cause(error),
        }),
    }
}

#[async_trait]
impl<E: Engine> Dependency for SqlStore<E> {
    fn name(&self) -> &'static str {
        "store"
    }

    /// Whether the database answers, is migrated, takes changes, and has the same time.
    async fn check(&self) -> Result<(), DependencyDown> {
        let selling = self.check_clock();
        let changing = within(
            CHECK_LIMIT,
            check_changing(&self.db, &self.checked_by_change),
        );
        let (selling, changing) = tokio::join!(selling, changing);
        selling?;
        changing.map_err(|error| down("nothing can be decided, confirmed or cancelled", error))
    }

    /// A server that takes no changes has the time all the same.
    async fn check_clock(&self) -> Result<(), DependencyDown> {
        let checked = within(CHECK_LIMIT, check_selling(&self.db)).await;
        checked.map_err(|error| down("users and shows cannot be read", error))
    }
}
