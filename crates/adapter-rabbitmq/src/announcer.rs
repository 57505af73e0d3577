//! Outcomes out of this process. One task takes what was handed in while the
//! message before was on its way, so that a thousand confirmed holds cost as
//! many confirms of the broker as one.

use std::sync::Arc;

use domain::event::Event;
use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use tokio::sync::{mpsc, oneshot};

use crate::error::BrokerError;
use crate::link::{Link, LiveChannel, within_limit};
use crate::wire;

/// Events of one message.
const MAX_EVENTS: usize = 500;
/// Callers whose events are announced together.
const MAX_CALLERS: usize = 1_000;
/// Callers that may wait for their turn; more of them wait to be let in.
const MAX_WAITING: usize = 10_000;

struct Announcement {
    events: Vec<Event>,
    announced: oneshot::Sender<Result<(), BrokerError>>,
}

/// Hands events to the task that announces them.
pub(crate) struct Announcer {
    announcements: mpsc::Sender<Announcement>,
}

impl Announcer {
    /// Starts the task; it ends with the returned value.
    pub(crate) fn start(link: Arc<Link>, exchange: ShortString) -> Self {
        let (announcements, waiting) = mpsc::channel(MAX_WAITING);
        let task = Task {
            link,
            exchange,
            live: None,
        };
        tokio::spawn(task.run(waiting));
        Self { announcements }
    }

    /// Returns once the broker has them.
    pub(crate) async fn announce(&self, events: Vec<Event>) -> Result<(), BrokerError> {
        let (announced, result) = oneshot::channel();
        let announcement = Announcement { events, announced };
        // Either fails only when the runtime shuts down.
        let handed_in = self.announcements.send(announcement).await;
        handed_in.map_err(|_| BrokerError::Stopped)?;
        result.await.map_err(|_| BrokerError::Stopped)?
    }
}

struct Task {
    link: Arc<Link>,
    exchange: ShortString,
    live: Option<LiveChannel>,
}

impl Task {
    async fn run(mut self, mut waiting: mpsc::Receiver<Announcement>) {
        let mut together = Vec::new();
        while waiting.recv_many(&mut together, MAX_CALLERS).await > 0 {
            let mut events = Vec::new();
            let mut callers = Vec::with_capacity(together.len());
            for announcement in together.drain(..) {
                events.extend(announcement.events);
                callers.push(announcement.announced);
            }
            let result = self.announce(&events).await;
            for caller in callers {
                // Who has gone away does not want to know.
                let _unheard = caller.send(result.clone());
            }
        }
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
        let mut confirms = Vec::new();
        for some in events.chunks(MAX_EVENTS) {
            let body = wire::encode_events(some);
            let publishing = live.channel.basic_publish(
                self.exchange.clone(),
                "".into(),
                // Not mandatory: that nobody listens is no fault.
                BasicPublishOptions::default(),
                &body,
                BasicProperties::default().with_content_type(wire::CONTENT_TYPE.into()),
            );
            confirms.push(within_limit(publishing).await?);
        }
        for confirm in confirms {
            match within_limit(confirm).await? {
                Confirmation::Ack(_) => {}
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    return Err(BrokerError::NotStored);
                }
            }
        }
        self.live = Some(live);
        Ok(())
    }
}
