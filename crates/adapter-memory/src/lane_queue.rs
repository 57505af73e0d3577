//! One lane: a queue per class, and at most one batch that is not yet settled.

use std::collections::VecDeque;
use std::mem;

use domain::order::{NewOrder, Order};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub(crate) struct LaneQueue {
    state: Mutex<LaneState>,
    /// Wakes the lane's owner.
    changed: Notify,
}

struct LaneState {
    high: ClassQueue,
    standard: ClassQueue,
    schedule: ClassSchedule,
    /// A batch is out. The next one waits for it, whoever asks: a batch that
    /// comes back must find its places before all that was not delivered yet.
    unsettled: bool,
    /// The owner has found nothing to take. Only then a publisher wakes it.
    owner_waits: bool,
}

struct ClassQueue {
    waiting: VecDeque<Order>,
    /// The place that was given last.
    latest: Timestamp,
}

impl ClassQueue {
    const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            latest: Timestamp::MIN,
        }
    }
}

impl LaneState {
    fn class(&mut self, class: PriorityClass) -> &mut ClassQueue {
        match class {
            PriorityClass::High => &mut self.high,
            PriorityClass::Standard => &mut self.standard,
        }
    }

    fn next(&mut self) -> Option<Order> {
        let class = self.schedule.next(
            !self.high.waiting.is_empty(),
            !self.standard.waiting.is_empty(),
        )?;
        self.class(class).waiting.pop_front()
    }
}

impl LaneQueue {
    pub(crate) fn new(schedule: ClassSchedule) -> Self {
        Self {
            state: Mutex::new(LaneState {
                high: ClassQueue::new(),
                standard: ClassQueue::new(),
                schedule,
                unsettled: false,
                owner_waits: false,
            }),
            changed: Notify::new(),
        }
    }

    /// Gives the order the next place of its class: `now`, or just after the
    /// place before it if the clock did not move on since then.
    pub(crate) fn accept(&self, order: NewOrder, now: Timestamp, process: ProcessId) -> Order {
        let mut state = self.state.lock();
        let queue = state.class(order.class);
        queue.latest = now.max(queue.latest.plus_micros(1));
        let order = order.accepted(queue.latest, process);
        queue.waiting.push_back(order.clone());
        self.wake_owner(state);
        order
    }

    /// Puts an order that has a place already at the end of its class.
    pub(crate) fn append(&self, order: Order) {
        let mut state = self.state.lock();
        state.class(order.class).waiting.push_back(order);
        self.wake_owner(state);
    }

    /// Waits for orders and for the batch before, then takes up to `max`
    /// orders, at least one. They are unsettled until [`Self::settle`] or
    /// [`Self::give_back`].
    pub(crate) async fn take(&self, max: usize) -> Vec<Order> {
        loop {
            if let Some(orders) = self.try_take(max.max(1)) {
                return orders;
            }
            self.changed.notified().await;
        }
    }

    fn try_take(&self, max: usize) -> Option<Vec<Order>> {
        let mut state = self.state.lock();
        let waiting = state.high.waiting.len() + state.standard.waiting.len();
        if state.unsettled || waiting == 0 {
            state.owner_waits = true;
            return None;
        }
        state.unsettled = true;
        let mut orders = Vec::with_capacity(waiting.min(max));
        while orders.len() < max
            && let Some(order) = state.next()
        {
            orders.push(order);
        }
        Some(orders)
    }

    /// Forgets the batch that is out.
    pub(crate) fn settle(&self) {
        let mut state = self.state.lock();
        state.unsettled = false;
        self.wake_owner(state);
    }

    /// Takes the batch that is out back, every order at its old place.
    pub(crate) fn give_back(&self, orders: Vec<Order>) {
        let mut state = self.state.lock();
        for order in orders.into_iter().rev() {
            state.class(order.class).waiting.push_front(order);
        }
        state.unsettled = false;
        self.wake_owner(state);
    }

    fn wake_owner(&self, mut state: MutexGuard<'_, LaneState>) {
        let owner_waits = mem::take(&mut state.owner_waits);
        drop(state);
        if owner_waits {
            self.changed.notify_one();
        }
    }
}
