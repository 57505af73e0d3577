//! The simulated broker: lanes, their owners, dead letters, feeds.

mod consumer;
mod dead_letters;
mod events;
mod outgoing;
mod publisher;
mod queue;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::event::Event;
use domain::order::{Lane, Lanes, Order};
use domain::ports::DeadLetter;
use domain::receipt::TicketId;
use domain::ticket::Ticket;
use domain::user::PriorityClass;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::events::SimEvents;
pub(crate) use self::queue::SimQueue;
use crate::course::Course;
use crate::mistake::Mistake;

pub(crate) const CLASSES: usize = PriorityClass::ALL.len();

pub(crate) const fn class_index(class: PriorityClass) -> usize {
    match class {
        PriorityClass::High => 0,
        PriorityClass::Standard => 1,
    }
}

/// Several orders of one publisher, stored and settled as one.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) orders: Vec<Order>,
}

/// Somebody who reads a queue, or waits for it.
struct Consumer {
    owner: String,
    /// Counts the openings, so that a former one is known by its number.
    opening: u64,
}

/// One class of a lane. The first `delivered` messages are with the first consumer, the
/// others wait for their turn: a single active consumer.
struct ClassQueue {
    messages: VecDeque<Message>,
    delivered: usize,
    consumers: VecDeque<Consumer>,
    /// When the broker has noticed that the first consumer before is gone.
    free_at: Instant,
}

impl ClassQueue {
    fn has(&self, opening: u64) -> bool {
        let mut consumers = self.consumers.iter();
        consumers.any(|consumer| consumer.opening == opening)
    }

    fn is_first(&self, opening: u64) -> bool {
        let first = self.consumers.front();
        first.is_some_and(|first| first.opening == opening) && self.free_at <= Instant::now()
    }

    /// What the consumer had is at its place again once that is noticed.
    fn remove(&mut self, opening: u64, noticed: Duration, at_the_end: bool) {
        let first = self.consumers.front();
        if first.is_some_and(|first| first.opening == opening) {
            self.free_at = self.free_at.max(Instant::now() + noticed);
            if at_the_end {
                self.messages.rotate_left(self.delivered);
            }
            self.delivered = 0;
        }
        self.consumers
            .retain(|consumer| consumer.opening != opening);
    }
}

struct LaneQueues {
    classes: [ClassQueue; CLASSES],
    changed: Arc<Notify>,
}

pub(crate) struct Broker {
    lanes: Vec<LaneQueues>,
    pub(crate) is_down_until: Instant,
    pub(crate) letters: Vec<DeadLetter>,
    /// Messages that arrive later.
    pub(crate) under_way: usize,
    messages: u64,
    openings: u64,
    /// Tickets whose verdict was announced.
    pub(crate) told: BTreeSet<TicketId>,
    /// Whether an announcement failed: it is not made again.
    pub(crate) has_failed_to_tell: bool,
    /// Only with [`Mistake::AnnouncesBeforeCommit`]: what was announced.
    pub(crate) told_early: Vec<Ticket>,
    /// Of each subscriber, what it has not heard yet.
    pub(crate) feeds: Vec<Feed>,
}

/// What a subscriber is to hear.
pub(crate) struct Feed {
    pub(crate) announced: VecDeque<Arc<[Event]>>,
    pub(crate) is_closed: bool,
    pub(crate) changed: Arc<Notify>,
}

