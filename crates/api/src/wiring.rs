//! Where ports meet adapters: the only place that knows which are compiled in.

use std::sync::Arc;

use anyhow::bail;
use domain::order::Lanes;
use domain::ports::{
    Clock, DeadLetters, Dependency, Examination, LaneClaims, ShowRepository, StoreIdentity,
    TicketConsumer, TicketEvents, TicketLedger, TicketPublisher, UserRepository,
};
use domain::receipt::ProcessId;
use futures_util::future::BoxFuture;

use crate::configuration::{MySqlSettings, QueueAdapter, RabbitMqSettings, Settings, StoreAdapter};

/// The adapters of this binary, as their features are called.
pub const COMPILED_ADAPTERS: &[&str] = &[
    #[cfg(feature = "memory")]
    "memory",
    #[cfg(feature = "mysql")]
    "mysql",
    #[cfg(feature = "rabbitmq")]
    "rabbitmq",
];

/// Brings a store's schema up to date; may be done again at any time.
pub type Migration = Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// The ports of the store.
pub struct StorePorts {
    /// Who may order.
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
}

/// The ports of the queue.
pub struct QueuePorts {
    /// Orders in.
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

/// Connects the store that the configuration names.
///
/// # Errors
/// When it is not compiled in, with its feature; when its settings cannot work.
pub fn connect_store(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    usage: StoreUse,
) -> anyhow::Result<StorePorts> {
    match &settings.store.adapter {
        StoreAdapter::Memory => memory_store(Arc::clone(clock)),
        StoreAdapter::MySql(mysql) => mysql_store(mysql, settings, Arc::clone(clock), usage),
    }
}

/// Connects the queue that the configuration names; with a `store`, one that no other
/// deployment uses.
///
/// # Errors
/// Like [`connect_store`].
pub async fn connect_queue(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    process: ProcessId,
    store: Option<Arc<dyn StoreIdentity>>,
    usage: QueueUse,
) -> anyhow::Result<QueuePorts> {
    match &settings.queue.adapter {
        QueueAdapter::Memory => memory_queue(settings, Arc::clone(clock), process),
        QueueAdapter::RabbitMq(rabbitmq) => {
            let clock = Arc::clone(clock);
            rabbitmq_queue(rabbitmq, settings, clock, process, store, usage).await
        }
    }
}

/// Changes the number of lanes that is recorded in the broker; with a `store`, of one that no
/// other deployment uses.
///
/// # Errors
/// When the queue has no such record, or a lane is in use.
pub async fn set_lanes(
    settings: &Settings,
    lanes: Lanes,
    store: Option<Arc<dyn StoreIdentity>>,
) -> anyhow::Result<()> {
    match &settings.queue.adapter {
        QueueAdapter::Memory => bail!("queue.adapter: lanes in memory are set by queue.lanes"),
        QueueAdapter::RabbitMq(rabbitmq) => set_rabbitmq_lanes(rabbitmq, lanes, store).await,
    }
}

#[cfg(not(all(feature = "memory", feature = "mysql", feature = "rabbitmq")))]
fn not_compiled<T>(setting: &str, feature: &str) -> anyhow::Result<T> {
    bail!(
        "{setting}: this binary has no adapter {feature} (it has: {}); \
         build it with the cargo feature `{feature}`",
        COMPILED_ADAPTERS.join(", ")
    )
}

#[cfg(feature = "memory")]
fn memory_store(clock: Arc<dyn Clock>) -> anyhow::Result<StorePorts> {
    let store = Arc::new(adapter_memory::MemoryStore::new(clock));
    Ok(StorePorts {
        users: store.clone(),
        shows: store.clone(),
        ledger: store.clone(),
        claims: store.clone(),
        identity: None,
        dependency: store,
        examinations: Vec::new(),
        migrate: Arc::new(|| Box::pin(async { Ok(()) })),
    })
}

#[cfg(not(feature = "memory"))]
fn memory_store(_: Arc<dyn Clock>) -> anyhow::Result<StorePorts> {
    not_compiled("store.adapter", "memory")
}

#[cfg(feature = "memory")]
fn memory_queue(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    process: ProcessId,
) -> anyhow::Result<QueuePorts> {
    use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryTicketEvents};
    use domain::schedule::ClassSchedule;

    /// More than a worker can produce while a listener takes one breath.
    const EVENTS_BUFFERED: usize = 4_096;
    const DEAD_LETTERS_MAX: usize = 10_000;

    let config = MemoryQueueConfig {
        lanes: settings.queue.lanes,
        capacity: settings.queue.capacity,
        dead_letter_capacity: DEAD_LETTERS_MAX,
        schedule: ClassSchedule::new(settings.queue.high_weight, settings.queue.standard_weight),
    };
    let queue = Arc::new(MemoryQueue::new(config, clock, process));
    Ok(QueuePorts {
        publisher: queue.clone(),
        consumer: queue.clone(),
        dead_letters: queue.clone(),
        events: Arc::new(MemoryTicketEvents::new(EVENTS_BUFFERED)),
        dependency: queue,
        examinations: Vec::new(),
    })
}

#[cfg(not(feature = "memory"))]
fn memory_queue(_: &Settings, _: Arc<dyn Clock>, _: ProcessId) -> anyhow::Result<QueuePorts> {
    not_compiled("queue.adapter", "memory")
}

