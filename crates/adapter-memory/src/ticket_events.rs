//! Outcomes to every listener of this process.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use domain::event::Event;
use domain::ports::{EventFeed, EventFeedError, TicketEvents, TicketEventsError};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Carries events to feeds in memory. A feed that falls behind by more than the
/// buffer gets a gap; it holds up neither the announcer nor the other feeds.
pub struct MemoryTicketEvents {
    shared: Arc<SharedEvents>,
}

struct SharedEvents {
    /// The most events kept for feeds that are behind, beside the latest announcement.
    buffer: usize,
    recent: Mutex<Recent>,
    announced: Notify,
}

/// The latest announcements.
#[derive(Default)]
struct Recent {
    announcements: VecDeque<Arc<[Event]>>,
    /// How many announcements are gone: the number of the first that is kept.
    first: u64,
    /// Events in `announcements`.
    events: usize,
    closed: bool,
}

impl Recent {
    fn end(&self) -> u64 {
        self.first + self.announcements.len() as u64
    }

    fn push(&mut self, announcement: Arc<[Event]>, buffer: usize) {
        self.events += announcement.len();
        self.announcements.push_back(announcement);
        while self.events > buffer
            && self.announcements.len() > 1
            && let Some(oldest) = self.announcements.pop_front()
        {
            self.events -= oldest.len();
            self.first += 1;
        }
    }

    /// What a feed at `position` gets next; `None` if it has to wait.
    fn next(&self, position: &mut u64) -> Option<Result<Arc<[Event]>, EventFeedError>> {
        let Some(behind) = position.checked_sub(self.first) else {
            *position = self.first;
            return Some(Err(EventFeedError::Gap));
        };
        let next = usize::try_from(behind)
            .ok()
            .and_then(|behind| self.announcements.get(behind));
        match next {
            Some(announcement) => {
                *position += 1;
                Some(Ok(Arc::clone(announcement)))
            }
            None if self.closed => Some(Err(EventFeedError::Closed(None))),
            None => None,
        }
    }
}

impl MemoryTicketEvents {
    /// Keeps the latest `buffer` events, and at least one announcement, for
    /// feeds that are behind.
    #[must_use]
    pub fn new(buffer: usize) -> Self {
        Self {
            shared: Arc::new(SharedEvents {
                buffer,
                recent: Mutex::default(),
                announced: Notify::new(),
            }),
        }
    }
}

impl Drop for MemoryTicketEvents {
    fn drop(&mut self) {
        self.shared.recent.lock().closed = true;
        self.shared.announced.notify_waiters();
    }
}

#[async_trait]
impl TicketEvents for MemoryTicketEvents {
    async fn announce(&self, events: Vec<Event>) -> Result<(), TicketEventsError> {
        let announcement = events.into();
        self.shared
            .recent
            .lock()
            .push(announcement, self.shared.buffer);
        self.shared.announced.notify_waiters();
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        let position = self.shared.recent.lock().end();
        Ok(Box::new(MemoryEventFeed {
            shared: Arc::clone(&self.shared),
            position,
        }))
    }
}

struct MemoryEventFeed {
    shared: Arc<SharedEvents>,
    /// The number of the announcement that comes next.
    position: u64,
}

#[async_trait]
impl EventFeed for MemoryEventFeed {
    async fn next(&mut self) -> Result<Arc<[Event]>, EventFeedError> {
        loop {
            let mut announced = pin!(self.shared.announced.notified());
            // From here on no announcement is missed.
            announced.as_mut().enable();
            let next = self.shared.recent.lock().next(&mut self.position);
            if let Some(next) = next {
                return next;
            }
            announced.await;
        }
    }
}
