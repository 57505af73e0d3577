//! Users at hand: a copy of who exists and in which class, so that an order
//! asks the store nothing. Who is not in it is looked up.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use domain::author::Author;
use domain::ids::UserId;
use domain::ports::{
    CreateUserError, UserAuthors, UserChanges, UserMark, UserRepository, UserRepositoryError,
};
use domain::user::{PriorityClass, User, UserChange};
use runtime::error_chain;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::reads::CacheReads;

/// How often changes of other processes are looked for.
const REFRESH: Duration = Duration::from_secs(1);
/// Users of one query.
const PAGE: usize = 5_000;
/// Parts with a lock each: many, so that threads seldom meet at one.
const SHARDS: usize = 256;
/// What a change may take from its time to its commit: so far back every look goes, since nobody
/// has seen what was not committed.
const USUAL_CHANGE: Duration = Duration::from_secs(3);
/// The same for changes that took unusually long, for which a look now and then goes further back.
const SLOW_CHANGE: Duration = Duration::from_secs(1_200);
const LOOK_FURTHER_BACK: Duration = Duration::from_secs(60);

/// A repository that has the classes of users in memory, up to a number of users.
pub struct UserDirectory {
    users: Arc<dyn UserRepository>,
    classes: Arc<Classes>,
    reads: Arc<CacheReads>,
}

impl UserDirectory {
    /// In front of `store`. Reads up to `max` users in the background, then what changes, for as
    /// long as somebody has the directory. Must be called inside of a tokio runtime.
    pub fn start<S>(store: Arc<S>, max: usize) -> Self
    where
        S: UserRepository + UserChanges + 'static,
    {
        let classes = Arc::new(Classes::of(max));
        if max > 0 {
            let changes: Arc<dyn UserChanges> = store.clone();
            tokio::spawn(keep_current(changes, Arc::downgrade(&classes)));
        }
        let users = store;
        Self {
            users,
            classes,
            reads: Arc::default(),
        }
    }

    /// How often it had a user's class.
    #[must_use]
    pub fn reads(&self) -> Arc<CacheReads> {
        Arc::clone(&self.reads)
    }
}

#[async_trait]
impl UserRepository for UserDirectory {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        self.users.find(id).await
    }

    async fn class_of(&self, id: &UserId) -> Result<Option<PriorityClass>, UserRepositoryError> {
        if let Some(class) = self.reads.count(self.classes.class_of(id)) {
            return Ok(Some(class));
        }
        let class = self.reads.ask(self.users.class_of(id)).await?;
        if let Some(class) = class {
            self.classes.learn(id, class);
        }
        Ok(class)
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<User>, UserRepositoryError> {
        self.users.list(after, limit).await
    }

    async fn authors_of(&self, id: &UserId) -> Result<UserAuthors, UserRepositoryError> {
        self.users.authors_of(id).await
    }

    async fn create(&self, user: &User, by: Option<&Author>) -> Result<(), CreateUserError> {
        self.users.create(user, by).await
    }

    async fn change(
        &self,
        id: &UserId,
        change: &UserChange,
        by: Option<&Author>,
    ) -> Result<Option<User>, UserRepositoryError> {
        let changed = self.users.change(id, change, by).await?;
        if let Some(user) = &changed {
            self.classes.learn(id, user.priority);
        }
        Ok(changed)
    }

    async fn erase(&self, id: &UserId, alias: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        self.classes.forget(id);
        let erased = self.users.erase(id, alias).await;
        // An order that came before the store had removed the user has looked it up again.
        self.classes.forget(id);
        erased
    }
}

/// Classes by user.
///
/// A user is known by two keyed hashes, 127 bits of them, which take a third of the memory of
/// ids. Should two users ever share them, one would be taken for the other here, and nowhere
/// else: whether a user exists is decided by the ledger.
struct Classes {
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

impl Classes {
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
    fn class_of(&self, id: &UserId) -> Option<PriorityClass> {
        let (place, sign) = self.hashes(id);
        let known = *self.classes.get(&place)?;
        (known & !1 == sign).then_some(if known & 1 == 1 {
            PriorityClass::High
        } else {
            PriorityClass::Standard
        })
    }

    /// Takes note of what the database says. A user too many is left out.
    fn learn(&self, id: &UserId, class: PriorityClass) {
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
    fn forget(&self, id: &UserId) {
        let (place, sign) = self.hashes(id);
        self.classes
            .remove_if(&place, |_, known| *known & !1 == sign);
    }

    fn is_full(&self) -> bool {
        self.classes.len() >= self.max
    }
}

async fn keep_current(changes: Arc<dyn UserChanges>, classes: Weak<Classes>) {
    let mut reading = Reading::all();
    let mut looked_back = Instant::now();
    let mut was_full = false;
    while let Some(classes) = classes.upgrade() {
        let is_first = reading.is_first;
        let back = if looked_back.elapsed() > LOOK_FURTHER_BACK {
            looked_back = Instant::now();
            SLOW_CHANGE
        } else {
            USUAL_CHANGE
        };
        match reading.finish(&*changes, &classes, back).await {
            Ok(()) if is_first => info!(users = classes.classes.len(), "all users are in memory"),
            Ok(()) => {}
            // That the store is away is told by those who need it.
            Err(error) => {
                let error = error_chain(&error);
                debug!(error, "could not read the changes of users; trying again");
            }
        }
        if classes.is_full() && !was_full {
            let max = classes.max;
            warn!(
                max,
                "the user directory is full (user_directory_max): other users cost a query each"
            );
            was_full = true;
        }
        drop(classes);
        sleep(REFRESH).await;
    }
}

/// How far users have been read, by the time of their last change.
struct Reading {
    /// It goes on here, also after an error.
    place: Option<UserMark>,
    /// Where the next one begins, known before this one has read anything.
    next: Option<UserMark>,
    /// Whether it is the one for those who were there before.
    is_first: bool,
}

impl Reading {
    const fn all() -> Self {
        Self {
            place: None,
            next: None,
            is_first: true,
        }
    }

