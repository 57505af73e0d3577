//! Decided state in Redis: its contract, and what only a real server can break.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_redis::{Redis, RedisConfig, RedisStateCache};
use domain::ports::{CacheInstant, Cached, Dependency, State, StateCache, StateKey};
use domain::show::ShowStanding;
use port_contracts::fixtures::{seats, show, show_id};
use port_contracts::{StateCacheHarness, promised, within};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::RedisServer;
use tokio::time::sleep;

/// A busy machine answers within this time.
const PATIENCE: Duration = Duration::from_millis(450);

fn cache_at(url: &str) -> Arc<dyn StateCache> {
    Arc::new(patient(url, PATIENCE))
}

fn patient(url: &str, patience: Duration) -> RedisStateCache {
    let config = RedisConfig {
        url: url.to_owned(),
        prefix: "tests:".to_owned(),
        store: None,
    };
    RedisStateCache::new(Redis::new(&config).unwrap(), patience)
}

async fn cache() -> StateCacheHarness {
    let server = RedisServer::start().await;
    let url = server.url();
    StateCacheHarness {
        cache: cache_at(&url),
        connect: Box::new(move || {
            let url = url.clone();
            Box::pin(async move { cache_at(&url) })
        }),
        keep: Box::new(server),
    }
}

port_contracts::state_cache_contract!(cache);

fn standing(seq: u64) -> State {
    State::Show(ShowStanding {
        show: show("a", 9),
        seats: seats(9, 0, 0),
        seq,
    })
}

fn key() -> StateKey {
    StateKey::Show(show_id("a"))
}

async fn seq(cache: &Arc<dyn StateCache>) -> Option<u64> {
    Some(cache.get(&key()).await?.state?.version())
}

