//! Orders into the queue, for their callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use domain::order::{NewOrder, Order};
use domain::ports::{PublishError, TicketPublisher};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::outgoing::Request;
use super::queue::cause;
use super::{SimQueue, class_index};
use crate::mistake::Mistake;
use crate::truth;

/// Orders of one process, lane and class that may await their confirm.
const CAPACITY: usize = 8;

/// Takes a waiting order back when its caller goes away.
struct TakeBack<'a>(&'a AtomicBool);

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl TicketPublisher for SimQueue {
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError> {
        let world = &self.node.world;
        truth::publishes(world, order.ticket_id);
        self.node.step("broker: an order is to be published").await;
        let lane = world.plan.lanes.of(&order.show_id);
        let outgoing = &self.outgoing[usize::from(lane.index())][class_index(order.class)];
        let taken = Arc::new(AtomicBool::new(false));
        let _take_back = TakeBack(&taken);
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = outgoing.waiting.lock();
            waiting.retain(|request| !request.taken.load(Ordering::Relaxed));
            if waiting.len() >= CAPACITY {
                return Err(PublishError::Full { capacity: CAPACITY });
            }
            waiting.push_back(Request {
                order,
                taken: Arc::clone(&taken),
                answer,
            });
        }
        outgoing.arrived.notify_one();
        match timeout(world.plan.publish_timeout, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(PublishError::OutcomeUnknown),
            Err(_)
                if taken.swap(true, Ordering::Relaxed)
                    && !world.has(Mistake::UnknownSaidNotQueued) =>
            {
                Err(PublishError::OutcomeUnknown)
            }
            Err(_) => Err(PublishError::Unavailable(cause())),
        }
    }
}
