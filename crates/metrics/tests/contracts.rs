//! What is measured keeps the contract of its port.

use std::sync::Arc;

use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryStore};
use caching::MemoryStateCache;
use domain::ports::StateCache;
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use metrics::{
    MeasuredLaneClaims, MeasuredLedger, MeasuredPublisher, MeasuredStateCache, Metrics,
    StoreSeconds,
};
use port_contracts::{
    DEAD_LETTER_CAPACITY, HIGH_WEIGHT, LANES, ManualClock, QUEUE_CAPACITY, QueueHarness,
    QueueUnderTest, STANDARD_WEIGHT, StateCacheHarness, StoreHarness, StoreUnderTest, fixtures,
};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(fixtures::start()))
}

async fn store() -> StoreHarness {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let mut metrics = Metrics::new();
    let seconds = StoreSeconds::new(&mut metrics);
    let ports = StoreUnderTest {
        users: store.clone(),
        shows: store.clone(),
        claims: Arc::new(MeasuredLaneClaims::new(store.clone(), seconds.clone())),
        ledger: Arc::new(MeasuredLedger::new(store, seconds, &mut metrics)),
    };
    StoreHarness {
        ports: ports.clone(),
        clock,
        connect: Box::new(move || {
            let ports = ports.clone();
            Box::pin(async { ports })
        }),
        keep: Box::new(()),
    }
}

async fn queue() -> QueueHarness {
    let clock = clock();
    let config = MemoryQueueConfig {
        lanes: LANES,
        capacity: QUEUE_CAPACITY,
        dead_letter_capacity: DEAD_LETTER_CAPACITY,
        schedule: ClassSchedule::new(HIGH_WEIGHT, STANDARD_WEIGHT),
    };
    let queue = Arc::new(MemoryQueue::new(config, clock.clone(), ProcessId::new(1)));
    let publisher = MeasuredPublisher::new(queue.clone(), &mut Metrics::new());
    let ports = QueueUnderTest {
        publisher: Arc::new(publisher),
        consumer: queue.clone(),
        dead_letters: queue,
    };
    QueueHarness {
        ports: ports.clone(),
        clock,
        connect: Box::new(move || {
            let ports = ports.clone();
            Box::pin(async { ports })
        }),
        stall: Box::new(|_| Box::pin(async {})),
        is_volatile: true,
        keep: Box::new(()),
    }
}

async fn cache() -> StateCacheHarness {
    let cache = Arc::new(MemoryStateCache::new());
    let measured = MeasuredStateCache::new(cache, &mut Metrics::new());
    let cache: Arc<dyn StateCache> = Arc::new(measured);
    StateCacheHarness {
        cache: Arc::clone(&cache),
        connect: Box::new(move || {
            let cache = Arc::clone(&cache);
            Box::pin(async { cache })
        }),
        keep: Box::new(()),
    }
}

port_contracts::lane_claims_contract!(store);
port_contracts::ticket_ledger_contract!(store);
port_contracts::ticket_publisher_contract!(queue);
port_contracts::state_cache_contract!(cache);
