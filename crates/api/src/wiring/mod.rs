//! Where ports meet adapters, a file for each: the only place that knows which are compiled in.

#[cfg(not(all(
    feature = "memory",
    feature = "mysql",
    feature = "rabbitmq",
    feature = "redis"
)))]
mod absent;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use caching::CacheReads;
use domain::order::Lanes;
use domain::ports::{
    Clock, DeadLetters, Dependency, Examination, LaneClaims, ShowRepository, StateCache,
    StoreIdentity, TicketConsumer, TicketEvents, TicketLedger, TicketPublisher, UserRepository,
};
use domain::receipt::ProcessId;
use futures_util::future::BoxFuture;
use limits::TokenStore;
use runtime::Timed;

#[cfg(not(all(
    feature = "memory",
    feature = "mysql",
    feature = "rabbitmq",
    feature = "redis"
)))]
use self::absent::absent;
#[cfg(not(feature = "memory"))]
use crate::settings::MemorySettings;
#[cfg(not(feature = "mysql"))]
use crate::settings::MySqlSettings;
#[cfg(not(feature = "rabbitmq"))]
use crate::settings::RabbitMqSettings;
#[cfg(not(feature = "redis"))]
use crate::settings::RedisSettings;
use crate::settings::{QueueChoice, QueueSettings, Settings, StoreChoice, StoreSettings};

/// The adapters of this binary, as their features are called.
pub const COMPILED_ADAPTERS: &[&str] = &[
    #[cfg(feature = "memory")]
    "memory",
    #[cfg(feature = "mysql")]
    "mysql",
    #[cfg(feature = "rabbitmq")]
    "rabbitmq",
    #[cfg(feature = "redis")]
    "redis",
];

#[cfg(not(feature = "memory"))]
absent!(store MemorySettings, "memory");
#[cfg(not(feature = "memory"))]
absent!(queue MemorySettings, "memory");
#[cfg(not(feature = "mysql"))]
absent!(store MySqlSettings, "mysql");
#[cfg(not(feature = "rabbitmq"))]
absent!(queue RabbitMqSettings, "rabbitmq");
#[cfg(not(feature = "redis"))]
absent!(redis RedisSettings, "redis");

impl StoreSettings {
    /// What `store.adapter` names.
    #[must_use]
    pub fn adapter(&self) -> &dyn StoreAdapter {
        match &self.adapter {
            StoreChoice::Memory(settings) => settings,
            StoreChoice::MySql(settings) => settings,
        }
    }
}

impl QueueSettings {
    /// What `queue.adapter` names.
    #[must_use]
    pub fn adapter(&self) -> &dyn QueueAdapter {
        match &self.adapter {
            QueueChoice::Memory(settings) => settings,
            QueueChoice::RabbitMq(settings) => settings,
        }
    }
}

/// A store, with its settings.
pub trait StoreAdapter: Send + Sync {
    /// What `store.adapter` calls it, and its cargo feature.
    fn name(&self) -> &'static str;

    /// Whether other processes can use the same store; then it has a clock of its own, too.
    fn is_shared(&self) -> bool {
        true
    }

    /// The most connections, each an open file, and the setting that says so.
    fn connections(&self) -> Option<(u32, &'static str)> {
        None
    }

    /// The setting that says where it is.
    fn address_setting(&self) -> &'static str {
        "store.adapter"
    }

    /// Whether the schema is brought up to date before anything else.
    fn migrates_at_start(&self) -> bool {
        false
    }

    /// Connects it.
    ///
    /// # Errors
    /// When it is not compiled in, with its feature; when its settings cannot work.
    fn connect(
        &self,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        usage: StoreUse,
    ) -> anyhow::Result<StorePorts>;
}

/// A queue, with its settings.
#[async_trait]
pub trait QueueAdapter: Send + Sync {
    /// What `queue.adapter` calls it, and its cargo feature.
    fn name(&self) -> &'static str;

    /// Whether other processes can use the same queue.
    fn is_shared(&self) -> bool {
        true
    }

    /// What `tickets doctor` cannot look at with these settings.
    fn unseen(&self) -> Option<&'static str> {
        None
    }

    /// Connects it; with a `store`, only if no other deployment uses it.
    ///
    /// # Errors
    /// Like [`StoreAdapter::connect`].
    async fn connect(
        &self,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        process: ProcessId,
        store: Option<Arc<dyn StoreIdentity>>,
        usage: QueueUse,
    ) -> anyhow::Result<QueuePorts>;

    /// Changes the number of lanes that is recorded in it; with a `store`, only if no other
    /// deployment uses it.
    ///
    /// # Errors
    /// When the queue has no such record, or a lane is in use.
    async fn set_lanes(
        &self,
        lanes: Lanes,
        store: Option<Arc<dyn StoreIdentity>>,
    ) -> anyhow::Result<()>;
}

