//! A process as the broker sees it.

use std::sync::Arc;

use adapter_rabbitmq::{RabbitMq, RabbitMqConfig};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use port_contracts::{
    DEAD_LETTER_CAPACITY, DEADLINE, EVENT_BUFFER, HIGH_WEIGHT, LANES, ManualClock, QUEUE_CAPACITY,
    STANDARD_WEIGHT,
};
use test_servers::TestPrefix;

pub(crate) fn config(url: &str, prefix: &TestPrefix) -> RabbitMqConfig {
    RabbitMqConfig {
        urls: vec![url.to_owned()],
        prefix: prefix.as_str().to_owned(),
        lanes: LANES,
        capacity: QUEUE_CAPACITY,
        publish_timeout: DEADLINE,
        dead_letter_capacity: DEAD_LETTER_CAPACITY,
        schedule: ClassSchedule::new(HIGH_WEIGHT, STANDARD_WEIGHT),
        event_buffer: EVENT_BUFFER,
        only_looks: false,
    }
}

pub(crate) async fn start(config: &RabbitMqConfig, clock: &Arc<ManualClock>) -> Arc<RabbitMq> {
    let process = ProcessId::new(rand::random());
    let queue = RabbitMq::start(config, clock.clone(), process, None).await;
    Arc::new(queue.unwrap())
}
