//! The simulated broker: lanes, their owners, dead letters, feeds.

mod consumer;
mod dead_letters;
mod events;
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

pub(crate) use self::events::{SimEvents, agrees};
pub(crate) use self::queue::SimQueue;
use crate::mistake::Mistake;
use crate::world::World;

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

/// One class of a lane. The first `delivered` messages are with the owner.
#[derive(Default)]
struct ClassQueue {
    messages: VecDeque<Message>,
    delivered: usize,
}

struct LaneQueues {
    classes: [ClassQueue; CLASSES],
    owner: Option<String>,
    /// Counts the owners, so that a former one is known by its number.
    epoch: u64,
    /// When the broker has noticed that the last owner is gone.
    free_at: Instant,
    changed: Arc<Notify>,
}

pub(crate) struct Broker {
    lanes: Vec<LaneQueues>,
    pub(crate) is_down_until: Instant,
    pub(crate) letters: Vec<DeadLetter>,
    /// Messages that arrive later.
    pub(crate) under_way: usize,
    messages: u64,
    /// Tickets whose verdict was announced.
    pub(crate) told: BTreeSet<TicketId>,
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
        let lane = |_| LaneQueues {
            classes: Default::default(),
            owner: None,
            epoch: 0,
            free_at: now,
            changed: Arc::default(),
        };
        Self {
            lanes: lanes.iter().map(lane).collect(),
            is_down_until: now,
            letters: Vec::new(),
            under_way: 0,
            messages: 0,
            told: BTreeSet::new(),
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
    pub(crate) fn store(&mut self, world: &World, lane: Lane, orders: Vec<Order>) {
        let Some(class) = orders.first().map(|order| order.class) else {
            return;
        };
        self.messages += 1;
        let id = self.messages;
        world.note(
            "broker",
            format_args!("stores message {id} in lane {lane}: {}", ids(&orders)),
        );
        let queues = self.lane(lane);
        let queue = &mut queues.classes[class_index(class)];
        queue.messages.push_back(Message { id, orders });
        queues.changed.notify_waiters();
    }

    /// Gives a free lane to an owner, from the first lane on, and the owner's number.
    pub(crate) fn claim(&mut self, lanes: Lanes, owner: &str) -> Option<(Lane, u64)> {
        let now = Instant::now();
        let free = |lane: &Lane| {
            let queues = &self.lanes[usize::from(lane.index())];
            queues.owner.is_none() && queues.free_at <= now
        };
        let lane = lanes.iter().find(free)?;
        let queues = self.lane(lane);
        queues.owner = Some(owner.to_owned());
        queues.epoch += 1;
        Some((lane, queues.epoch))
    }

    pub(crate) fn owns(&mut self, lane: Lane, epoch: u64) -> bool {
        let queues = self.lane(lane);
        queues.epoch == epoch && queues.owner.is_some()
    }

    /// The next messages of a class for the lane's owner.
    pub(crate) fn deliver(&mut self, lane: Lane, class: usize, most: usize) -> Vec<Message> {
        let queue = &mut self.lane(lane).classes[class];
        let messages = queue.messages.iter().skip(queue.delivered).take(most);
        let messages: Vec<_> = messages.cloned().collect();
        queue.delivered += messages.len();
        messages
    }

    pub(crate) fn has_undelivered(&mut self, lane: Lane) -> bool {
        let mut queues = self.lane(lane).classes.iter();
        queues.any(|queue| queue.messages.len() > queue.delivered)
    }

    /// Forgets the messages up to the one with this number.
    pub(crate) fn settle(&mut self, world: &World, lane: Lane, class: usize, last: u64) {
        let queue = &mut self.lane(lane).classes[class];
        // Numbers grow in a queue, unless somebody mixed it up.
        let Some(index) = queue.messages.iter().position(|message| message.id == last) else {
            return;
        };
        queue.messages.drain(..=index);
        queue.delivered = queue.delivered.saturating_sub(index + 1);
        world.note("broker", format_args!("forgets up to message {last}"));
    }

    /// Takes the lane from its owner. What was not settled is at its place again.
    pub(crate) fn revoke(&mut self, world: &World, lane: Lane, noticed: Duration) {
        let queues = self.lane(lane);
        let Some(owner) = queues.owner.take() else {
            return;
        };
        world.note("broker", format_args!("lane {lane} is no longer {owner}'s"));
        queues.free_at = Instant::now() + noticed;
        for queue in &mut queues.classes {
            if world.has(Mistake::RedeliversAtTheEnd) {
                queue.messages.rotate_left(queue.delivered);
            }
            queue.delivered = 0;
        }
        queues.changed.notify_waiters();
    }

    /// The same for all lanes of one owner.
    pub(crate) fn revoke_all_of(&mut self, world: &World, owner: &str) {
        for lane in world.plan.lanes.iter() {
            if self.lane(lane).owner.as_deref() == Some(owner) {
                self.revoke(world, lane, Duration::ZERO);
            }
        }
    }

    /// All connections break.
    pub(crate) fn go_down(&mut self, world: &World, time: Duration) {
        world.note("broker", format_args!("is down for {time:?}"));
        self.is_down_until = Instant::now() + time;
        for lane in world.plan.lanes.iter() {
            self.revoke(world, lane, time);
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
