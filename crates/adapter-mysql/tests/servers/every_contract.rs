//! All contracts of the store, one case after the other, on one server.

/// Makes `every_contract_holds`, which runs them.
macro_rules! every_contract {
    () => {
        static SERVER: std::sync::OnceLock<String> = std::sync::OnceLock::new();

        async fn store() -> port_contracts::StoreHarness {
            $crate::every_contract::store(SERVER.get().unwrap().clone()).await
        }

        port_contracts::user_repository_contract!(store, in_turn);
        port_contracts::show_repository_contract!(store, in_turn);
        port_contracts::ticket_ledger_contract!(store, in_turn);
        port_contracts::lane_claims_contract!(store, in_turn);

        async fn every_contract_holds(server: &port_contracts::database_server::DatabaseServer) {
            SERVER.set(server.url()).unwrap();
            user_repository::in_turn().await;
            show_repository::in_turn().await;
            ticket_ledger::in_turn().await;
            lane_claims::in_turn().await;
        }
    };
}

use std::sync::Arc;
use std::time::Duration;

use adapter_mysql::MySqlStore;
use port_contracts::services::TestDatabase;
use port_contracts::{ManualClock, StoreHarness, StorePorts, fixtures};

use crate::scene::config;

pub(crate) async fn store(server: String) -> StoreHarness {
    let database = TestDatabase::create_on(server).await;
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let mut config = config(vec![database.url()]);
    config.max_clock_skew = Duration::MAX;
    config.user_directory_max = 100;
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
