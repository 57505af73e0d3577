//! The queue's side of every contract, each case under a prefix of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod process;

use std::sync::Arc;

use adapter_rabbitmq::RabbitMq;
use async_trait::async_trait;
use domain::ports::{Dependency, DependencyDown};
use port_contracts::{EventsHarness, ManualClock, QueueHarness, QueueUnderTest, fixtures};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::{TestPrefix, services};

use crate::process::{config, start};

async fn queue() -> QueueHarness {
    let url = services::rabbitmq_url();
    let proxy = Arc::new(TcpProxy::start(&host_and_port(&url)).await.unwrap());
    let prefix = TestPrefix::new();
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let config = config(&proxy.url(&url), &prefix);
    let first = ports(start(&config, &clock).await);
    let process_clock = Arc::clone(&clock);
    let stalled = Arc::clone(&proxy);
    QueueHarness {
        ports: first,
        clock,
        connect: Box::new(move || {
            let (config, clock) = (config.clone(), Arc::clone(&process_clock));
            Box::pin(async move { ports(start(&config, &clock).await) })
        }),
        stall: Box::new(move |is_stalled| {
            stalled.set(if is_stalled {
                Weather::Stalled
            } else {
                Weather::Fair
            });
            Box::pin(async {})
        }),
        is_volatile: false,
        keep: Box::new((prefix, proxy)),
    }
}

fn ports(queue: Arc<RabbitMq>) -> QueueUnderTest {
    QueueUnderTest {
        publisher: queue.clone(),
        consumer: queue.clone(),
        dead_letters: queue,
    }
}

async fn events() -> EventsHarness {
    let prefix = TestPrefix::new();
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let config = config(&services::rabbitmq_url(), &prefix);
    EventsHarness {
        events: start(&config, &clock).await,
        connect: Box::new(move || {
            let (config, clock) = (config.clone(), Arc::clone(&clock));
            Box::pin(async move { start(&config, &clock).await as _ })
        }),
        keep: Box::new(prefix),
    }
}

struct KeptQueue {
    queue: Arc<RabbitMq>,
    _prefix: TestPrefix,
}

#[async_trait]
impl Dependency for KeptQueue {
    fn name(&self) -> &'static str {
        self.queue.name()
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        self.queue.check().await
    }
}

async fn dependency() -> Arc<dyn Dependency> {
    let prefix = TestPrefix::new();
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let queue = start(&config(&services::rabbitmq_url(), &prefix), &clock).await;
    Arc::new(KeptQueue {
        queue,
        _prefix: prefix,
    })
}

port_contracts::ticket_publisher_contract!(queue);
port_contracts::ticket_consumer_contract!(queue);
port_contracts::dead_letters_contract!(queue);
port_contracts::ticket_events_contract!(events);
port_contracts::dependency_contract!(dependency);