/// Waits until it answers.
async fn answer(cache: &Arc<dyn StateCache>) -> Cached {
    let answering = async {
        loop {
            match cache.get(&key()).await {
                Some(cached) => return cached,
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    within("an answer", answering).await
}

async fn put(cache: &Arc<dyn StateCache>, seq: u64) {
    let until = answer(cache).await.asked_at.plus(Duration::from_secs(600));
    cache.put(standing(seq), until).await;
}

/// Would take hours if each call waited.
async fn assert_nobody_waits(cache: &Arc<dyn StateCache>) {
    let asking = async {
        let first = Instant::now();
        assert_eq!(cache.get(&key()).await, None);
        promised(
            "a cache that does not answer",
            first.elapsed(),
            PATIENCE * 2,
        );
        for _ in 0..50_000 {
            assert_eq!(cache.get(&key()).await, None);
            cache.raise(vec![standing(1)]).await;
        }
    };
    within("what has no cache", asking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_yet_is_used_when_it_comes() {
    let mut server = RedisServer::not_yet();
    let cache = cache_at(&server.url());
    assert_nobody_waits(&cache).await;
    server.start_again().await;
    put(&cache, 3).await;
    assert_eq!(seq(&cache).await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_used_again_and_has_nothing() {
    let mut server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    put(&cache, 3).await;
    server.kill();
    assert_nobody_waits(&cache).await;
    server.start_again().await;
    assert_eq!(answer(&cache).await.state, None);
    put(&cache, 2).await;
    assert_eq!(seq(&cache).await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_not_waited_for_and_used_again() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    put(&cache, 3).await;
    server.freeze();
    assert_nobody_waits(&cache).await;
    server.thaw();
    assert_eq!(answer(&cache).await.state, Some(standing(3)));
}

/// It answers before the driver gives up.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_server_is_not_waited_for() {
    let server = RedisServer::start().await;
    let proxy = TcpProxy::start(&host_and_port(&server.url()))
        .await
        .unwrap();
    let config = RedisConfig {
        url: proxy.url(&server.url()),
        prefix: "tests:".to_owned(),
        store: None,
    };
    let redis = Redis::new(&config).unwrap();
    let patience = Duration::from_millis(40);
    let cache: Arc<dyn StateCache> = Arc::new(RedisStateCache::new(redis, patience));
    put(&cache, 3).await;
    proxy.set(Weather::Distant(patience * 3));
    // It waits for its next answer already, which is not late.
    let _in_time = cache.get(&key()).await;
    assert_eq!(cache.get(&key()).await, None);
    proxy.set(Weather::Fair);
    answer(&cache).await;
}

/// The peer is gone, and nothing says so: the connection is given up, not only what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_is_replaced() {
    let server = RedisServer::start().await;
    let proxy = TcpProxy::start(&host_and_port(&server.url()))
        .await
        .unwrap();
    let cache = cache_at(&proxy.url(&server.url()));
    put(&cache, 3).await;
    proxy.forget();
    assert_eq!(cache.get(&key()).await, None);
    assert_eq!(answer(&cache).await.state, Some(standing(3)));
    proxy.set(Weather::Stalled);
    assert_nobody_waits(&cache).await;
    proxy.set(Weather::Fair);
    assert_eq!(answer(&cache).await.state, Some(standing(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_this_program_is_a_miss_and_is_replaced() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    let key = "tests:show:a";
    for garbage in ["", "x", "1:", "1:7:{}", "1:7:{\"show\":{}}", "0:0:x"] {
        server.tell(&["SET", key, garbage]);
        assert_eq!(seq(&cache).await, None, "{garbage}");
        server.tell(&["DEL", key]);
    }
    for garbage in ["", "x", "nonsense:9:x"] {
        server.tell(&["SET", key, garbage]);
        put(&cache, 3).await;
        assert_eq!(seq(&cache).await, Some(3), "{garbage}");
        server.tell(&["DEL", key]);
    }
    server.tell(&["LPUSH", key, "a list"]);
    assert_eq!(seq(&cache).await, None);
    cache.raise(vec![standing(2)]).await;
    put(&cache, 3).await;
    assert_eq!(seq(&cache).await, Some(3));
    server.tell(&["DEL", key]);
    // That of another key is not told, either.
    put(&cache, 3).await;
    let value = server.tell(&["GET", key]);
    server.tell(&["SET", "tests:show:b", value.trim()]);
    let of_other = cache.get(&StateKey::Show(show_id("b"))).await;
    assert_eq!(of_other.unwrap().state, None);
    server.tell(&["DEL", key]);
    // A value of another release counts by its number, and is never told.
    server.tell(&["SET", key, "99:7:whatever", "PX", "600000"]);
    assert_eq!(seq(&cache).await, None);
    put(&cache, 6).await;
    assert_eq!(server.tell(&["GET", key]).trim(), "99:7:whatever");
    put(&cache, 8).await;
    assert_eq!(seq(&cache).await, Some(8));
}

/// It answers, and takes nothing: what cannot be replaced is removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_keeps_nothing_that_is_known_to_be_old() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    put(&cache, 3).await;
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(seq(&cache).await, Some(3));
    put(&cache, 4).await;
    assert_eq!(seq(&cache).await, Some(3));
    cache.raise(vec![standing(4)]).await;
    assert_eq!(answer(&cache).await.state, None);
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    put(&cache, 5).await;
    assert_eq!(seq(&cache).await, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_ends_by_itself() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    put(&cache, 3).await;
    cache.raise(vec![standing(4)]).await;
    let left: i64 = server
        .tell(&["PTTL", "tests:show:a"])
        .trim()
        .parse()
        .unwrap();
    assert!((1..=600_000).contains(&left), "{left}");
}

/// What lasts for ever was put by somebody else; readers learn when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_said_and_replaced_whatever_its_number() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url());
    put(&cache, 9).await;
    server.tell(&["PERSIST", "tests:show:a"]);
    assert_eq!(answer(&cache).await.until, CacheInstant(u64::MAX));
    put(&cache, 3).await;
    assert_eq!(seq(&cache).await, Some(3));
    assert_ne!(server.tell(&["PTTL", "tests:show:a"]).trim(), "-1");
}

async fn until_well(cache: &RedisStateCache) {
    let well = async {
        while cache.check().await.is_err() {
            let _read = cache.get(&key()).await;
            sleep(Duration::from_millis(10)).await;
        }
    };
    within("a cache that works again", well).await;
}

/// The server takes more time than readers have, and does all that it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_that_a_server_is_too_slow_for_readers() {
    let server = RedisServer::start().await;
    let proxy = TcpProxy::start(&host_and_port(&server.url()))
        .await
        .unwrap();
    let cache = patient(&proxy.url(&server.url()), Duration::from_millis(100));
    until_well(&cache).await;
    proxy.set(Weather::Distant(Duration::from_millis(200)));
    // What was on its way may have passed.
    let slow = async { while cache.get(&key()).await.is_some() {} };
    within("a slow answer", slow).await;
    let down = cache.check().await.unwrap_err();
    assert!(down.reason.contains("no answer within 100ms"), "{down}");
    proxy.set(Weather::Fair);
    until_well(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_that_the_user_may_run_no_scripts() {
    let server = RedisServer::start().await;
    let rights = ["~*", "+set", "+mget", "+pttl", "+time", "+hello", "+client"];
    let user = ["ACL", "SETUSER", "shop", "on", ">secret"];
    server.tell(&[&user[..], &rights].concat());
    let url = server.url().replace("://", "://shop:secret@");
    let cache = Arc::new(patient(&url, PATIENCE));
    let port: Arc<dyn StateCache> = cache.clone();
    until_well(&cache).await;
    put(&port, 1).await;
    let down = cache.check().await.unwrap_err();
    assert!(down.reason.contains("it takes no writes"), "{down}");
    server.tell(&["ACL", "SETUSER", "shop", "+@all"]);
    put(&port, 1).await;
    cache.check().await.unwrap();
}
