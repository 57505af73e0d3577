//! A store behind a proxy.

use std::sync::Arc;
use std::time::Duration;

use adapter_mysql::{MIN_CONNECTIONS, MySqlConfig, MySqlStore};
use caching::UserDirectory;
use domain::ports::{ShowRepository, UserRepository};
use domain::user::PriorityClass;
use port_contracts::fixtures::{self, OrderSource};
use port_contracts::{ManualClock, within};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::{TestDatabase, services};
use tokio::time::sleep;

pub(crate) const USER: &str = "1";

pub(crate) struct Store {
    pub(crate) store: Arc<MySqlStore>,
    directory: UserDirectory,
    pub(crate) source: OrderSource,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) proxy: TcpProxy,
    pub(crate) database: TestDatabase,
}

impl Store {
    /// Shows `a` and `b` with ten seats each, and a user.
    pub(crate) async fn new(max_clock_skew: Duration) -> Self {
        Self::with_directory(max_clock_skew, 0).await
    }

    /// The same, with so many users at hand.
    pub(crate) async fn with_directory(
        max_clock_skew: Duration,
        user_directory_max: usize,
    ) -> Self {
        Self::with(8, max_clock_skew, user_directory_max).await
    }

    /// With as few connections as there can be.
    pub(crate) async fn with_few_connections() -> Self {
        Self::with(MIN_CONNECTIONS, Duration::MAX, 0).await
    }

    async fn with(
        max_connections: u32,
        max_clock_skew: Duration,
        user_directory_max: usize,
    ) -> Self {
        let database = TestDatabase::create().await;
        let proxy = TcpProxy::start(&host_and_port(&services::mysql_url()))
            .await
            .unwrap();
        let config = MySqlConfig {
            urls: vec![proxy.url(&database.url())],
            only_reads: false,
            max_connections,
            read_timeout: Duration::from_secs(3),
            max_clock_skew,
        };
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        let store = Arc::new(MySqlStore::new(&config, clock.clone()).unwrap());
        store.migrate().await.unwrap();
        for show in ["a", "b"] {
            let show = fixtures::show(show, 10);
            ShowRepository::create(&*store, &show, None).await.unwrap();
        }
        let user = fixtures::user(USER);
        UserRepository::create(&*store, &user, None).await.unwrap();
        Self {
            directory: UserDirectory::start(store.clone(), user_directory_max),
            store,
            source: OrderSource::new(1),
            clock,
            proxy,
            database,
        }
    }

    pub(crate) async fn available(&self, show: &str) -> u32 {
        let show = fixtures::show_id(show);
        let standings = self.store.standings(&[show]).await.unwrap();
        standings[0].seats.available
    }

    /// The class that an order of this user gets.
    pub(crate) async fn class_of(&self, user: &str) -> Option<PriorityClass> {
        let id = fixtures::user_id(user);
        let asked = async {
            loop {
                // A caller that uses a connection that was cut learns of it.
                if let Ok(class) = self.directory.class_of(&id).await {
                    return class;
                }
            }
        };
        within("an answer", asked).await
    }

    /// How many of these users are known without the database.
    pub(crate) async fn at_hand(&self, users: &[&str]) -> usize {
        self.proxy.set(Weather::Down);
        self.proxy.cut();
        let mut count = 0;
        for user in users {
            let class = self.directory.class_of(&fixtures::user_id(user)).await;
            count += usize::from(class.is_ok_and(|class| class.is_some()));
        }
        self.proxy.set(Weather::Fair);
        count
    }

    pub(crate) async fn wait_until_at_hand(&self, number: usize, users: &[&str]) {
        let known = async {
            // Time for reading once more, after an attempt that failed: each look cuts
            // the reading off, and a busy machine needs longer for it.
            let mut pause = Duration::from_secs(3);
            while self.at_hand(users).await != number {
                sleep(pause).await;
                pause += Duration::from_secs(1);
            }
        };
        within("the users are at hand", known).await;
    }

    /// Rows of every table that a decision writes.
    pub(crate) async fn rows(&self) -> i64 {
        self.database
            .number(
                "SELECT (SELECT COUNT(*) FROM tickets) + (SELECT COUNT(*) FROM holds) + \
                 (SELECT COUNT(*) FROM live_seats)",
            )
            .await
    }
}