/// Brings a store's schema up to date; may be done again at any time.
pub type Migration = Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// The ports of the store.
pub struct StorePorts {
    /// The users, who may order.
    pub users: Arc<dyn UserRepository>,
    /// What is on sale.
    pub shows: Arc<dyn ShowRepository>,
    /// Seats, tickets, journal.
    pub ledger: Arc<dyn TicketLedger>,
    /// Who decides which lane.
    pub claims: Arc<dyn LaneClaims>,
    /// Which deployment it belongs to, if it outlives its process.
    pub identity: Option<Arc<dyn StoreIdentity>>,
    /// What readiness asks.
    pub dependency: Arc<dyn Dependency>,
    /// What `tickets doctor` looks at.
    pub examinations: Vec<Arc<dyn Examination>>,
    /// What `tickets migrate` does.
    pub migrate: Migration,
    /// What operators read of it.
    pub figures: StoreFigures,
}

/// What operators read of a store beside what its ports show.
#[derive(Default)]
pub struct StoreFigures {
    /// What is kept at hand of it.
    pub caches: Vec<(&'static str, Arc<CacheReads>)>,
    /// How its connections are used, if it has any.
    pub pools: Option<Box<dyn Fn() -> Vec<PoolUse> + Send + Sync>>,
    /// By how many microseconds its clock is ahead at least, if it has one and that was seen.
    pub clock_ahead_micros: Option<Box<dyn Fn() -> Option<i64> + Send + Sync>>,
}

/// How the connections of a store for one purpose are used.
pub struct PoolUse {
    /// What they are for.
    pub purpose: &'static str,
    /// How many there may be.
    pub max: usize,
    /// How many are lent.
    pub used: usize,
    /// How many nobody uses.
    pub idle: usize,
    /// How many callers wait for one.
    pub waiting: usize,
    /// How long callers had to wait for one.
    pub waited: Timed,
}

/// The ports of the queue.
pub struct QueuePorts {
    /// Puts accepted orders into the queue.
    pub publisher: Arc<dyn TicketPublisher>,
    /// Orders out.
    pub consumer: Arc<dyn TicketConsumer>,
    /// Orders that cannot be decided.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Outcomes to every process.
    pub events: Arc<dyn TicketEvents>,
    /// What readiness asks.
    pub dependency: Arc<dyn Dependency>,
    /// What `tickets doctor` looks at.
    pub examinations: Vec<Arc<dyn Examination>>,
}

/// What processes share in Redis, and do without while it is down.
pub struct RedisPorts {
    /// Decided state.
    pub state_cache: Arc<dyn StateCache>,
    /// The limits of clients.
    pub tokens: Arc<dyn TokenStore>,
    /// What readiness asks of the server and of the decided state.
    pub dependency: Arc<dyn Dependency>,
}

/// What a process does with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreUse {
    /// Takes orders, and so is asked for their users.
    TakesOrders,
    /// Decides orders, or changes what an operator asks for.
    Changes,
    /// Reads only: a replica will do.
    Reads,
}

/// What a process does with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueUse {
    /// Orders go in or out; what is missing is declared.
    Serves,
    /// A command of an operator, who may have mistaken the prefix: nothing is declared.
    Looks,
}

#[cfg(not(all(
    feature = "memory",
    feature = "mysql",
    feature = "rabbitmq",
    feature = "redis"
)))]
fn not_compiled<T>(setting: &str, feature: &str) -> anyhow::Result<T> {
    anyhow::bail!(
        "{setting}: this binary has no adapter {feature} (it has: {}); \
         build it with the cargo feature `{feature}`",
        COMPILED_ADAPTERS.join(", ")
    )
}

#[cfg(any(feature = "mysql", feature = "rabbitmq"))]
fn exposed(urls: &[secrecy::SecretString]) -> Vec<String> {
    use secrecy::ExposeSecret;

    let urls = urls.iter();
    urls.map(|url| url.expose_secret().to_owned()).collect()
}

#[cfg(all(
    test,
    feature = "memory",
    not(any(feature = "mysql", feature = "rabbitmq", feature = "redis"))
))]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn an_adapter_that_is_not_compiled_in_is_named_with_its_feature() {
        const SECRET: &str = "a secret of the tests";

        for (section, name, url) in [
            ("QUEUE", "rabbitmq", ("APP__RABBITMQ__URL", "amqp://y")),
            ("STORE", "mysql", ("APP__MYSQL__URL", "mysql://y/z")),
        ] {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
            let variables = HashMap::from([
                (format!("APP__{section}__ADAPTER"), name.to_owned()),
                (url.0.to_owned(), url.1.to_owned()),
                ("APP__AUTH__MODE".to_owned(), "off".to_owned()),
                ("APP__ADMIN__TOKEN".to_owned(), SECRET.to_owned()),
                ("APP__TICKETS__ID_SECRETS".to_owned(), SECRET.to_owned()),
            ]);
            let settings = Settings::load(&directory, variables).unwrap();
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let store = settings.store.adapter().connect(
                &settings,
                Arc::clone(&clock),
                StoreUse::TakesOrders,
            );
            let queue = settings.queue.adapter().connect(
                &settings,
                clock,
                ProcessId::new(1),
                None,
                QueueUse::Serves,
            );
            let (store, queue) = (store.map(drop), queue.await);
            let error = store.and(queue.map(drop)).unwrap_err().to_string();
            assert!(
                error.contains(&format!("cargo feature `{name}`")),
                "{error}"
            );
        }
        let redis = RedisSettings {
            url: "redis://cache".into(),
            prefix: String::new(),
        };
        let error = redis
            .connect(std::time::Duration::ZERO, None)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(error.contains("cargo feature `redis`"), "{error}");
    }
}
