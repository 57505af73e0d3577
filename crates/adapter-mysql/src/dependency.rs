//! The store's health: whether orders find what they need, and changes are committed.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ports::{ClocksDiffer, Dependency, DependencyDown};
use parking_lot::Mutex;
use sqlx::Executor;

use crate::MySqlStore;
use crate::database::{Database, SERVER_MICROS, within};
use crate::error::StoreError;

/// Whether orders find their users and shows, and what that server's clock says.
async fn check_selling(db: &Database) -> Result<(), StoreError> {
    let mut lease = db.lease_selling().await?;
    let asked = Instant::now();
    let sql = format!(
        "SELECT {SERVER_MICROS}, (SELECT COUNT(*) FROM (SELECT 1 FROM shows LIMIT 1) AS found)"
    );
    let (server, _shows): (i64, i64) = sqlx::query_as(&sql).fetch_one(lease.connection()).await?;
    lease.give_back();
    db.checked_now(asked, server)?;
    Ok(())
}

/// Whether a change is taken and committed, over a connection like those that decide and confirm.
/// That the server takes none is noticed as the connection is lent; what else can be in the way
/// is found by a change, which costs a commit, so that is not done every time.
async fn check_changing(db: &Database, changed: &Mutex<Option<Instant>>) -> Result<(), StoreError> {
    const CHANGE_AGAIN: Duration = Duration::from_secs(4);

    let mut lease = db.lease_changing().await?;
    let is_due = (*changed.lock()).is_none_or(|changed| changed.elapsed() > CHANGE_AGAIN);
    if is_due {
        *changed.lock() = None;
        // An update would find nothing to change if the row were gone, and say nothing.
        let sql = "INSERT INTO write_check (id, checks) VALUES (1, 1) \
            ON DUPLICATE KEY UPDATE checks = checks + 1";
        lease.connection().execute(sql).await?;
        *changed.lock() = Some(Instant::now());
    }
    lease.give_back();
    Ok(())
}

/// Before whoever asks gives up, so that it is said which it was.
const CHECK_LIMIT: Duration = Duration::from_millis(1_800);

fn down(what: &str, error: StoreError) -> DependencyDown {
    let why = error
        .remedy()
        .unwrap_or_else(|| format!("{error}; check mysql.url and whether the server answers"));
    DependencyDown {
        reason: format!("{what}: {why}"),
        source: Some(match error {
            StoreError::ClockOff { skew } => Box::new(ClocksDiffer { skew }),
            error => error.cause(),
        }),
    }
}

#[async_trait]
impl Dependency for MySqlStore {
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
