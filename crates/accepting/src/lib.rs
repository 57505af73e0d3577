//! The accepting side: what a process that takes orders does beside answering requests, whether
//! or not anybody listens to it. One task hears what is announced, one keeps the gates of sold-out
//! shows closed, one announces how many orders were accepted here ([`AcceptingSide::tasks`]).
//!
//! What is heard and announced is [`BoxOffice`]'s; here is only when, and how often again.
//! What others are to know of it goes to an [`EventSink`].

use std::sync::Arc;
use std::time::Duration;

use domain::event::Event;
use domain::ports::{EventFeed, EventFeedError};
use domain::use_cases::BoxOffice;
use domain::waiting_line::ANNOUNCED_EVERY;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime::Outage;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::{sleep, timeout};

/// Before the next attempt to subscribe to announcements.
const RETRY: Duration = Duration::from_millis(250);
/// A gate that is not verified for two seconds opens.
const VERIFY_GATES: Duration = Duration::from_millis(500);
/// Between two readings, however many shows sell out.
const VERIFY_AGAIN: Duration = Duration::from_millis(20);

/// Is given all that this process hears, in its sequence, after the box office has heard it.
///
/// Called for every event of the service, in the only task that hears them: it must not wait.
pub trait EventSink: Send + Sync {
    /// Takes an event.
    fn take(&self, event: &Event);

    /// Events that were announced before this moment may not have been heard: of a gap, or from
    /// before this process listened.
    fn note_gap(&self);
}

/// For a process that tells nobody.
impl EventSink for () {
    fn take(&self, _: &Event) {}

    fn note_gap(&self) {}
}

/// What the tasks of the accepting side share.
pub struct AcceptingSide {
    office: Arc<BoxOffice>,
    sink: Arc<dyn EventSink>,
    /// A show has sold out, so its gate is to be verified.
    sold_out: Notify,
}

impl AcceptingSide {
    /// Hears nothing before its tasks run.
    #[must_use]
    pub fn new(office: Arc<BoxOffice>, sink: Arc<dyn EventSink>) -> Self {
        Self {
            office,
            sink,
            sold_out: Notify::new(),
        }
    }

    /// What has to run, with its names, until the process stops. None of it returns.
    #[must_use]
    pub fn tasks(self: &Arc<Self>) -> [(&'static str, BoxFuture<'static, ()>); 3] {
        let [listener, verifier, announcer] = [(); 3].map(|()| Arc::clone(self));
        [
            (
                "event listener",
                async move { listener.listen().await }.boxed(),
            ),
            (
                "gate verifier",
                async move { verifier.verify_gates().await }.boxed(),
            ),
            (
                "acceptance announcer",
                async move { announcer.announce_accepted().await }.boxed(),
            ),
        ]
    }

    /// Hears everything that is announced.
    async fn listen(&self) {
        let mut outage = Outage::of("events");
        loop {
            match self.office.subscribe().await {
                Ok(feed) => {
                    outage.record_success();
                    self.note_gap();
                    self.hear(feed).await;
                }
                Err(error) => outage.record_failure(&error),
            }
            sleep(RETRY).await;
        }
    }

    async fn hear(&self, mut feed: Box<dyn EventFeed>) {
        loop {
            match feed.next().await {
                Ok(events) => events.iter().for_each(|event| self.take(event)),
                Err(EventFeedError::Gap) => self.note_gap(),
                Err(EventFeedError::Closed(_)) => return,
            }
            // A feed that never waits would keep this thread for itself.
            consume_budget().await;
        }
    }

    fn take(&self, event: &Event) {
        if self.office.hear(event) {
            self.sold_out.notify_one();
        }
        self.sink.take(event);
    }

    fn note_gap(&self) {
        self.office.note_missed_events();
        self.sink.note_gap();
    }

    /// Keeps gates of sold-out shows closed for as long as it is true.
    async fn verify_gates(&self) {
        let mut outage = Outage::of("gates");
        loop {
            sleep(VERIFY_AGAIN).await;
            // Soon, if a show has just sold out.
            let _in_time = timeout(VERIFY_GATES, self.sold_out.notified()).await;
            match self.office.verify_gates().await {
                Ok(()) => outage.record_success(),
                Err(error) => outage.record_failure(&error),
            }
        }
    }

    /// Tells all processes how many orders this one has accepted.
    async fn announce_accepted(&self) {
        let mut outage = Outage::of("acceptances");
        loop {
            sleep(ANNOUNCED_EVERY).await;
            match self.office.announce_accepted().await {
                Ok(()) => outage.record_success(),
                Err(error) => outage.record_failure(&error),
            }
        }
    }
}
