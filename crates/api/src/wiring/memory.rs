//! Store and queue in memory.

use std::sync::Arc;

use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryStore, MemoryTicketEvents};
use anyhow::bail;
use async_trait::async_trait;
use domain::order::Lanes;
use domain::ports::{Clock, StoreIdentity};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;

use super::{QueueAdapter, QueuePorts, QueueUse, StoreAdapter, StoreFigures, StorePorts, StoreUse};
use crate::settings::{MemorySettings, Settings};

impl StoreAdapter for MemorySettings {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn connect(
        &self,
        _: &Settings,
        clock: Arc<dyn Clock>,
        _: StoreUse,
    ) -> anyhow::Result<StorePorts> {
        let store = Arc::new(MemoryStore::new(clock));
        Ok(StorePorts {
            users: store.clone(),
            shows: store.clone(),
            ledger: store.clone(),
            claims: store.clone(),
            identity: None,
            dependency: store,
            examinations: Vec::new(),
            migrate: Arc::new(|| Box::pin(async { Ok(()) })),
            figures: StoreFigures::default(),
        })
    }
}

#[async_trait]
impl QueueAdapter for MemorySettings {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn connect(
        &self,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        process: ProcessId,
        _: Option<Arc<dyn StoreIdentity>>,
        _: QueueUse,
    ) -> anyhow::Result<QueuePorts> {
        /// More than a worker can produce while a listener takes one breath.
        const EVENTS_BUFFERED: usize = 4_096;
        const DEAD_LETTERS_MAX: usize = 10_000;

        let config = MemoryQueueConfig {
            lanes: settings.queue.lanes,
            capacity: settings.queue.capacity,
            dead_letter_capacity: DEAD_LETTERS_MAX,
            schedule: ClassSchedule::new(
                settings.queue.high_weight,
                settings.queue.standard_weight,
            ),
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

    async fn set_lanes(&self, _: Lanes, _: Option<Arc<dyn StoreIdentity>>) -> anyhow::Result<()> {
        bail!("queue.adapter: lanes in memory are set by queue.lanes")
    }
}
