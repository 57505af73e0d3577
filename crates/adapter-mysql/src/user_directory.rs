//! Users at hand: a copy of who exists and in which class, so that an order
//! asks the database nothing. Who is not in it is looked up.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use domain::ids::UserId;
use domain::user::PriorityClass;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, warn};

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
/// What a change may take from its time to its commit: so far back every look goes, since nobody
/// has seen what was not committed.
const USUAL_CHANGE_SECONDS: u32 = 3;
/// The same for changes that took unusually long, for which a look now and then goes further back.
const SLOW_CHANGE_SECONDS: u32 = 1_200;
const LOOK_FURTHER_BACK: Duration = Duration::from_secs(60);

/// Classes by user, up to a number of users.
///
/// A user is known by two keyed hashes, 127 bits of them, which take a third of the memory of
/// ids. Should two users ever share them, one would be taken for the other here, and nowhere
/// else: whether a user exists is decided by the ledger.
pub(crate) struct UserDirectory {
    max: usize,
    /// The second hash, and the class in its lowest bit, by the first one.
    classes: DashMap<u64, u64, BuildHasherDefault<AsItIs>>,
    keys: [RandomState; 2],
}

/// The keys are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Not called: the keys are `u64`.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl UserDirectory {
    /// Reads up to `max` users in the background, then what changes, for as
    /// long as somebody has the directory.
    pub(crate) fn start(db: Database, max: usize) -> Arc<Self> {
        let directory = Arc::new(Self::of(max));
        if max > 0 {
            tokio::spawn(keep_current(db, Arc::downgrade(&directory)));
        }
        directory
    }

    fn of(max: usize) -> Self {
        Self {
            max,
            classes: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), SHARDS),
            keys: [RandomState::new(), RandomState::new()],
        }
    }

    /// Where a user stands, and by what it is recognised: its lowest bit is free.
    fn hashes(&self, id: &UserId) -> (u64, u64) {
        let [place, sign] = &self.keys;
        (place.hash_one(id.as_str()), sign.hash_one(id.as_str()) & !1)
    }

    /// The user's class; `None` says nothing.
    pub(crate) fn class_of(&self, id: &UserId) -> Option<PriorityClass> {
        let (place, sign) = self.hashes(id);
        let known = *self.classes.get(&place)?;
        (known & !1 == sign).then_some(if known & 1 == 1 {
            PriorityClass::High
        } else {
            PriorityClass::Standard
        })
    }

    /// Takes note of what the database says. A user too many is left out.
    pub(crate) fn learn(&self, id: &UserId, class: PriorityClass) {
        let (place, sign) = self.hashes(id);
        let entry = sign | u64::from(class == PriorityClass::High);
        if let Some(mut known) = self.classes.get_mut(&place) {
            if *known & !1 == sign {
                *known = entry;
            }
            return;
        }
        if !self.is_full() {
            self.classes.insert(place, entry);
        }
    }

    /// Has the database asked for it from now on.
    pub(crate) fn forget(&self, id: &UserId) {
        let (place, sign) = self.hashes(id);
        self.classes
            .remove_if(&place, |_, known| *known & !1 == sign);
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
    let mut reading = Reading::all();
    let mut looked_back = Instant::now();
    let mut was_full = false;
    while let Some(directory) = directory.upgrade() {
        let is_first = reading.is_first;
        let back = if looked_back.elapsed() > LOOK_FURTHER_BACK {
            looked_back = Instant::now();
            SLOW_CHANGE_SECONDS
        } else {
            USUAL_CHANGE_SECONDS
        };
        match reading.finish(&db, &directory, back).await {
            Ok(()) if is_first => info!(users = directory.classes.len(), "users are at hand"),
            Ok(()) => {}
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

/// How far users have been read, by the time of their last change.
struct Reading {
    /// It goes on here, also after an error.
    mark: Mark,
    /// Where the next one begins, known before this one has read anything.
    next: Option<String>,
    /// Whether it is the one for those who were there before.
    is_first: bool,
}

impl Reading {
    fn all() -> Self {
        Self {
            mark: Mark::at(START.to_owned()),
            next: None,
            is_first: true,
        }
    }

    /// Reads to the end, or until no more users are wanted. The next one begins so many seconds
    /// before this one.
    async fn finish(
        &mut self,
        db: &Database,
        directory: &UserDirectory,
        back: u32,
    ) -> Result<(), StoreError> {
        if self.next.is_none() {
            self.next = Some(db.read(time_before(db, back)).await?);
        }
        loop {
            let page = db.read(page_after(db, &self.mark)).await?;
            let is_last = page.len() < PAGE;
            for (id, code, changed_at) in page {
                match user_id("users", &id).and_then(|id| Ok((id, class("users", code)?))) {
                    Ok((id, class)) => directory.learn(&id, class),
                    Err(error) => {
                        error!(error = %error.of_row(&id), "left out a user that cannot be read")
                    }
                }
                self.mark = Mark { changed_at, id };
            }
            if is_last || (self.is_first && directory.is_full()) {
                if let Some(next) = self.next.take() {
                    self.mark = Mark::at(next);
                }
                self.is_first = false;
                return Ok(());
            }
        }
    }
}

/// So many seconds ago by the server's clock.
async fn time_before(db: &Database, seconds: u32) -> Result<String, StoreError> {
    let mut lease = db.lease_reading().await?;
    let time = sqlx::query_scalar("SELECT CAST(SYSDATE(6) - INTERVAL ? SECOND AS CHAR)")
        .bind(seconds)
        .fetch_one(lease.connection())
        .await?;
    lease.give_back();
    Ok(time)
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
