//! Live updates for buyers: tickets, shows and the waiting line over WebSocket
//! and Server-Sent Events.
//!
//! [`hub`] is given what is announced, [`telling`] reads what the store says; both
//! put it into the buffers ([`listener`]) of those who are registered for it
//! ([`ticket_registry`], [`show_registry`]). [`websocket`] and [`event_stream`]
//! are the two kinds of connections, which send what is in their buffer.

mod connection;
mod connection_registry;
pub(crate) mod event_stream;
mod hub;
mod incoming;
mod listener;
mod message;
mod request;
mod show_registry;
mod telling;
#[cfg(test)]
mod tests;
mod ticket_registry;
mod waiting_line;
mod watches;
pub(crate) mod websocket;

use std::sync::Arc;
use std::time::Duration;

use domain::use_cases::BoxOffice;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

pub(crate) use self::connection::TicketRequest;

use self::connection_registry::ConnectionRegistry;
use self::show_registry::ShowRegistry;
use self::ticket_registry::TicketRegistry;

/// The limits and intervals of live connections.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// The most WebSockets and event streams of this process together.
    pub max_connections: usize,
    /// The most tickets and shows that one connection may listen to.
    pub max_subscriptions: usize,
    /// The most messages that wait for one connection.
    pub outgoing_buffer: usize,
    /// Between two signs of life.
    pub heartbeat: Duration,
    /// Between two messages about a ticket's waiting line.
    pub line_interval: Duration,
}

/// What all live connections of the process share.
pub struct Live {
    office: Arc<BoxOffice>,
    settings: LiveSettings,
    connections: ConnectionRegistry,
    tickets: TicketRegistry,
    shows: ShowRegistry,
    /// Announcements may have been missed, so the store is to be read again.
    missed: Notify,
}

impl Live {
    /// Without a connection so far.
    #[must_use]
    pub fn new(office: Arc<BoxOffice>, settings: LiveSettings) -> Self {
        Self {
            office,
            connections: ConnectionRegistry::new(settings.max_connections),
            settings,
            tickets: TicketRegistry::default(),
            shows: ShowRegistry::default(),
            missed: Notify::new(),
        }
    }

    /// What has to run, with its names, until the process stops. None of it returns.
    #[must_use]
    pub fn tasks(self: &Arc<Self>) -> [(&'static str, BoxFuture<'static, ()>); 3] {
        let [reader, line, pacer] = [(); 3].map(|()| Arc::clone(self));
        [
            ("state reader", async move { reader.heal().await }.boxed()),
            (
                "waiting line",
                async move { line.tell_lines().await }.boxed(),
            ),
            (
                "show pacer",
                async move { pacer.shows.keep_pace().await }.boxed(),
            ),
        ]
    }

    /// A tick after each `live.heartbeat_seconds`, however long the work between them takes.
    fn heartbeats(&self) -> Interval {
        let period = self.settings.heartbeat;
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Connections are refused from now on; those that are open are told why,
    /// and closed. Returns when all are, or after `patience`: who does not read
    /// is not waited for.
    pub async fn shut_down(&self, patience: Duration) {
        /// Short beside any patience, long beside what a check costs.
        const CHECK_AGAIN: Duration = Duration::from_millis(5);

        self.connections.shut_down();
        let all_closed = async {
            while self.connections.count() > 0 {
                sleep(CHECK_AGAIN).await;
            }
        };
        // Those that are left are cut with the server's end.
        let _in_time = tokio::time::timeout(patience, all_closed).await;
    }
}
