//! Limits over a real Redis: their contract, processes that share them, and every fault.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use adapter_redis::{Redis, RedisConfig, RedisTokens};
use domain::ports::Dependency;
use limits::{Limit, SharedTokens, Subject, TokenStore, Want};
use parking_lot::Mutex;
use port_contracts::{LimitHarness, within};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::{RedisServer, services};
use tokio::time::sleep;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// As in the product.
const PATIENCE: Duration = Duration::from_millis(40);
/// For what a busy machine must not change.
const LONG: Duration = Duration::from_secs(5);

fn redis(url: &str, prefix: &str) -> Redis {
    let (url, prefix) = (url.to_owned(), prefix.to_owned());
    let store = None;
    Redis::new(&RedisConfig { url, prefix, store }).unwrap()
}

/// What one process has.
async fn tokens(url: &str, prefix: &str, patience: Duration) -> Arc<SharedTokens> {
    let store = Arc::new(RedisTokens::new(redis(url, prefix)));
    Arc::new(SharedTokens::start(store, patience).await)
}

fn limit(tokens: &Arc<SharedTokens>, rate: &str) -> Arc<Limit> {
    Arc::new(Limit::new("limit", rate.parse().unwrap(), Some(tokens)))
}

fn own_prefix() -> String {
    format!("test-{:016x}:", rand::random::<u64>())
}

async fn shared() -> LimitHarness {
    LimitHarness {
        tokens: Some(tokens(&services::redis_url(), &own_prefix(), LONG).await),
        keep: Box::new(()),
    }
}

port_contracts::limit_contract!(shared);

async fn dependency() -> Arc<dyn Dependency> {
    Arc::new(redis(&services::redis_url(), &own_prefix()))
}

port_contracts::dependency_contract!(dependency);

/// How many of so many are let through, by these processes in turn.
async fn taken(limits: &[Arc<Limit>], asks: usize) -> usize {
    let mut taken = 0;
    for (limit, _) in limits.iter().cycle().zip(0..asks) {
        taken += usize::from(limit.take(Subject::User("ada")).await.is_ok());
    }
    taken
}

#[tokio::test]
async fn processes_share_a_limit() {
    let (url, prefix) = (services::redis_url(), own_prefix());
    let one = limit(&tokens(&url, &prefix, LONG).await, "12/h");
    let other = limit(&tokens(&url, &prefix, LONG).await, "12/h");
    assert_eq!(taken(&[one.clone(), other.clone()], 40).await, 12);
    // Both know when there is another one.
    for limit in [one, other] {
        let refused = limit.take(Subject::User("ada")).await.unwrap_err();
        assert!((200..=300).contains(&refused.retry_after()), "{refused:?}");
    }
    let stranger = limit(&tokens(&url, &own_prefix(), LONG).await, "12/h");
    assert_eq!(taken(&[stranger], 13).await, 12);
}

/// What a process does not use is lost to the client; never is there more than the limit.
#[tokio::test]
async fn portions_cost_a_client_a_twentieth_for_each_process_at_most() {
    let (url, prefix) = (services::redis_url(), own_prefix());
    let mut limits = Vec::new();
    for _ in 0..3 {
        limits.push(limit(&tokens(&url, &prefix, LONG).await, "200/h"));
    }
    let taken = taken(&limits, 600).await;
    assert!((170..=200).contains(&taken), "{taken}");
}

/// A limit that was loosened counts at once, and one of another process stays as it is.
#[tokio::test]
async fn other_rates_are_counted_apart() {
    let (url, prefix) = (services::redis_url(), own_prefix());
    let tokens = tokens(&url, &prefix, LONG).await;
    let strict = limit(&tokens, "5/h");
    assert_eq!(taken(&[strict], 9).await, 5);
    let loose = limit(&tokens, "100/s");
    assert_eq!(taken(&[loose], 20).await, 20);
    let strict = limit(&tokens, "5/h");
    assert_eq!(taken(&[strict], 1).await, 0);
}