#[cfg(feature = "mysql")]
fn mysql_store(
    mysql: &MySqlSettings,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    usage: StoreUse,
) -> anyhow::Result<StorePorts> {
    use adapter_mysql::{MySqlConfig, MySqlStore};
    use anyhow::Context;

    let config = MySqlConfig {
        urls: exposed(&mysql.urls),
        only_reads: usage == StoreUse::Reads,
        max_connections: mysql.max_connections,
        max_clock_skew: settings.max_clock_skew,
        user_directory_max: if usage == StoreUse::TakesOrders {
            mysql.user_directory_max
        } else {
            0
        },
    };
    let store = Arc::new(MySqlStore::new(&config, clock).context("mysql.url or mysql.urls")?);
    let migrated = Arc::clone(&store);
    Ok(StorePorts {
        users: store.clone(),
        shows: store.clone(),
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

#[cfg(not(feature = "mysql"))]
fn mysql_store(
    _: &MySqlSettings,
    _: &Settings,
    _: Arc<dyn Clock>,
    _: StoreUse,
) -> anyhow::Result<StorePorts> {
    not_compiled("store.adapter", "mysql")
}

#[cfg(feature = "rabbitmq")]
async fn rabbitmq_queue(
    rabbitmq: &RabbitMqSettings,
    settings: &Settings,
    clock: Arc<dyn Clock>,
    process: ProcessId,
    store: Option<Arc<dyn StoreIdentity>>,
    usage: QueueUse,
) -> anyhow::Result<QueuePorts> {
    use adapter_rabbitmq::doctor::{BrokerDoctor, BrokerDoctorConfig};
    use adapter_rabbitmq::{RabbitMq, RabbitMqConfig};
    use domain::schedule::ClassSchedule;

    /// Of up to 500 events each.
    const ANNOUNCEMENTS_BUFFERED: usize = 256;
    const DEAD_LETTERS_MAX: usize = 100_000;

    let queue = &settings.queue;
    let urls = exposed(&rabbitmq.urls);
    let only_looks = usage == QueueUse::Looks;
    let mut examinations: Vec<Arc<dyn Examination>> = Vec::new();
    if !rabbitmq.management_urls.is_empty() {
        let config = BrokerDoctorConfig {
            management_urls: exposed(&rabbitmq.management_urls),
            urls: urls.clone(),
            prefix: rabbitmq.prefix.clone(),
            lanes: queue.lanes,
            may_be_new: only_looks,
        };
        examinations.push(Arc::new(BrokerDoctor::new(&config)?));
    }
    let config = RabbitMqConfig {
        urls,
        prefix: rabbitmq.prefix.clone(),
        lanes: queue.lanes,
        capacity: queue.capacity,
        publish_timeout: queue.publish_timeout,
        dead_letter_capacity: DEAD_LETTERS_MAX,
        schedule: ClassSchedule::new(queue.high_weight, queue.standard_weight),
        event_buffer: ANNOUNCEMENTS_BUFFERED,
        only_looks,
    };
    let queue = Arc::new(RabbitMq::start(&config, clock, process, store).await?);
    examinations.push(queue.clone());
    Ok(QueuePorts {
        publisher: queue.clone(),
        consumer: queue.clone(),
        dead_letters: queue.clone(),
        events: queue.clone(),
        dependency: queue,
        examinations,
    })
}

#[cfg(not(feature = "rabbitmq"))]
async fn rabbitmq_queue(
    _: &RabbitMqSettings,
    _: &Settings,
    _: Arc<dyn Clock>,
    _: ProcessId,
    _: Option<Arc<dyn StoreIdentity>>,
    _: QueueUse,
) -> anyhow::Result<QueuePorts> {
    not_compiled("queue.adapter", "rabbitmq")
}

#[cfg(feature = "rabbitmq")]
async fn set_rabbitmq_lanes(
    rabbitmq: &RabbitMqSettings,
    lanes: Lanes,
    store: Option<Arc<dyn StoreIdentity>>,
) -> anyhow::Result<()> {
    let urls = exposed(&rabbitmq.urls);
    Ok(adapter_rabbitmq::set_lanes(&urls, &rabbitmq.prefix, lanes, store).await?)
}

#[cfg(any(feature = "mysql", feature = "rabbitmq"))]
fn exposed(urls: &[secrecy::SecretString]) -> Vec<String> {
    use secrecy::ExposeSecret;

    let urls = urls.iter();
    urls.map(|url| url.expose_secret().to_owned()).collect()
}

#[cfg(not(feature = "rabbitmq"))]
async fn set_rabbitmq_lanes(
    _: &RabbitMqSettings,
    _: Lanes,
    _: Option<Arc<dyn StoreIdentity>>,
) -> anyhow::Result<()> {
    not_compiled("queue.adapter", "rabbitmq")
}

#[cfg(all(
    test,
    feature = "memory",
    not(any(feature = "mysql", feature = "rabbitmq"))
))]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn an_adapter_that_is_not_compiled_in_is_named_with_its_feature() {
        for (section, name, url) in [
            ("QUEUE", "rabbitmq", ("APP__RABBITMQ__URL", "amqp://y")),
            ("STORE", "mysql", ("APP__MYSQL__URL", "mysql://y/z")),
        ] {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
            let variables = HashMap::from([
                (format!("APP__{section}__ADAPTER"), name.to_owned()),
                (url.0.to_owned(), url.1.to_owned()),
            ]);
            let settings = Settings::load(&directory, variables).unwrap();
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let store = connect_store(&settings, &clock, StoreUse::TakesOrders).map(drop);
            let queue =
                connect_queue(&settings, &clock, ProcessId::new(1), None, QueueUse::Serves).await;
            let error = store.and(queue.map(drop)).unwrap_err().to_string();
            assert!(
                error.contains(&format!("cargo feature `{name}`")),
                "{error}"
            );
        }
    }
}
