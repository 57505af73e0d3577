//! Hearing what is announced, and what this process announces of itself.

use std::time::Duration;

use domain::event::Event;
use domain::ports::{EventFeed, EventFeedError};
use domain::waiting_line::ANNOUNCED_EVERY;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};

use super::Live;
use super::listener::Audience;
use runtime::Outage;

/// Before the next attempt to subscribe to announcements.
const RETRY: Duration = Duration::from_millis(250);
/// A gate that is not verified for two seconds opens.
const VERIFY_GATES: Duration = Duration::from_millis(500);
/// Between two readings, however many shows sell out.
const VERIFY_AGAIN: Duration = Duration::from_millis(20);

impl Live {
    /// Hears everything that is announced; never returns.
    pub(crate) async fn listen(&self) {
        let mut outage = Outage::of("events");
        loop {
            match self.office.subscribe().await {
                Ok(feed) => {
                    outage.record_success();
                    self.miss();
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
                Ok(events) => events.iter().for_each(|event| self.tell(event)),
                Err(EventFeedError::Gap) => self.miss(),
                Err(EventFeedError::Closed(_)) => return,
            }
            // A feed that never waits would keep this thread for itself.
            consume_budget().await;
        }
    }

    /// What was announced before this moment may not have been heard.
    fn miss(&self) {
        self.office.missed_events();
        self.missed.notify_one();
    }

    /// Tells an announcement to those who listen.
    pub(super) fn tell(&self, event: &Event) {
        if self.office.hear(event) {
            self.sold_out.notify_one();
        }
        match event {
            Event::Ticket(ticket) => self.tickets.tell(ticket, Audience::All),
            Event::Show(seats) => self.shows.tell(seats, Audience::All),
            // The waiting line has heard it, and is told at its own pace.
            Event::Accepted(_) => {}
        }
    }

    /// Keeps gates of sold-out shows closed for as long as it is true; never returns.
    pub(crate) async fn verify_gates(&self) {
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

    /// Tells all processes how many orders this one has accepted; never returns.
    pub(crate) async fn announce_accepted(&self) {
        let mut outage = Outage::of("acceptances");
        let mut ticks = ticks(ANNOUNCED_EVERY);
        loop {
            ticks.tick().await;
            match self.office.announce_accepted().await {
                Ok(()) => outage.record_success(),
                Err(error) => outage.record_failure(&error),
            }
        }
    }
}

/// A tick after each period, however long the work between them takes.
pub(super) fn ticks(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
