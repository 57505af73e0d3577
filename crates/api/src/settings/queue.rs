//! `queue.*`

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::order::{Lanes, MAX_LANES};
use fields::{Fields, all, whole};

use super::reader::{ReadAdapter, adapter, millis, setting};
use super::{memory, rabbitmq};
use crate::wiring::QueueAdapter;

/// What `queue.adapter` may name.
const ADAPTERS: [(&str, ReadAdapter<dyn QueueAdapter>); 2] =
    [("memory", memory::queue), ("rabbitmq", rabbitmq::read)];

const MAX_WEIGHT: u32 = 1_000;

/// The section `queue`: the adapter of the orders' queue and its limits.
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

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<QueueSettings> {
    all!(QueueSettings {
        adapter: adapter(fields, "queue.adapter", ADAPTERS),
        lanes: setting(fields, "queue.lanes", whole(1..=MAX_LANES)).and_then(Lanes::new),
        capacity: setting(fields, "queue.capacity", whole(1..=100_000_000)),
        publish_timeout: setting(fields, "queue.publish_timeout_ms", millis(1)),
        high_weight: weight(fields, "queue.high_weight"),
        standard_weight: weight(fields, "queue.standard_weight"),
    })
}

fn weight(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<NonZeroU32> {
    setting(fields, key, whole(1..=MAX_WEIGHT)).and_then(NonZeroU32::new)
}
