//! Two deployments on one Redis that were given the same prefix.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adapter_redis::{Redis, RedisConfig, RedisStateCache, RedisTokens};
use async_trait::async_trait;
use domain::ports::{
    Dependency, DependencyDown, DeploymentId, State, StateCache, StateKey, StoreIdentity,
};
use domain::show::ShowStanding;
use limits::{Limit, SharedTokens, Subject};
use port_contracts::fixtures::{seats, show, show_id};
use port_contracts::within;
use test_servers::RedisServer;
use tokio::time::sleep;

/// A busy machine answers within this time.
const PATIENCE: Duration = Duration::from_millis(450);

/// Says which deployment it belongs to unless it is down.
struct Store {
    deployment: u32,
    is_down: AtomicBool,
}

impl Store {
    fn of(deployment: u32) -> Arc<Self> {
        let is_down = AtomicBool::new(false);
        Arc::new(Self {
            deployment,
            is_down,
        })
    }
}

#[async_trait]
impl StoreIdentity for Store {
    async fn deployment(&self) -> Result<DeploymentId, DependencyDown> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(DependencyDown::because("it sleeps".to_owned()));
        }
        Ok(DeploymentId::new(self.deployment).unwrap())
    }
}

fn redis(server: &RedisServer, store: &Arc<Store>) -> Redis {
    let config = RedisConfig {
        url: server.url(),
        prefix: "tickets:".to_owned(),
        store: Some(store.clone()),
    };
    Redis::new(&config).unwrap()
}

fn key() -> StateKey {
    StateKey::Show(show_id("a"))
}

async fn put(cache: &RedisStateCache) {
    let until = cache.get(&key()).await.unwrap().asked_at;
    let until = until.plus(Duration::from_secs(600));
    let standing = ShowStanding {
        show: show("a", 9),
        seats: seats(9, 0, 0),
        seq: 1,
    };
    cache.put(State::Show(standing), until).await;
    assert!(cache.get(&key()).await.unwrap().state.is_some());
}

#[tokio::test]
async fn they_share_nothing() {
    let server = RedisServer::start().await;
    let [one, other] = [1, 2].map(|deployment| redis(&server, &Store::of(deployment)));
    let caches = [&one, &other].map(|redis| RedisStateCache::new(redis.clone(), PATIENCE));
    put(&caches[0]).await;
    assert_eq!(caches[1].get(&key()).await.unwrap().state, None);
    for redis in [&one, &other] {
        let tokens = Arc::new(RedisTokens::new(redis.clone()));
        let tokens = Arc::new(SharedTokens::start(tokens, PATIENCE).await);
        let limit = Limit::new("limit", "1/h".parse().unwrap(), Some(&tokens));
        let limit = Arc::new(limit);
        limit.take(Subject::User("ada")).await.unwrap();
        redis.check().await.unwrap();
    }
    let keys = server.tell(&["KEYS", "*"]);
    for key in keys.lines() {
        let of_one = ["tickets:1:", "tickets:2:"].map(|prefix| key.starts_with(prefix));
        assert!(of_one.contains(&true), "{key}");
    }
}

#[tokio::test]
async fn nothing_is_shared_before_the_store_has_said_which_one_it_is() {
    let server = RedisServer::start().await;
    let store = Store::of(1);
    store.is_down.store(true, Ordering::Relaxed);
    let cache = RedisStateCache::new(redis(&server, &store), PATIENCE);
    assert_eq!(cache.get(&key()).await, None);
    let down = cache.check().await.unwrap_err();
    assert!(
        down.reason.contains("which deployment this is: it sleeps"),
        "{down}"
    );
    assert_eq!(server.tell(&["DBSIZE"]).trim(), "0");
    store.is_down.store(false, Ordering::Relaxed);
    let answers = async {
        while cache.get(&key()).await.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    within("an answer", answers).await;
    put(&cache).await;
    cache.check().await.unwrap();
}