    /// Reads to the end, or until no more users are wanted. The next one begins so long
    /// before this one.
    async fn finish(
        &mut self,
        changes: &dyn UserChanges,
        classes: &Classes,
        back: Duration,
    ) -> Result<(), UserRepositoryError> {
        if self.next.is_none() {
            self.next = Some(changes.place_before(back).await?);
        }
        loop {
            let changed = changes.changed_after(self.place.as_ref(), PAGE).await?;
            for (id, class) in changed.users {
                classes.learn(&id, class);
            }
            let is_last = changed.next.is_none();
            if is_last || (self.is_first && classes.is_full()) {
                self.place = self.next.take();
                self.is_first = false;
                return Ok(());
            }
            self.place = changed.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::ports::ChangedUsers;
    use domain::user::UserName;
    use parking_lot::Mutex;

    use super::*;

    /// A store that counts how often it is asked for a user, and fails while it erases one.
    #[derive(Default)]
    struct Store {
        users: Mutex<BTreeMap<UserId, PriorityClass>>,
        asked: AtomicUsize,
    }

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    impl Store {
        fn of(users: &[&str]) -> Arc<Self> {
            let store = Self::default();
            let all = users.iter().map(|user| (id(user), PriorityClass::High));
            store.users.lock().extend(all);
            Arc::new(store)
        }
    }

    #[async_trait]
    impl UserRepository for Store {
        async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let class = self.users.lock().get(id).copied();
            Ok(class.map(|priority| User {
                id: id.clone(),
                name: UserName::new("x").unwrap(),
                priority,
            }))
        }

        async fn list(
            &self,
            _: Option<&UserId>,
            _: usize,
        ) -> Result<Vec<User>, UserRepositoryError> {
            Ok(Vec::new())
        }

        async fn authors_of(&self, _: &UserId) -> Result<UserAuthors, UserRepositoryError> {
            Ok(UserAuthors::default())
        }

        async fn create(&self, _: &User, _: Option<&Author>) -> Result<(), CreateUserError> {
            Ok(())
        }

        async fn change(
            &self,
            _: &UserId,
            _: &UserChange,
            _: Option<&Author>,
        ) -> Result<Option<User>, UserRepositoryError> {
            Ok(None)
        }

        async fn erase(&self, id: &UserId, _: &UserId) -> Result<Option<u64>, UserRepositoryError> {
            self.users.lock().remove(id);
            Err(UserRepositoryError::Unavailable(
                "half of it is done".into(),
            ))
        }
    }

    #[async_trait]
    impl UserChanges for Store {
        async fn place_before(&self, _: Duration) -> Result<UserMark, UserRepositoryError> {
            Ok(UserMark {
                changed_at: String::new(),
                id: Vec::new(),
            })
        }

        async fn changed_after(
            &self,
            _: Option<&UserMark>,
            _: usize,
        ) -> Result<ChangedUsers, UserRepositoryError> {
            let users = self.users.lock();
            Ok(ChangedUsers {
                users: users
                    .iter()
                    .map(|(id, class)| (id.clone(), *class))
                    .collect(),
                next: None,
            })
        }
    }

    /// How often the store was asked, and what for.
    async fn class_of(store: &Store, directory: &UserDirectory, user: &str) -> (usize, bool) {
        let before = store.asked.load(Ordering::Relaxed);
        let class = directory.class_of(&id(user)).await.unwrap();
        let asked = store.asked.load(Ordering::Relaxed) - before;
        (asked, class.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn those_at_hand_are_not_asked_for_and_a_miss_is_never_cached() {
        let store = Store::of(&["1", "2", "3"]);
        let directory = UserDirectory::start(Arc::clone(&store), 2);
        sleep(REFRESH).await;
        for user in ["1", "2"] {
            assert_eq!(
                class_of(&store, &directory, user).await,
                (0, true),
                "{user}"
            );
        }
        for user in ["3", "nobody", "3", "nobody"] {
            let exists = user == "3";
            assert_eq!(
                class_of(&store, &directory, user).await,
                (1, exists),
                "{user}"
            );
        }
        store
            .users
            .lock()
            .insert(id("nobody"), PriorityClass::Standard);
        assert_eq!(class_of(&store, &directory, "nobody").await, (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_erased_is_not_at_hand_although_erasing_failed() {
        let store = Store::of(&["1"]);
        let directory = UserDirectory::start(Arc::clone(&store), 2);
        sleep(REFRESH).await;
        directory.erase(&id("1"), &id("2")).await.unwrap_err();
        assert_eq!(class_of(&store, &directory, "1").await, (1, false));
    }
}
