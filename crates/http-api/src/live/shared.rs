//! What all live connections of the process share.

use std::sync::Arc;
use std::time::Duration;

use domain::use_cases::BoxOffice;
use runtime::Count;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::connection_registry::ConnectionRegistry;
use super::message::Closing;
use super::show_registry::ShowRegistry;
use super::ticket_registry::TicketRegistry;
use crate::spans::Tracing;

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
    pub(super) office: Arc<BoxOffice>,
    pub(super) settings: LiveSettings,
    pub(super) connections: ConnectionRegistry,
    pub(super) tickets: TicketRegistry,
    pub(super) shows: ShowRegistry,
    /// Announcements may have been missed, so the store is to be read again.
    pub(super) missed: Notify,
    /// How many connections this process has closed, by why.
    closed: [Count; Closing::ALL.len()],
}

impl Live {
    /// Without a connection so far.
    #[must_use]
    pub fn new(
        office: Arc<BoxOffice>,
        settings: LiveSettings,
        tracing: Option<Arc<dyn Tracing>>,
    ) -> Self {
        Self {
            office,
            connections: ConnectionRegistry::new(settings.max_connections),
            settings,
            tickets: TicketRegistry::new(tracing),
            shows: ShowRegistry::default(),
            missed: Notify::new(),
            closed: Default::default(),
        }
    }

    /// Takes note that a connection is closed here.
    pub(super) fn note_closed(&self, closing: Closing) {
        self.closed[closing as usize].add_one();
    }

    /// How many connections this process has closed so far, by the code that they were told.
    pub fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let closed = Closing::ALL.into_iter().zip(&self.closed);
        closed.map(|(closing, count)| (closing.code(), count.total()))
    }

    /// How many connections are open: WebSockets, and event streams.
    #[must_use]
    pub fn open(&self) -> [(&'static str, usize); 2] {
        let (websockets, streams) = self.connections.count_by_kind();
        [("websocket", websockets), ("event_stream", streams)]
    }

    /// A tick after each `live.heartbeat_seconds`, however long the work between them takes.
    pub(super) fn heartbeats(&self) -> Interval {
        let period = self.settings.heartbeat;
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Ends connections whose token is over, once a second. Never returns.
    pub(super) async fn end_expired(&self) {
        const PERIOD: Duration = Duration::from_secs(1);

        loop {
            sleep(PERIOD).await;
            self.connections.end_expired(self.office.now());
        }
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
