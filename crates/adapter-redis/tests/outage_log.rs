//! What the log says of a Redis that fails. A program of its own: it has the log of the process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use adapter_redis::{Redis, RedisConfig, RedisStateCache};
use domain::ports::{Cached, State, StateCache, StateKey};
use domain::show::ShowStanding;
use parking_lot::Mutex;
use port_contracts::fixtures::{seats, show, show_id};
use port_contracts::within;
use test_servers::RedisServer;
use tokio::time::sleep;
use tracing_subscriber::fmt::MakeWriter;

/// The log, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
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
    fn count(&self, what: &str) -> usize {
        let log = String::from_utf8(self.0.lock().clone()).unwrap();
        log.lines().filter(|line| line.contains(what)).count()
    }
}

fn key() -> StateKey {
    StateKey::Show(show_id("a"))
}

/// Waits until it answers.
async fn answer(cache: &RedisStateCache) -> Cached {
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

async fn put(cache: &RedisStateCache, seq: u64) {
    let until = answer(cache).await.asked_at.plus(Duration::from_secs(600));
    let standing = ShowStanding {
        show: show("a", 9),
        seats: seats(9, 0, 0),
        seq,
    };
    cache.put(State::Show(standing), until).await;
}

#[tokio::test]
async fn an_outage_is_logged_once_and_so_is_its_end() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    // Of all threads: what a thread logs without a subscriber is never asked for again.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut server = RedisServer::start().await;
    let config = RedisConfig {
        url: server.url(),
        prefix: "tests:".to_owned(),
        store: None,
    };
    let cache = RedisStateCache::new(Redis::new(&config).unwrap(), Duration::from_millis(450));
    put(&cache, 3).await;
    for outage in 1..=2 {
        server.kill();
        for _ in 0..1_000 {
            assert_eq!(cache.get(&key()).await, None);
        }
        server.start_again().await;
        answer(&cache).await;
        assert_eq!(log.count("trying again until it works"), outage);
        assert_eq!(log.count("works again"), outage);
    }
    put(&cache, 1).await;
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    for seq in 2..10 {
        put(&cache, seq).await;
    }
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    put(&cache, 10).await;
    assert_eq!(log.count("it takes no writes"), 1);
    assert_eq!(log.count("works again"), 3);
}
