//! A server whose every default is another one than this adapter needs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use adapter_mysql::{MySqlConfig, MySqlStore};
use port_contracts::database_server::DatabaseServer;
use port_contracts::services::TestDatabase;
use port_contracts::{ManualClock, StoreHarness, StorePorts, fixtures};

const DEFAULTS: &[&str] = &[
    "--autocommit=0",
    "--completion-type=CHAIN",
    "--transaction-isolation=SERIALIZABLE",
    "--transaction-read-only=ON",
    "--innodb-lock-wait-timeout=1",
    "--wait-timeout=3",
    "--interactive-timeout=3",
    "--sql-mode=ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH",
    "--default-time-zone=+13:00",
    "--character-set-server=latin1",
    "--default-storage-engine=MyISAM",
    "--innodb-rollback-on-timeout=ON",
    "--init-connect=SET sql_safe_updates = 1, sql_auto_is_null = 1, sql_select_limit = 2, \
     unique_checks = 0",
];
/// Set when the tests' own users have been made.
const OF_MARIADB: &str = "SET GLOBAL check_constraint_checks = OFF, \
     GLOBAL max_statement_time = 0.05, GLOBAL lock_wait_timeout = 0, \
     GLOBAL idle_write_transaction_timeout = 1";
const OF_MYSQL: &str = "SET GLOBAL max_execution_time = 50, GLOBAL lock_wait_timeout = 1";

static SERVER: OnceLock<String> = OnceLock::new();

async fn store() -> StoreHarness {
    let database = TestDatabase::create_on(SERVER.get().unwrap().clone()).await;
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let config = MySqlConfig {
        urls: vec![database.url()],
        only_reads: false,
        max_connections: 12,
        max_clock_skew: Duration::MAX,
        user_directory_max: 100,
    };
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

port_contracts::user_repository_contract!(store, in_turn);
port_contracts::show_repository_contract!(store, in_turn);
port_contracts::ticket_ledger_contract!(store, in_turn);
port_contracts::lane_claims_contract!(store, in_turn);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_contract_holds_on_a_server_whose_defaults_are_hostile() {
    let of_its_kind = if std::env::var_os("TICKETS_TEST_MYSQL_ROOT").is_some() {
        OF_MYSQL
    } else {
        OF_MARIADB
    };
    let server = DatabaseServer::start(DEFAULTS).await;
    server.execute(of_its_kind).await;
    SERVER.set(server.url()).unwrap();
    user_repository::in_turn().await;
    show_repository::in_turn().await;
    ticket_ledger::in_turn().await;
    lane_claims::in_turn().await;
}
