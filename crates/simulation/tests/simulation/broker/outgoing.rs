//! Orders on their way into the queue: per lane and class one task sends what has arrived as
//! one message, again and again until it is confirmed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::order::{Lane, NewOrder, Order};
use domain::ports::{Clock, PublishError};
use domain::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::ids;
use crate::mistake::Mistake;
use crate::node::Node;

/// One caller's order on its way.
pub(super) struct Request {
    pub(super) order: NewOrder,
    /// Set by whoever is first: the task that sends it, or the caller that gives up.
    pub(super) taken: Arc<AtomicBool>,
    pub(super) answer: oneshot::Sender<Result<Order, PublishError>>,
}

pub(super) struct Outgoing {
    lane: Lane,
    pub(super) waiting: Mutex<VecDeque<Request>>,
    pub(super) arrived: Notify,
}

type Answer = oneshot::Sender<Result<Order, PublishError>>;
type Sent = (Vec<Order>, Vec<Answer>);

/// The task that sends the orders of one lane and class.
pub(super) struct Sending {
    node: Arc<Node>,
    outgoing: Arc<Outgoing>,
    /// The place that was given last.
    latest: Timestamp,
    /// Only with [`Mistake::RetriesOutOfSequence`]: what is sent again later.
    put_off: Option<Sent>,
}

enum Arrival {
    Never,
    Now,
    Late,
}

impl Outgoing {
    pub(super) fn new(lane: Lane) -> Arc<Self> {
        Arc::new(Self {
            lane,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        })
    }
}

impl Sending {
    pub(super) fn new(node: &Arc<Node>, outgoing: &Arc<Outgoing>) -> Self {
        Self {
            node: Arc::clone(node),
            outgoing: Arc::clone(outgoing),
            latest: Timestamp::MIN,
            put_off: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            if self.outgoing.waiting.lock().is_empty() && self.put_off.is_none() {
                self.outgoing.arrived.notified().await;
            }
            while self.node.world.broker.lock().is_down() {
                let pause = self.pause();
                sleep(pause).await;
            }
            self.node.step("broker: a channel is open").await;
            let (orders, answers) = self.take_waiting();
            if !orders.is_empty() {
                self.send(orders, answers).await;
            } else if let Some((orders, answers)) = self.put_off.take() {
                self.send(orders, answers).await;
            }
        }
    }

    /// Gives every waiting order its place, unless its caller has given up.
    fn take_waiting(&mut self) -> Sent {
        let now = self.node.now();
        let most = self.node.world.plan.message_max;
        let mut waiting = self.outgoing.waiting.lock();
        let (mut orders, mut answers) = (Vec::new(), Vec::new());
        while orders.len() < most
            && let Some(request) = waiting.pop_front()
        {
            if request.taken.swap(true, Ordering::Relaxed) {
                continue;
            }
            self.latest = now.max(self.latest.plus_micros(1));
            let process = self.node.process;
            orders.push(request.order.accepted(self.latest, process));
            answers.push(request.answer);
        }
        (orders, answers)
    }

    /// Sends the orders as one message until it is confirmed, before any other.
    async fn send(&mut self, orders: Vec<Order>, answers: Vec<Answer>) {
        let node = Arc::clone(&self.node);
        let world = &node.world;
        loop {
            node.step("broker: sends a message").await;
            let arrival = if world.broker.lock().is_down()
                || world.happens(|weather| weather.messages_lost)
            {
                Arrival::Never
            } else if world.happens(|weather| weather.messages_late) {
                Arrival::Late
            } else {
                Arrival::Now
            };
            match arrival {
                Arrival::Never => node.note(format_args!("lost: {}", ids(&orders))),
                Arrival::Late => self.arrives_late(orders.clone()),
                Arrival::Now => {
                    let mut broker = world.broker.lock();
                    broker.store(world, self.outgoing.lane, orders.clone());
                }
            }
            node.step("broker: awaits the confirm").await;
            let is_confirmed =
                matches!(arrival, Arrival::Now) && !world.happens(|weather| weather.confirms_lost);
            if is_confirmed {
                node.note(format_args!("confirmed: {}", ids(&orders)));
                for (answer, order) in answers.into_iter().zip(orders) {
                    // The caller may have given up; the order is queued all the same.
                    let _unheard = answer.send(Ok(order));
                }
                return;
            }
            if world.has(Mistake::RetriesOutOfSequence) && self.put_off.is_none() {
                self.put_off = Some((orders, answers));
                return;
            }
            let pause = self.pause();
            sleep(pause).await;
        }
    }

    /// The message is still on its way when its connection breaks.
    fn arrives_late(&self, orders: Vec<Order>) {
        let world = Arc::clone(&self.node.world);
        let lane = self.outgoing.lane;
        let delay = world.draw(|chance| chance.millis(1, 4_000));
        world.broker.lock().under_way += 1;
        tokio::spawn(async move {
            sleep(delay).await;
            let mut broker = world.broker.lock();
            broker.under_way -= 1;
            broker.store(&world, lane, orders);
        });
    }

    fn pause(&self) -> Duration {
        self.node.world.draw(|chance| chance.millis(10, 500))
    }
}
