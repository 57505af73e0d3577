//! The buyer is told: tickets, shows and the waiting line over WebSocket and
//! Server-Sent Events.
//!
//! [`hub`] hears what is announced, [`telling`] reads what the store says; both
//! put it into the buffers ([`listener`]) of those who are registered for it
//! ([`ticket_registry`], [`show_registry`]). [`websocket`] and [`event_stream`]
//! are the two kinds of connections, which send what is in their buffer.

mod connection;
mod connections;
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
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub(crate) use self::connection::TicketRequest;

use self::connections::Connections;
use self::show_registry::ShowRegistry;
use self::ticket_registry::TicketRegistry;

/// How the buyer is told.
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
    connections: Connections,
    tickets: TicketRegistry,
    shows: ShowRegistry,
    /// Announcements may have been missed, so the store is to be read again.
    missed: Notify,
    /// A show has sold out, so its gate is to be verified.
    sold_out: Notify,
}

impl Live {
    /// Without a connection so far.
    #[must_use]
    pub fn new(office: Arc<BoxOffice>, settings: LiveSettings) -> Self {
        Self {
            office,
            connections: Connections::new(settings.max_connections),
            settings,
            tickets: TicketRegistry::default(),
            shows: ShowRegistry::default(),
            missed: Notify::new(),
            sold_out: Notify::new(),
        }
    }

    /// What has to run, with its names, until `stop` is cancelled. None of it
    /// returns before.
    pub fn tasks(
        live: &Arc<Self>,
        stop: &CancellationToken,
    ) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
        let task = |name, work: fn(Arc<Self>) -> BoxFuture<'static, ()>| {
            let stop = stop.clone();
            let work = work(Arc::clone(live));
            let until_stopped = async move {
                stop.run_until_cancelled_owned(work).await;
            };
            (name, until_stopped.boxed())
        };
        vec![
            task("event listener", |live| {
                async move { live.listen().await }.boxed()
            }),
            task("state reader", |live| {
                async move { live.heal().await }.boxed()
            }),
            task("waiting line", |live| {
                async move { live.tell_lines().await }.boxed()
            }),
            task("show pacer", |live| {
                async move { live.shows.keep_pace().await }.boxed()
            }),
            task("gate verifier", |live| {
                async move { live.verify_gates().await }.boxed()
            }),
            task("acceptance announcer", |live| {
                async move { live.announce_accepted().await }.boxed()
            }),
        ]
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