/// What else is there for other clients counts, too.
#[tokio::test]
async fn something_else_under_a_clients_key_is_overwritten() {
    let server = RedisServer::start().await;
    let limit = limit(&tokens(&server.url(), "a:", LONG).await, "2/h");
    server.tell(&["LPUSH", "a:limits:limit:2/h:list", "x"]);
    let texts = [
        "nonsense", "nan", "-nan", "inf", "-inf", "1e999", "-5", "0x10", "1",
    ];
    for text in texts {
        server.tell(&["SET", &format!("a:limits:limit:2/h:{text}"), text]);
    }
    for user in texts.iter().chain(&["list"]) {
        limit.take(Subject::User(user)).await.unwrap();
        let key = format!("a:limits:limit:2/h:{user}");
        let left: i64 = server.tell(&["PTTL", &key]).trim().parse().unwrap();
        assert!((1..=3_600_000).contains(&left), "{key}: {left}");
    }
}

/// As after the server's clock was set back: a client waits for its next token, and no longer.
#[tokio::test]
async fn a_time_that_is_too_late_is_corrected_at_once() {
    let server = RedisServer::start().await;
    for late in ["9000000000000000", "9e300"] {
        let tokens = tokens(&server.url(), "a:", LONG).await;
        let limit = limit(&tokens, "10/s");
        let key = "a:limits:limit:10/s:ada";
        server.tell(&["SET", key, late]);
        limit.take(Subject::User("ada")).await.unwrap_err();
        let left: i64 = server.tell(&["PTTL", key]).trim().parse().unwrap();
        assert!(left <= 1_000 && left != -1, "{left}");
        let token = async {
            while limit.take(Subject::User("ada")).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        within("a token", token).await;
    }
}

/// Some periods cannot be divided without a rest.
#[tokio::test]
async fn each_client_of_a_call_has_all_its_tokens_once() {
    let tokens = RedisTokens::new(redis(&services::redis_url(), &own_prefix()));
    let wants = (1..=200).map(|count| Want {
        policy: "limit",
        client: count.to_string(),
        rate: format!("{count}/h").parse().unwrap(),
        tokens: count,
    });
    let wants: Vec<_> = wants.collect();
    for is_there in [true, false] {
        let leases = tokens.lease(&wants).await.unwrap();
        for (want, lease) in wants.iter().zip(leases) {
            let wanted = if is_there { want.tokens } else { 0 };
            assert_eq!(lease.tokens, wanted, "{want:?}");
        }
    }
}

#[tokio::test]
async fn every_key_expires() {
    let server = RedisServer::start().await;
    let redis = redis(&server.url(), "a:");
    let limit = limit(&tokens(&server.url(), "a:", LONG).await, "1/h");
    limit.take(Subject::User("ada")).await.unwrap();
    redis.check().await.unwrap();
    let keys = server.tell(&["KEYS", "*"]);
    assert!(keys.contains("a:limits:limit:1/h:ada"), "{keys}");
    for key in keys.lines() {
        assert!(key.starts_with("a:"), "{key}");
        let left: i64 = server.tell(&["PTTL", key]).trim().parse().unwrap();
        // The others last a second, and may be gone by now. A token takes an hour.
        let least = if key.ends_with(":ada") { 1_800_000 } else { 1 };
        let is_gone = least == 1 && left == -2;
        assert!(
            is_gone || (least..=3_600_000).contains(&left),
            "{key}: {left}"
        );
    }
}

/// The log of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Of everything on this thread.
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone());
        let guard = tracing::subscriber::set_default(subscriber.finish());
        (log, guard)
    }

    fn count(&self, text: &str) -> usize {
        let log = String::from_utf8(self.0.lock().clone()).unwrap();
        log.matches(text).count()
    }

    /// How often it was said that limits are not shared, and that they are again.
    fn said(&self) -> (usize, usize) {
        let again = self.count("are shared with other processes again");
        (self.count("are not shared with other processes"), again)
    }
}

