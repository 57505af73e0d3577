//! Decided state that processes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{
    CacheInstant, Cached, Dependency, DependencyDown, State, StateCache, StateKey,
};
use parking_lot::Mutex;
use redis::{RedisResult, Script};
use runtime::Outage;
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Redis, sentence, without_it};
use crate::state_value;

/// Before a Redis that failed is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Asked for to find out whether it answers.
const PROBE: &str = "cache";

/// What a script returns that was not allowed to write.
const REFUSED: i32 = -1;
/// Arguments: version, value, the instant of its end in milliseconds.
const PUT: &str = r"
local time = redis.call('TIME')
local left = tonumber(ARGV[3]) - time[1] * 1000 - math.floor(time[2] / 1000)
if left <= 0 then return 0 end
local held = redis.pcall('GET', KEYS[1])
local version = type(held) == 'string' and tonumber(string.match(held, '^%d+:(%d+):'))
local lasts = redis.call('PTTL', KEYS[1])
-- What would last for ever was not put here.
if version and lasts >= 0 then
    local new = tonumber(ARGV[1])
    if version > new or (version == new and lasts <= left) then return 0 end
end
local done = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', left)
return done.err and -1 or 1
";
/// Arguments: version, value. What it cannot replace by something newer it removes.
const RAISE: &str = r"
local held = redis.pcall('GET', KEYS[1])
local version = type(held) == 'string' and string.match(held, '^%d+:(%d+):')
if not version or tonumber(version) > tonumber(ARGV[1]) then return 0 end
local done = redis.pcall('SET', KEYS[1], ARGV[2], 'KEEPTTL')
if not done.err then return 1 end
redis.pcall('DEL', KEYS[1])
return -1
";

/// A cache in Redis, by the clock of its server.
///
/// Writing is a script each, so that comparing with what is there and replacing it are one step.
/// After a failure nobody waits for it: it is asked in the background until it answers.
pub struct RedisStateCache {
    server: Arc<Server>,
    put: Script,
    raise: Script,
}

/// The server as all callers know it.
struct Server {
    redis: Redis,
    /// The longest that a caller waits.
    patience: Duration,
    is_away: AtomicBool,
    /// Why it is.
    failure: Mutex<Option<String>>,
    outage: Mutex<Outage>,
    /// It answers, and takes nothing.
    refusals: Mutex<Outage>,
}

/// It did not answer soon enough.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?} (cache.timeout_ms)")]
struct TooSlow(Duration);

/// It failed, in the words of [`sentence`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

/// It takes no writes.
#[derive(Debug, thiserror::Error)]
#[error(
    "it takes no writes: it is full (maxmemory without eviction), a replica, or its user may not \
     write; decided state is read from the store"
)]
struct Refused;

impl RedisStateCache {
    /// Asks nothing yet. No caller waits for longer than `patience`.
    #[must_use]
    pub fn new(redis: Redis, patience: Duration) -> Self {
        Self {
            server: Arc::new(Server {
                redis,
                patience,
                is_away: AtomicBool::new(false),
                failure: Mutex::default(),
                outage: Mutex::new(Outage::of("cache")),
                refusals: Mutex::new(Outage::of("cache: writing")),
            }),
            put: Script::new(PUT),
            raise: Script::new(RAISE),
        }
    }

    async fn write(&self, script: &Script, state: &State, until: Option<CacheInstant>) {
        let mut redis = self.server.redis.clone();
        let writing = async {
            let mut call = script.key(redis.key(&name(&state.key())).await?);
            call.arg(state.version()).arg(state_value::encode(state));
            if let Some(CacheInstant(micros)) = until {
                call.arg(micros / 1_000);
            }
            match call.invoke_async(&mut redis).await {
                // It answers.
                Err(error) if error.code().is_some() => Ok(REFUSED),
                written => written,
            }
        };
        let written = self.server.ask(writing).await;
        let mut refusals = self.server.refusals.lock();
        match written {
            Some(REFUSED) => refusals.record_failure(&Refused),
            Some(1) => refusals.record_success(),
            Some(_) | None => {}
        }
    }
}

