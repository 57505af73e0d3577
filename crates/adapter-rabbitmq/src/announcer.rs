//! Outcomes out of this process. One task takes what was handed in while the
//! message before was on its way, so that a thousand confirmed holds cost as
//! many confirms of the broker as one. Deciding does not wait for a broker that
//! takes none: what was decided stands in the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::event::Event;
use futures_util::TryFutureExt;
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::confirms::{Confirms, STALLED};
use crate::error::BrokerError;
use crate::limits::within_limit;
use crate::link::{Link, LiveChannel};
use crate::trace_headers;
use crate::wire;

/// Events of one message.
const MAX_EVENTS: usize = 500;
/// Callers whose events are announced together.
const MAX_CALLERS: usize = 1_000;
/// Callers that may wait for their turn; more of them wait to be let in.
const MAX_WAITING: usize = 10_000;
/// How long a caller waits. Who comes after one that waited in vain waits no longer, until
/// announcing works again.
const MOMENT: Duration = Duration::from_millis(250);
/// Events that are kept while the broker takes none, to be announced when it does: the
/// newest of them.
const MAX_KEPT: usize = 10_000;
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(250);

/// How often the subscription is bound again: somebody may have deleted the binding, or the
/// exchange with it.
pub(crate) const REBIND: Duration = Duration::from_secs(2);

struct Announcement {
    events: Vec<Event>,
    announced: oneshot::Sender<Result<(), BrokerError>>,
}

/// Hands events to the task that announces them.
pub(crate) struct Announcer {
    announcements: mpsc::Sender<Announcement>,
    is_behind: Arc<AtomicBool>,
}

impl Announcer {
    /// Starts the task; it ends with the returned value.
    pub(crate) fn start(link: Arc<Link>, exchange: ShortString) -> Self {
        let (announcements, waiting) = mpsc::channel(MAX_WAITING);
        let is_behind = Arc::new(AtomicBool::new(false));
        let task = Task {
            link,
            exchange,
            live: None,
            confirms: Confirms::default(),
            kept: VecDeque::new(),
            is_behind: Arc::clone(&is_behind),
        };
        tokio::spawn(task.run(waiting));
        Self {
            announcements,
            is_behind,
        }
    }

    /// Returns once the broker has them, or after a moment. They are announced later then,
    /// unless too many others are.
    pub(crate) async fn announce(&self, events: Vec<Event>) -> Result<(), BrokerError> {
        let (announced, result) = oneshot::channel();
        let announcement = Announcement { events, announced };
        if self.is_behind.load(Ordering::Relaxed) {
            // If there is no room, the states that they tell of are still to be read.
            let _kept = self.announcements.try_send(announcement);
            return Err(BrokerError::Behind);
        }
        let announcing = async {
            // Either fails only when the runtime shuts down.
            let handed_in = self.announcements.send(announcement).await;
            handed_in.map_err(|_| BrokerError::Stopped)?;
            result.await.map_err(|_| BrokerError::Stopped)?
        };
        match timeout(MOMENT, announcing).await {
            Ok(announced) => announced,
            Err(_) => {
                self.is_behind.store(true, Ordering::Relaxed);
                Err(BrokerError::TimedOut(MOMENT))
            }
        }
    }
}

struct Task {
    link: Arc<Link>,
    exchange: ShortString,
    live: Option<LiveChannel>,
    confirms: Confirms,
    /// In their sequence, to be announced first.
    kept: VecDeque<Event>,
    is_behind: Arc<AtomicBool>,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Announcement>) {
        let mut together = Vec::new();
        while waiting.recv_many(&mut together, MAX_CALLERS).await > 0 {
            let mut callers = Vec::with_capacity(together.len());
            for announcement in together.drain(..) {
                self.kept.extend(announcement.events);
                callers.push(announcement.announced);
            }
            let mut result = self.announce_kept().await;
            for caller in callers {
                // Who has gone away does not want to know.
                let _unheard = caller.send(result.clone());
            }
            while let Err(error) = result {
                // Nobody waits meanwhile, so that deciding goes on.
                self.is_behind.store(true, Ordering::Relaxed);
                while let Ok(announcement) = waiting.try_recv() {
                    self.kept.extend(announcement.events);
                }
                let too_many = self.kept.len().saturating_sub(MAX_KEPT);
                self.kept.drain(..too_many);
                if waiting.is_closed() {
                    return;
                }
                self.recover(&error).await;
                result = self.announce_kept().await;
            }
            self.is_behind.store(false, Ordering::Relaxed);
        }
    }

    async fn recover(&self, error: &BrokerError) {
        sleep(RETRY).await;
        if error.is_missing() && self.link.repair().await.is_ok() {
            // Before all processes listen to the new exchange nobody would hear it.
            sleep(2 * REBIND).await;
        }
    }

    async fn announce_kept(&mut self) -> Result<(), BrokerError> {
        let events: Vec<_> = self.kept.drain(..).collect();
        let announced = self.announce(&events).await;
        if announced.is_err() {
            self.kept.extend(events);
        }
        announced
    }

    async fn announce(&mut self, events: &[Event]) -> Result<(), BrokerError> {
        // Taken out while it is in use: after an error no confirm of before is
        // taken for one of later.
        let live = match self.live.take() {
            Some(live) if live.is_open() => live,
            _ => self.link.confirming_channel().await?,
        };
        if live.is_blocked() {
            return Err(BrokerError::Blocked);
        }
        let mut sent = Vec::new();
        for some in events.chunks(MAX_EVENTS) {
            let body = wire::encode_events(some);
            let mut properties =
                BasicProperties::default().with_content_type(wire::CONTENT_TYPE.into());
            if let Some(headers) = trace_headers::of_events(some) {
                properties = properties.with_headers(headers);
            }
            let publishing = live.channel.basic_publish(
                self.exchange.clone(),
                "".into(),
                // Not mandatory: that nobody listens is no fault.
                BasicPublishOptions::default(),
                &body,
                properties,
            );
            sent.push(within_limit(publishing).await?);
        }
        for confirm in sent {
            // Refused or not: one listener that is gone makes the broker refuse what all
            // others have got.
            let confirm = self
                .confirms
                .wait(&live, STALLED, confirm.map_err(Into::into));
            within_limit(confirm).await?;
        }
        self.live = Some(live);
        Ok(())
    }
}