/// Two processes, whose clients are asked for through a proxy, in front of a Redis.
struct Scene {
    server: RedisServer,
    proxy: TcpProxy,
    log: Log,
    limits: [Arc<Limit>; 2],
    redis: Redis,
    users: usize,
    _guard: DefaultGuard,
}

impl Scene {
    /// Whether Redis runs at the start.
    async fn with(runs: bool) -> Self {
        let mut server = RedisServer::not_yet();
        if runs {
            server.start_again().await;
        }
        let proxy = TcpProxy::start(&host_and_port(&server.url()))
            .await
            .unwrap();
        let url = proxy.url(&server.url());
        let (log, guard) = Log::start();
        let one = tokens(&url, "a:", PATIENCE).await;
        let other = tokens(&url, "a:", PATIENCE).await;
        Self {
            limits: [&one, &other].map(|tokens| limit(tokens, "4/h")),
            redis: redis(&url, "a:"),
            server,
            proxy,
            log,
            users: 0,
            _guard: guard,
        }
    }

    /// Somebody new asks both processes for more than the limit. How much is let through?
    async fn taken(&mut self) -> usize {
        self.users += 1;
        let user = format!("user-{}", self.users);
        let mut taken = 0;
        for limit in self.limits.iter().cycle().take(16) {
            taken += usize::from(limit.take(Subject::User(&user)).await.is_ok());
        }
        taken
    }

    async fn until(&mut self, what: usize) {
        let reached = async {
            while self.taken().await != what {
                sleep(Duration::from_millis(20)).await;
            }
        };
        within("what is let through", reached).await;
    }

    /// Orders go on: each process goes by what it has seen. It is said by each, once.
    async fn is_down(&mut self) {
        self.until(8).await;
        for _ in 0..20 {
            assert_eq!(self.taken().await, 8);
        }
        let (lost, found) = self.log.said();
        assert_eq!(lost, found + 2, "{:?}", self.log.said());
        self.redis.check().await.unwrap_err();
    }

