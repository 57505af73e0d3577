//! The store in MySQL or MariaDB.

use std::sync::Arc;

use adapter_mysql::{MySqlConfig, MySqlStore};
use anyhow::Context;
use caching::{ShowCache, UserDirectory};
use domain::ports::Clock;

use super::{PoolUse, StoreAdapter, StoreFigures, StorePorts, StoreUse, exposed};
use crate::settings::{MySqlSettings, Settings};

impl StoreAdapter for MySqlSettings {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn connections(&self) -> Option<(u32, &'static str)> {
        Some((self.max_connections, "mysql.max_connections"))
    }

    fn address_setting(&self) -> &'static str {
        "mysql.url"
    }

    fn migrates_at_start(&self) -> bool {
        self.migrate_at_start
    }

    fn connect(
        &self,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        usage: StoreUse,
    ) -> anyhow::Result<StorePorts> {
        let config = MySqlConfig {
            urls: exposed(&self.urls),
            only_reads: usage == StoreUse::Reads,
            max_connections: self.max_connections,
            read_timeout: settings.store.read_timeout,
            max_clock_skew: settings.max_clock_skew,
        };
        let users_at_hand = if usage == StoreUse::TakesOrders {
            self.user_directory_max
        } else {
            0
        };
        let store = Arc::new(MySqlStore::new(&config, clock).context("mysql.url or mysql.urls")?);
        let migrated = Arc::clone(&store);
        let users = UserDirectory::start(store.clone(), users_at_hand);
        let shows = ShowCache::new(store.clone());
        let figures = figures(&store, &users, &shows);
        Ok(StorePorts {
            users: Arc::new(users),
            shows: Arc::new(shows),
            figures,
            ledger: store.clone(),
            claims: store.clone(),
            identity: Some(store.clone()),
            examinations: vec![store.clone()],
            dependency: store,
            migrate: Arc::new(move || {
                let store = Arc::clone(&migrated);
                Box::pin(async move { Ok(store.migrate().await?) })
            }),
        })
    }
}

fn figures(store: &Arc<MySqlStore>, users: &UserDirectory, shows: &ShowCache) -> StoreFigures {
    let (pools, clock) = (Arc::clone(store), Arc::clone(store));
    let usage = |pool: adapter_mysql::PoolUse| PoolUse {
        purpose: pool.purpose,
        max: pool.max,
        used: pool.open.saturating_sub(pool.idle),
        idle: pool.idle,
        waiting: pool.waiting,
        waited: pool.waited,
    };
    StoreFigures {
        caches: vec![("users", users.reads()), ("shows", shows.reads())],
        pools: Some(Box::new(move || pools.pools().map(usage).into())),
        clock_ahead_micros: Some(Box::new(move || clock.clock_ahead_micros())),
    }
}