impl Broker {
    pub(crate) fn new(lanes: Lanes) -> Self {
        let now = Instant::now();
        let class = || ClassQueue {
            messages: VecDeque::new(),
            delivered: 0,
            consumers: VecDeque::new(),
            free_at: now,
        };
        let lane = |_| LaneQueues {
            classes: std::array::from_fn(|_| class()),
            changed: Arc::default(),
        };
        Self {
            lanes: lanes.iter().map(lane).collect(),
            is_down_until: now,
            letters: Vec::new(),
            under_way: 0,
            messages: 0,
            openings: 0,
            told: BTreeSet::new(),
            has_failed_to_tell: false,
            told_early: Vec::new(),
            feeds: Vec::new(),
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down_until > Instant::now()
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneQueues {
        &mut self.lanes[usize::from(lane.index())]
    }

    /// What wakes the owner of a lane.
    pub(crate) fn changed(&mut self, lane: Lane) -> Arc<Notify> {
        Arc::clone(&self.lane(lane).changed)
    }

    /// Puts a message at the end of its queue.
    pub(crate) fn store(&mut self, course: &Course, lane: Lane, orders: Vec<Order>) {
        let Some(class) = orders.first().map(|order| order.class) else {
            return;
        };
        self.messages += 1;
        let id = self.messages;
        course.note(
            "broker",
            format_args!("stores message {id} in lane {lane}: {}", ids(&orders)),
        );
        let queues = self.lane(lane);
        let queue = &mut queues.classes[class_index(class)];
        queue.messages.push_back(Message { id, orders });
        queues.changed.notify_waiters();
    }

    /// The number of a new opening.
    pub(crate) fn opens(&mut self) -> u64 {
        self.openings += 1;
        self.openings
    }

    /// Adds a consumer to one class of a lane.
    pub(crate) fn consume(&mut self, lane: Lane, class: usize, opening: u64, owner: &str) {
        let consumer = Consumer {
            owner: owner.to_owned(),
            opening,
        };
        let queues = self.lane(lane);
        queues.classes[class].consumers.push_back(consumer);
        queues.changed.notify_waiters();
    }

    /// Whether the broker knows the consumers of the opening.
    pub(crate) fn is_open(&mut self, lane: Lane, opening: u64) -> bool {
        let mut queues = self.lane(lane).classes.iter();
        queues.all(|queue| queue.has(opening))
    }

    /// The next messages of a class for a consumer whose turn it is.
    pub(crate) fn deliver(
        &mut self,
        lane: Lane,
        class: usize,
        opening: u64,
        most: usize,
    ) -> Vec<Message> {
        let queue = &mut self.lane(lane).classes[class];
        if !queue.is_first(opening) {
            return Vec::new();
        }
        let messages = queue.messages.iter().skip(queue.delivered).take(most);
        let messages: Vec<_> = messages.cloned().collect();
        queue.delivered += messages.len();
        messages
    }

    pub(crate) fn has_undelivered(&mut self, lane: Lane) -> bool {
        let mut queues = self.lane(lane).classes.iter();
        queues.any(|queue| queue.messages.len() > queue.delivered)
    }

    /// Forgets the messages up to the one with this number, if they are the consumer's.
    pub(crate) fn settle(
        &mut self,
        course: &Course,
        lane: Lane,
        class: usize,
        opening: u64,
        last: u64,
    ) {
        let queue = &mut self.lane(lane).classes[class];
        if !queue.is_first(opening) {
            return;
        }
        // Numbers grow in a queue, unless somebody mixed it up.
        let Some(index) = queue.messages.iter().position(|message| message.id == last) else {
            return;
        };
        queue.messages.drain(..=index);
        queue.delivered = queue.delivered.saturating_sub(index + 1);
        course.note("broker", format_args!("forgets up to message {last}"));
    }

    /// Ends the consumers of an opening. What was not settled is at its place again.
    pub(crate) fn close(&mut self, course: &Course, lane: Lane, opening: u64, noticed: Duration) {
        let at_the_end = course.has(Mistake::RedeliversAtTheEnd);
        let queues = self.lane(lane);
        for queue in &mut queues.classes {
            queue.remove(opening, noticed, at_the_end);
        }
        queues.changed.notify_waiters();
    }

    /// Takes the lane from all that have it open.
    pub(crate) fn revoke(&mut self, course: &Course, lane: Lane, noticed: Duration) {
        let queues = self.lane(lane).classes.iter();
        let openings: BTreeSet<_> = queues
            .flat_map(|queue| queue.consumers.iter().map(|consumer| consumer.opening))
            .collect();
        for opening in openings {
            course.note("broker", format_args!("takes lane {lane} from {opening}"));
            self.close(course, lane, opening, noticed);
        }
    }

    /// Takes all lanes from one process.
    pub(crate) fn revoke_all_of(&mut self, course: &Course, owner: &str) {
        for lane in course.plan.lanes.iter() {
            let queues = self.lane(lane).classes.iter();
            let consumers = queues.flat_map(|queue| &queue.consumers);
            let its = consumers.filter(|consumer| consumer.owner == owner);
            let openings: BTreeSet<_> = its.map(|consumer| consumer.opening).collect();
            for opening in openings {
                course.note("broker", format_args!("takes lane {lane} from {owner}"));
                self.close(course, lane, opening, Duration::ZERO);
            }
        }
    }

    /// All connections break.
    pub(crate) fn go_down(&mut self, course: &Course, time: Duration) {
        course.note("broker", format_args!("is down for {time:?}"));
        self.is_down_until = Instant::now() + time;
        for lane in course.plan.lanes.iter() {
            self.revoke(course, lane, time);
        }
        for feed in &mut self.feeds {
            feed.is_closed = true;
            feed.changed.notify_waiters();
        }
    }

    /// Orders that are not settled.
    pub(crate) fn waiting(&self) -> usize {
        let queues = self.lanes.iter().flat_map(|lane| &lane.classes);
        let messages = queues.flat_map(|queue| &queue.messages);
        messages.map(|message| message.orders.len()).sum()
    }
}

pub(crate) fn ids(orders: &[Order]) -> String {
    let ids: Vec<_> = orders
        .iter()
        .map(|order| order.ticket_id.to_string())
        .collect();
    ids.join(" ")
}
