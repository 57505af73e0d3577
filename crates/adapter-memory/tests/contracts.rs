//! The memory adapters against the contract of every port.

use std::sync::Arc;

use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryStore, MemoryTicketEvents};
use domain::ports::{Dependency, TicketEvents};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use port_contracts::{
    DEAD_LETTER_CAPACITY, EVENT_BUFFER, EventsHarness, HIGH_WEIGHT, LANES, ManualClock,
    QUEUE_CAPACITY, QueueHarness, QueueUnderTest, STANDARD_WEIGHT, StoreHarness, StoreUnderTest,
    fixtures,
};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(fixtures::start()))
}

async fn store() -> StoreHarness {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let ports = StoreUnderTest {
        users: store.clone(),
        shows: store.clone(),
        claims: store.clone(),
        ledger: store,
    };
    StoreHarness {
        ports: ports.clone(),
        clock,
        // There is no other process that could see this memory.
        connect: Box::new(move || {
            let ports = ports.clone();
            Box::pin(async { ports })
        }),
        keep: Box::new(()),
    }
}

async fn queue() -> QueueHarness {
    let clock = clock();
    let queue = Arc::new(memory_queue(clock.clone()));
    let ports = QueueUnderTest {
        publisher: queue.clone(),
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
        // What waits is what counts, and nothing takes it away by itself.
        stall: Box::new(|_| Box::pin(async {})),
        is_volatile: true,
        keep: Box::new(()),
    }
}

fn memory_queue(clock: Arc<ManualClock>) -> MemoryQueue {
    let config = MemoryQueueConfig {
        lanes: LANES,
        capacity: QUEUE_CAPACITY,
        dead_letter_capacity: DEAD_LETTER_CAPACITY,
        schedule: ClassSchedule::new(HIGH_WEIGHT, STANDARD_WEIGHT),
    };
    MemoryQueue::new(config, clock, ProcessId::new(1))
}

async fn events() -> EventsHarness {
    let events: Arc<dyn TicketEvents> = Arc::new(MemoryTicketEvents::new(EVENT_BUFFER));
    EventsHarness {
        events: Arc::clone(&events),
        connect: Box::new(move || {
            let events = Arc::clone(&events);
            Box::pin(async { events })
        }),
        keep: Box::new(()),
    }
}

port_contracts::user_repository_contract!(store);
port_contracts::show_repository_contract!(store);
port_contracts::ticket_ledger_contract!(store);
port_contracts::lane_claims_contract!(store);
port_contracts::ticket_publisher_contract!(queue);
port_contracts::ticket_consumer_contract!(queue);
port_contracts::dead_letters_contract!(queue);
port_contracts::ticket_events_contract!(events);

mod of_the_store {
    use super::*;

    async fn dependency() -> Arc<dyn Dependency> {
        Arc::new(MemoryStore::new(clock()))
    }

    port_contracts::dependency_contract!(dependency);
}

mod of_the_queue {
    use super::*;

    async fn dependency() -> Arc<dyn Dependency> {
        Arc::new(memory_queue(clock()))
    }

    port_contracts::dependency_contract!(dependency);
}