fn name(key: &StateKey) -> String {
    match key {
        StateKey::Ticket(id) => format!("ticket:{id}"),
        StateKey::Show(id) => format!("show:{id}"),
    }
}

impl Server {
    /// The answer; `None` without one, at once while it is away.
    async fn ask<T>(self: &Arc<Self>, asking: impl Future<Output = RedisResult<T>>) -> Option<T> {
        if self.is_away.load(Ordering::Relaxed) {
            return None;
        }
        match timeout(self.patience, asking).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.go_without(&Failed(sentence(&error)));
                None
            }
            Err(_) => {
                self.go_without(&TooSlow(self.patience));
                None
            }
        }
    }

    /// Until it answers.
    fn go_without(self: &Arc<Self>, error: &(dyn std::error::Error + 'static)) {
        if self.is_away.swap(true, Ordering::Relaxed) {
            return;
        }
        *self.failure.lock() = Some(error.to_string());
        self.outage.lock().record_failure(error);
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                sleep(ASK_AGAIN).await;
                let Some(server) = server.upgrade() else {
                    return;
                };
                let asked_at = Instant::now();
                // Waits as long as the connection does, which takes the place of one that is
                // half open.
                if server.look_up(PROBE).await.is_ok() && asked_at.elapsed() < server.patience {
                    server.outage.lock().record_success();
                    *server.failure.lock() = None;
                    server.is_away.store(false, Ordering::Relaxed);
                    return;
                }
            }
        });
    }

    /// The time, the value of a key, and when that ends.
    async fn look_up(
        &self,
        key: &str,
    ) -> RedisResult<(CacheInstant, Option<Vec<u8>>, CacheInstant)> {
        let key = self.redis.key(key).await?;
        let mut asking = redis::pipe();
        // MGET has nothing to say of what is no text, where GET fails.
        asking.cmd("TIME").cmd("MGET").arg(&key);
        asking.cmd("PTTL").arg(&key);
        let answer = asking.query_async(&mut self.redis.clone()).await?;
        let ((seconds, micros), [value], left): ((u64, u64), [Option<Vec<u8>>; 1], i64) = answer;
        let now = seconds.saturating_mul(1_000_000).saturating_add(micros);
        // Both clocks are cut to milliseconds. A negative time is that of what never ends.
        let left = u64::try_from(left).map_or(Duration::MAX, Duration::from_millis);
        let until = CacheInstant(now - now % 1_000).plus(left);
        Ok((CacheInstant(now), value, until))
    }
}

#[async_trait]
impl StateCache for RedisStateCache {
    async fn get(&self, key: &StateKey) -> Option<Cached> {
        let name = name(key);
        let (asked_at, value, until) = self.server.ask(self.server.look_up(&name)).await?;
        let state = value.and_then(|value| state_value::decode(&value));
        let state = state.filter(|state| state.key() == *key);
        Some(Cached {
            asked_at,
            state,
            until,
        })
    }

    async fn put(&self, state: State, until: CacheInstant) {
        self.write(&self.put, &state, Some(until)).await;
    }

    async fn raise(&self, states: Vec<State>) {
        for state in states {
            self.write(&self.raise, &state, None).await;
        }
    }
}

/// Whether Redis takes writes, and nothing that readers asked it for has failed since it last
/// worked.
#[async_trait]
impl Dependency for RedisStateCache {
    fn name(&self) -> &'static str {
        self.server.redis.name()
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        self.server.redis.check().await?;
        let failure = self.server.failure.lock().clone();
        if let Some(failure) = failure {
            let reason = format!("nothing is read from the cache: {failure}");
            return Err(without_it(&reason));
        }
        if self.server.refusals.lock().failures() > 0 {
            return Err(without_it(&format!("nothing is cached: {Refused}")));
        }
        Ok(())
    }
}
