//! The simulated announcements.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use domain::event::Event;
use domain::ports::{EventFeed, EventFeedError, TicketEvents, TicketEventsError};
use tokio::sync::Notify;

use super::Feed;
use crate::node::Node;
use crate::truth::agrees;
use crate::world::World;

fn unavailable() -> TicketEventsError {
    TicketEventsError::Unavailable("the simulated carrier did not answer".into())
}

pub(crate) struct SimEvents {
    node: Arc<Node>,
}

impl SimEvents {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self {
            node: Arc::clone(node),
        }
    }

    fn fails(&self) -> bool {
        let world = &self.node.world;
        let is_down = world.broker.lock().is_down();
        let fails = is_down || world.happens(|weather| weather.announcements_fail);
        world.broker.lock().has_failed_to_tell |= fails;
        fails
    }
}

#[async_trait]
impl TicketEvents for SimEvents {
    async fn announce(&self, events: Vec<Event>) -> Result<(), TicketEventsError> {
        self.node.step("broker: an announcement is sent").await;
        if self.fails() {
            return Err(unavailable());
        }
        let world = &self.node.world;
        for event in &events {
            check(world, event);
            if let Event::Ticket(ticket) = event {
                world.broker.lock().told.insert(ticket.order.ticket_id);
            }
        }
        let announcement: Arc<[Event]> = events.into();
        for feed in &mut world.broker.lock().feeds {
            feed.announced.push_back(Arc::clone(&announcement));
            feed.changed.notify_waiters();
        }
        self.node
            .step("broker: the announcement is confirmed")
            .await;
        if self.fails() {
            return Err(unavailable());
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        self.node.step("broker: subscribes").await;
        let mut broker = self.node.world.broker.lock();
        if broker.is_down() {
            return Err(unavailable());
        }
        broker.feeds.push(Feed {
            announced: Default::default(),
            is_closed: false,
            changed: Arc::new(Notify::new()),
        });
        Ok(Box::new(SimEventFeed {
            node: Arc::clone(&self.node),
            number: broker.feeds.len() - 1,
        }))
    }
}

/// Only what is committed may be announced.
fn check(world: &World, event: &Event) {
    let tables = world.tables.lock();
    match event {
        Event::Ticket(ticket) => {
            let row = tables.tickets.get(&ticket.order.ticket_id);
            let version = usize::try_from(ticket.version).unwrap();
            let committed = row.and_then(|row| row.statuses.get(version - 1));
            world.check(
                committed == Some(&ticket.status)
                    && row.is_some_and(|row| agrees(&row.ticket, ticket)),
                format_args!("announced, but not committed: {ticket:?}"),
            );
        }
        Event::Accepted(_) | Event::Settled(_) => {}
        Event::Show(seats) => {
            let row = tables.shows.get(&seats.show_id);
            let committed = row.and_then(|row| row.committed.get(&seats.seq));
            world.check(
                committed == Some(&seats.seats),
                format_args!("announced, but not committed: {seats:?}"),
            );
        }
    }
}

struct SimEventFeed {
    node: Arc<Node>,
    number: usize,
}

#[async_trait]
impl EventFeed for SimEventFeed {
    async fn next(&mut self) -> Result<Arc<[Event]>, EventFeedError> {
        let world = Arc::clone(&self.node.world);
        loop {
            let changed = Arc::clone(&world.broker.lock().feeds[self.number].changed);
            let mut changed = pin!(changed.notified());
            // From here on no announcement is missed.
            changed.as_mut().enable();
            {
                let feed = &mut world.broker.lock().feeds[self.number];
                if feed.is_closed {
                    return Err(EventFeedError::Closed(None));
                }
                if let Some(announcement) = feed.announced.pop_front() {
                    if world.happens(|weather| weather.announcements_fail) {
                        return Err(EventFeedError::Gap);
                    }
                    return Ok(announcement);
                }
            }
            changed.await;
        }
    }
}
