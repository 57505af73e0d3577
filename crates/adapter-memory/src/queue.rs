//! The order queue: what its ports share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::ids::ShowId;
use domain::order::{Lane, LaneSet, Lanes};
use domain::ports::{Clock, DeadLetter, Dependency, DependencyDown};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::lane_queue::LaneQueue;

/// How large the queue is and how it is served.
#[derive(Debug, Clone)]
pub struct MemoryQueueConfig {
    /// How many lanes it has.
    pub lanes: Lanes,
    /// The most orders of all lanes together, waiting and unsettled.
    pub capacity: usize,
    /// The most dead letters.
    pub dead_letter_capacity: usize,
    /// How each lane serves its classes.
    pub schedule: ClassSchedule,
}

/// Lanes of orders in memory: a bounded queue that forgets an order only once
/// it is acked. It lives as long as the process.
pub struct MemoryQueue {
    pub(crate) shared: Arc<SharedQueue>,
}

/// What the queue shares with the consumers and batches that it handed out.
pub(crate) struct SharedQueue {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) process: ProcessId,
    lanes: Lanes,
    queues: Vec<LaneQueue>,
    pub(crate) capacity: usize,
    /// Orders of all lanes, waiting and unsettled; at most `capacity`.
    orders: AtomicUsize,
    /// Lanes that somebody takes orders from.
    in_turn: Mutex<LaneSet>,
    pub(crate) lane_freed: Notify,
    pub(crate) dead_letters: Mutex<VecDeque<DeadLetter>>,
    pub(crate) dead_letter_capacity: usize,
}

impl MemoryQueue {
    /// An empty queue that stamps what it accepts with `clock` and `process`.
    #[must_use]
    pub fn new(config: MemoryQueueConfig, clock: Arc<dyn Clock>, process: ProcessId) -> Self {
        let lanes = config.lanes;
        Self {
            shared: Arc::new(SharedQueue {
                clock,
                process,
                lanes,
                queues: lanes
                    .iter()
                    .map(|_| LaneQueue::new(config.schedule.clone()))
                    .collect(),
                capacity: config.capacity,
                orders: AtomicUsize::new(0),
                in_turn: Mutex::default(),
                lane_freed: Notify::new(),
                dead_letters: Mutex::default(),
                dead_letter_capacity: config.dead_letter_capacity,
            }),
        }
    }
}

impl SharedQueue {
    pub(crate) fn lane(&self, lane: Lane) -> &LaneQueue {
        &self.queues[usize::from(lane.index())]
    }

    pub(crate) fn lane_of(&self, show: &ShowId) -> &LaneQueue {
        self.lane(self.lanes.of(show))
    }

    /// False while somebody else takes orders from the lane.
    pub(crate) fn take_turn(&self, lane: Lane) -> bool {
        let mut in_turn = self.in_turn.lock();
        let is_free = !in_turn.contains(lane);
        in_turn.insert(lane);
        is_free
    }

    pub(crate) fn end_turn(&self, lane: Lane) {
        self.in_turn.lock().remove(lane);
        self.lane_freed.notify_waiters();
    }

    /// Makes room for one order; false if the queue is full.
    pub(crate) fn reserve(&self) -> bool {
        self.orders
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |orders| {
                (orders < self.capacity).then_some(orders + 1)
            })
            .is_ok()
    }

    /// Gives the room of acked orders back.
    pub(crate) fn release(&self, orders: usize) {
        self.orders.fetch_sub(orders, Ordering::Relaxed);
    }

    pub(crate) fn orders(&self) -> usize {
        self.orders.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Dependency for MemoryQueue {
    fn name(&self) -> &'static str {
        "queue"
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        Ok(())
    }
}
