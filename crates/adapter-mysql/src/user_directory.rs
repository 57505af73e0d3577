//! Users at hand: a copy of who exists and in which class, so that an order
//! asks the database nothing. Who is not in it is looked up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use domain::ids::UserId;
use domain::user::PriorityClass;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::error::StoreError;
use crate::row::{class, user_id};
use crate::store::Database;

/// How often changes of other processes are looked for.
const REFRESH: Duration = Duration::from_secs(1);
/// Users of one query.
const PAGE: usize = 5_000;
/// Parts with a lock each: many, so that threads seldom meet at one.
const SHARDS: usize = 256;
/// Earlier than any change.
const START: &str = "1970-01-01 00:00:01";
/// Now, less what a change may take from its time to its commit. Earlier
/// changes were seen by whoever looks now.
const SEEN_UP_TO: &str = "SELECT CAST(SYSDATE(6) - INTERVAL 3 SECOND AS CHAR)";
/// How often all users are read again, in case a change took longer.
const READ_ALL: Duration = Duration::from_secs(3_600);

/// Classes by user, up to a number of users.
pub(crate) struct UserDirectory {
    max: usize,
    classes: DashMap<UserId, PriorityClass>,
}

impl UserDirectory {
    /// Reads up to `max` users in the background, then what changes, for as
    /// long as somebody has the directory.
    pub(crate) fn start(db: Database, max: usize) -> Arc<Self> {
        let directory = Arc::new(Self {
            max,
            classes: DashMap::with_shard_amount(SHARDS),
        });
        if max > 0 {
            tokio::spawn(keep_current(db, Arc::downgrade(&directory)));
        }
        directory
    }

    /// The user's class; `None` says nothing.
    pub(crate) fn class_of(&self, id: &UserId) -> Option<PriorityClass> {
        self.classes.get(id).map(|class| *class)
    }

    /// Takes note of what the database says. A user too many is left out.
    pub(crate) fn learn(&self, id: &UserId, class: PriorityClass) {
        if let Some(mut known) = self.classes.get_mut(id) {
            *known = class;
        } else if !self.is_full() {
            self.classes.insert(id.clone(), class);
        }
    }

    fn is_full(&self) -> bool {
        self.classes.len() >= self.max
    }
}

/// A place among users by the time of their last change.
struct Mark {
    changed_at: String,
    id: Vec<u8>,
}

impl Mark {
    /// Before everything that changed at that time.
    const fn at(changed_at: String) -> Self {
        let id = Vec::new();
        Self { changed_at, id }
    }
}

async fn keep_current(db: Database, directory: Weak<UserDirectory>) {
    let (mut since, mut began) = (START.to_owned(), Instant::now());
    let (mut was_read, mut was_full) = (false, false);
    while let Some(directory) = directory.upgrade() {
        if began.elapsed() > READ_ALL {
            (since, began) = (START.to_owned(), Instant::now());
        }
        match catch_up(&db, &directory, since.clone()).await {
            Ok(seen) => {
                since = seen;
                if !was_read {
                    info!(users = directory.classes.len(), "users are at hand");
                    was_read = true;
                }
            }
            // That the database is away is told by those who need it.
            Err(error) => debug!(%error, "changes of users were not read"),
        }
        if directory.is_full() && !was_full {
            let max = directory.max;
            warn!(max, "mysql.user_directory_max: others are looked up");
            was_full = true;
        }
        drop(directory);
        sleep(REFRESH).await;
    }
}

/// Learns what changed at `since` or later; returns since when to look next.
async fn catch_up(
    db: &Database,
    directory: &UserDirectory,
    since: String,
) -> Result<String, StoreError> {
    let seen = db.read(seen_up_to(db)).await?;
    let mut mark = Mark::at(since);
    loop {
        let page = db.read(page_after(db, &mark)).await?;
        let is_last = page.len() < PAGE;
        for (id, code, changed_at) in page {
            directory.learn(&user_id("users", &id)?, class("users", code)?);
            mark = Mark { changed_at, id };
        }
        if is_last {
            return Ok(seen);
        }
    }
}

async fn seen_up_to(db: &Database) -> Result<String, StoreError> {
    let mut lease = db.lease_reading().await?;
    let (seen,) = sqlx::query_as(SEEN_UP_TO)
        .fetch_one(lease.connection())
        .await?;
    lease.give_back();
    Ok(seen)
}

/// Id, code of the class, time of the last change.
type Row = (Vec<u8>, u8, String);

/// Two statements, because servers search an index by neither `OR` nor pairs of columns.
async fn page_after(db: &Database, mark: &Mark) -> Result<Vec<Row>, StoreError> {
    let limit = |taken: usize| u64::try_from(PAGE - taken).unwrap_or(u64::MAX);
    let mut lease = db.lease_reading().await?;
    let mut page: Vec<Row> = sqlx::query_as(
        "SELECT id, priority, CAST(changed_at AS CHAR) FROM users \
         WHERE changed_at = ? AND id > ? ORDER BY id LIMIT ?",
    )
    .bind(&mark.changed_at)
    .bind(&mark.id)
    .bind(limit(0))
    .fetch_all(lease.connection())
    .await?;
    if page.len() < PAGE {
        let later: Vec<Row> = sqlx::query_as(
            "SELECT id, priority, CAST(changed_at AS CHAR) FROM users \
             WHERE changed_at > ? ORDER BY changed_at, id LIMIT ?",
        )
        .bind(&mark.changed_at)
        .bind(limit(page.len()))
        .fetch_all(lease.connection())
        .await?;
        page.extend(later);
    }
    lease.give_back();
    Ok(page)
}
