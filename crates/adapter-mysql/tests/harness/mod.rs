//! The store as the contracts want it, with the caches that processes put in front of it.

use std::sync::Arc;
use std::time::Duration;

use adapter_mysql::{MySqlConfig, MySqlStore};
use caching::{ShowCache, UserDirectory};
use port_contracts::{ManualClock, StoreHarness, StoreUnderTest, fixtures};
use test_servers::TestDatabase;

const USERS_AT_HAND: usize = 100;

pub(crate) fn config(database: &TestDatabase) -> MySqlConfig {
    MySqlConfig {
        urls: vec![database.url()],
        only_reads: false,
        max_connections: 12,
        // A busy machine fails no case.
        read_timeout: Duration::from_secs(60),
        // The cases live by a clock of their own.
        max_clock_skew: Duration::MAX,
    }
}

pub(crate) async fn store(database: TestDatabase) -> StoreHarness {
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let config = config(&database);
    let first = Arc::new(MySqlStore::new(&config, clock.clone()).unwrap());
    first.migrate().await.unwrap();
    let process_clock = Arc::clone(&clock);
    StoreHarness {
        ports: ports(first),
        clock,
        connect: Box::new(move || {
            let store = Arc::new(MySqlStore::new(&config, process_clock.clone()).unwrap());
            Box::pin(async { ports(store) })
        }),
        keep: Box::new(database),
    }
}

fn ports(store: Arc<MySqlStore>) -> StoreUnderTest {
    StoreUnderTest {
        users: Arc::new(UserDirectory::start(store.clone(), USERS_AT_HAND)),
        shows: Arc::new(ShowCache::new(store.clone())),
        claims: store.clone(),
        ledger: store,
    }
}