    /// The limit is that of both again.
    async fn is_up(&mut self) {
        self.until(4).await;
        let again = async {
            while self.log.said().0 != self.log.said().1 || self.redis.check().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        within("both are well", again).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_used_once_it_runs() {
    let mut scene = Scene::with(false).await;
    scene.is_down().await;
    scene.server.start_again().await;
    scene.is_up().await;
}

#[tokio::test]
async fn a_redis_that_is_killed_comes_back_empty() {
    let mut scene = Scene::with(true).await;
    for _ in 0..2 {
        scene.is_up().await;
        scene.server.kill();
        scene.is_down().await;
        scene.server.start_again().await;
    }
    scene.is_up().await;
}

#[tokio::test]
async fn a_redis_that_is_frozen_is_not_waited_for() {
    let mut scene = Scene::with(true).await;
    scene.is_up().await;
    scene.server.freeze();
    scene.is_down().await;
    scene.server.thaw();
    scene.is_up().await;
}

/// Nothing on it ends, and nothing comes over it any more.
#[tokio::test]
async fn a_half_open_connection_is_replaced() {
    let mut scene = Scene::with(true).await;
    scene.is_up().await;
    scene.proxy.set(Weather::Stalled);
    scene.is_down().await;
    scene.proxy.forget();
    scene.proxy.set(Weather::Fair);
    scene.is_up().await;
}

#[tokio::test]
async fn a_slow_redis_is_not_waited_for() {
    let mut scene = Scene::with(true).await;
    scene.is_up().await;
    scene.proxy.set(Weather::Distant(PATIENCE * 3));
    scene.is_down_but_answers().await;
    scene.proxy.set(Weather::Fair);
    scene.is_up().await;
}

impl Scene {
    /// As [`Self::is_down`], but for readiness, which has more patience.
    async fn is_down_but_answers(&mut self) {
        self.until(8).await;
        for _ in 0..20 {
            assert_eq!(self.taken().await, 8);
        }
        let (lost, found) = self.log.said();
        assert_eq!(lost, found + 2, "{:?}", self.log.said());
    }
}

#[tokio::test]
async fn a_full_redis_is_told_as_such() {
    let mut scene = Scene::with(true).await;
    scene.is_up().await;
    scene.server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    scene.is_down().await;
    let full = scene.redis.check().await.unwrap_err();
    assert!(full.reason.contains("OOM"), "{full}");
    scene.server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.is_up().await;
}

/// Scripts that it has forgotten are sent again, by the driver.
#[tokio::test]
async fn a_redis_that_forgets_scripts_and_keys_is_no_outage() {
    let server = RedisServer::start().await;
    let (log, _guard) = Log::start();
    let tokens = [
        tokens(&server.url(), "a:", LONG).await,
        tokens(&server.url(), "a:", LONG).await,
    ];
    let limits = tokens.each_ref().map(|tokens| limit(tokens, "4/h"));
    server.tell(&["SCRIPT", "FLUSH"]);
    server.tell(&["FLUSHALL"]);
    assert_eq!(taken(&limits, 16).await, 4);
    assert_eq!(log.said(), (0, 0));
}

/// An answer too many would make each later one that of the question before.
#[tokio::test]
async fn answers_to_nobody_are_not_taken_for_those_to_somebody() {
    let mut scene = Scene::with(true).await;
    scene.is_up().await;
    scene.proxy.set(Weather::Mute);
    let asked = scene.limits[0].take(Subject::User("zoe"));
    let strange = async {
        sleep(PATIENCE / 4).await;
        scene.proxy.say(b"*3\r\n:999999\r\n:1\r\n:0\r\n");
        scene.proxy.say(b"+OK\r\n");
    };
    let (allowed, ()) = tokio::join!(asked, strange);
    allowed.unwrap();
    scene.proxy.set(Weather::Fair);
    scene.is_up().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_an_outage_of_a_moment() {
    let mut scene = Scene::with(true).await;
    scene.is_up().await;
    scene.proxy.cut();
    assert!(scene.taken().await >= 4);
    scene.is_up().await;
}

#[tokio::test]
async fn a_wrong_password_is_said_without_it_and_may_become_the_right_one() {
    let mut server = RedisServer::start().await;
    server.tell(&["CONFIG", "SET", "requirepass", "right"]);
    let url = server.url().replace("://", "://:hunter2@");
    let redis = redis(&url, "a:");
    for _ in 0..3 {
        let down = redis.check().await.unwrap_err();
        assert!(down.reason.contains("authentication failed"), "{down}");
        assert!(!down.reason.contains("hunter2"), "{down}");
    }
    server.kill();
    redis.check().await.unwrap_err();
    server.start_again().await;
    server.tell(&["CONFIG", "SET", "requirepass", "hunter2"]);
    redis.check().await.unwrap();
}

/// One sentence each, which names what is wrong once.
#[tokio::test]
async fn what_fails_is_said_in_one_sentence() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let _gone = client
                .unwrap()
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let url = format!("redis://{address}");
    let (log, _guard) = Log::start();
    let web = redis(&url, "a:");
    for _ in 0..3 {
        let down = web.check().await.unwrap_err();
        assert!(!down.reason.contains(['\n', '`']), "{down}");
        assert!(down.reason.contains("no Redis"), "{down}");
    }
    let store = RedisServer::start().await;
    let proxy = TcpProxy::start(&host_and_port(&store.url())).await.unwrap();
    let url = proxy.url(&store.url());
    proxy.set(Weather::Stalled);
    let shared = tokens(&url, "a:", LONG).await;
    assert!(
        shared
            .failure()
            .unwrap()
            .ends_with("as it should: timed out")
    );
    assert_eq!(log.count("timed out: timed out"), 0);
}
