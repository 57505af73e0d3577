//! The store as the contracts want it.

use std::sync::Arc;
use std::time::Duration;

use adapter_mysql::{MySqlConfig, MySqlStore};
use port_contracts::{ManualClock, StoreHarness, StorePorts, fixtures};
use test_servers::TestDatabase;

pub(crate) fn config(database: &TestDatabase) -> MySqlConfig {
    MySqlConfig {
        urls: vec![database.url()],
        only_reads: false,
        max_connections: 12,
        // The cases live by a clock of their own.
        max_clock_skew: Duration::MAX,
        user_directory_max: 100,
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

fn ports(store: Arc<MySqlStore>) -> StorePorts {
    StorePorts {
        users: store.clone(),
        shows: store.clone(),
        claims: store.clone(),
        ledger: store,
    }
}
