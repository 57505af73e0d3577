//! `queue.*`

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::order::{Lanes, MAX_LANES};

use super::reader::{ReadAdapter, Reader};
use super::{memory, rabbitmq};
use crate::wiring::QueueAdapter;

/// What `queue.adapter` may name.
const ADAPTERS: [(&str, ReadAdapter<dyn QueueAdapter>); 2] =
    [("memory", memory::queue), ("rabbitmq", rabbitmq::read)];

const MAX_WEIGHT: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// The orders' queue.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Which adapter.
    pub adapter: Arc<dyn QueueAdapter>,
    /// How many lanes it has.
    pub lanes: Lanes,
    /// The most orders that may wait in memory.
    pub capacity: usize,
    /// How long an order may wait for its place in the queue.
    pub publish_timeout: Duration,
    /// Orders of class `high` per round.
    pub high_weight: NonZeroU32,
    /// Orders of class `standard` per round.
    pub standard_weight: NonZeroU32,
}

pub(super) fn read(reader: &mut Reader) -> Option<QueueSettings> {
    let adapter = reader.adapter("queue.adapter", &ADAPTERS);
    let lanes = reader
        .number("queue.lanes", 1, MAX_LANES)
        .and_then(Lanes::new);
    let capacity = reader.number("queue.capacity", 1, 100_000_000);
    let publish_timeout = reader.duration_ms("queue.publish_timeout_ms", 1);
    let high_weight = reader.number("queue.high_weight", NonZeroU32::MIN, MAX_WEIGHT);
    let standard_weight = reader.number("queue.standard_weight", NonZeroU32::MIN, MAX_WEIGHT);
    Some(QueueSettings {
        adapter: adapter?,
        lanes: lanes?,
        capacity: capacity?,
        publish_timeout: publish_timeout?,
        high_weight: high_weight?,
        standard_weight: standard_weight?,
    })
}
