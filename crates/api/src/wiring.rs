//! Where ports meet adapters: the only place that knows which are compiled in.

use std::sync::Arc;

use anyhow::bail;
use domain::ports::{
    Clock, DeadLetters, Dependency, ShowRepository, TicketConsumer, TicketEvents, TicketLedger,
    TicketPublisher, UserRepository,
};
use domain::receipt::ProcessId;

use crate::configuration::{QueueAdapter, Settings, StoreAdapter};

/// The adapters of this binary, as their features are called.
pub const COMPILED_ADAPTERS: &[&str] = &[
    #[cfg(feature = "memory")]
    "memory",
];

/// Every port, connected.
pub struct Ports {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who may order.
    pub users: Arc<dyn UserRepository>,
    /// What is on sale.
    pub shows: Arc<dyn ShowRepository>,
    /// Seats, tickets, journal.
    pub ledger: Arc<dyn TicketLedger>,
    /// Orders in.
    pub publisher: Arc<dyn TicketPublisher>,
    /// Orders out.
    pub consumer: Arc<dyn TicketConsumer>,
    /// Orders that cannot be decided.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Outcomes to every process.
    pub events: Arc<dyn TicketEvents>,
    /// What readiness asks.
    pub dependencies: Vec<Arc<dyn Dependency>>,
}

struct StorePorts {
    users: Arc<dyn UserRepository>,
    shows: Arc<dyn ShowRepository>,
    ledger: Arc<dyn TicketLedger>,
    dependency: Arc<dyn Dependency>,
}

struct QueuePorts {
    publisher: Arc<dyn TicketPublisher>,
    consumer: Arc<dyn TicketConsumer>,
    dead_letters: Arc<dyn DeadLetters>,
    events: Arc<dyn TicketEvents>,
    dependency: Arc<dyn Dependency>,
}

/// Connects the adapters that the configuration names.
///
/// # Errors
/// When one of them is not compiled in; the error names its feature.
pub fn connect(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    process: ProcessId,
) -> anyhow::Result<Ports> {
    let store = match settings.store.adapter {
        StoreAdapter::Memory => memory_store(Arc::clone(&clock)),
        StoreAdapter::MySql => not_compiled("store.adapter", "mysql"),
    }?;
    let queue = match settings.queue.adapter {
        QueueAdapter::Memory => memory_queue(settings, Arc::clone(&clock), process),
        QueueAdapter::RabbitMq => not_compiled("queue.adapter", "rabbitmq"),
    }?;
    Ok(Ports {
        clock,
        users: store.users,
        shows: store.shows,
        ledger: store.ledger,
        publisher: queue.publisher,
        consumer: queue.consumer,
        dead_letters: queue.dead_letters,
        events: queue.events,
        dependencies: vec![queue.dependency, store.dependency],
    })
}

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
        dependency: store,
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
    })
}

#[cfg(not(feature = "memory"))]
fn memory_queue(_: &Settings, _: Arc<dyn Clock>, _: ProcessId) -> anyhow::Result<QueuePorts> {
    not_compiled("queue.adapter", "memory")
}
