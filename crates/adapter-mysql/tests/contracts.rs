//! The store's side of every contract, each case on a database of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod harness;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapter_mysql::{MySqlConfig, MySqlStore};
use async_trait::async_trait;
use domain::ports::{Clock, Dependency, DependencyDown, StoreIdentity};
use domain::time::Timestamp;
use port_contracts::{ManualClock, StoreHarness, fixtures};
use test_servers::TestDatabase;

use self::harness::config;

async fn store() -> StoreHarness {
    harness::store(TestDatabase::create().await).await
}

port_contracts::user_repository_contract!(store);
port_contracts::show_repository_contract!(store);
port_contracts::ticket_ledger_contract!(store);
port_contracts::lane_claims_contract!(store);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros();
        Timestamp::from_micros(i64::try_from(micros).unwrap()).unwrap()
    }
}

/// A store with its database, asked for nothing but its health.
struct KeptStore {
    store: MySqlStore,
    _database: TestDatabase,
}

#[async_trait]
impl Dependency for KeptStore {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        self.store.check().await
    }
}

/// Up, and by the same clock as the server.
async fn dependency() -> Arc<dyn Dependency> {
    let database = TestDatabase::create().await;
    let config = MySqlConfig {
        max_clock_skew: Duration::from_millis(100),
        ..config(&database)
    };
    let store = MySqlStore::new(&config, Arc::new(SystemClock)).unwrap();
    store.migrate().await.unwrap();
    Arc::new(KeptStore {
        store,
        _database: database,
    })
}

port_contracts::dependency_contract!(dependency);

/// All processes of a deployment, and no other deployment's.
#[tokio::test]
async fn a_deployment_has_one_id_as_long_as_its_database_lives() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let connect = |database: &TestDatabase| {
        MySqlStore::new(&config(database), clock.clone() as Arc<dyn Clock>).unwrap()
    };
    let store = connect(&one);
    store.deployment().await.unwrap_err();
    store.migrate().await.unwrap();
    let id = store.deployment().await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(connect(&one).deployment().await.unwrap(), id);
    let of_other = connect(&other);
    of_other.migrate().await.unwrap();
    assert_ne!(of_other.deployment().await.unwrap(), id);

    one.execute("DELETE FROM deployment").await;
    let told = store.deployment().await.unwrap_err().to_string();
    assert!(told.contains("deployment") && told.contains("[]"), "{told}");
}
