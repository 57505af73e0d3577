//! Outcomes to every process: one subscription of the broker per process, from
//! which all feeds of the process are served.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Event;
use domain::ports::{EventFeed, EventFeedError, TicketEvents, TicketEventsError};
use futures_util::StreamExt;
use lapin::Consumer;
use tokio::sync::{Mutex, broadcast};
use tokio::time::sleep;
use tracing::warn;

use crate::announcer::Announcer;
use crate::error::BrokerError;
use crate::link::{Link, LiveChannel};
use crate::queue::RabbitMq;
use crate::topology::Topology;
use crate::wire;

/// Between two attempts to subscribe.
const RETRY: Duration = Duration::from_millis(250);

#[derive(Clone)]
enum Heard {
    Events(Arc<[Event]>),
    /// The subscription broke and was made again.
    Gap,
}

/// Both directions.
pub(crate) struct Events {
    announcer: Announcer,
    consuming: Arc<Link>,
    topology: Topology,
    feeds: broadcast::Sender<Heard>,
    is_subscribed: Mutex<bool>,
}

impl Events {
    /// Keeps the latest `buffer` announcements for feeds that are behind.
    pub(crate) fn new(
        publishing: Arc<Link>,
        consuming: Arc<Link>,
        topology: Topology,
        buffer: usize,
    ) -> Self {
        Self {
            announcer: Announcer::start(publishing, topology.events_exchange()),
            consuming,
            topology,
            feeds: broadcast::Sender::new(buffer),
            is_subscribed: Mutex::default(),
        }
    }

    /// Makes sure that this process hears everything from now on.
    async fn subscribe(self: &Arc<Self>) -> Result<(), BrokerError> {
        let mut is_subscribed = self.is_subscribed.lock().await;
        if !*is_subscribed {
            let subscription = self.subscription().await?;
            tokio::spawn(Arc::clone(self).listen(subscription));
            *is_subscribed = true;
        }
        Ok(())
    }

    async fn subscription(&self) -> Result<(LiveChannel, Consumer), BrokerError> {
        let live = self.consuming.channel().await?;
        let consumer = live.hear(self.topology.events_exchange()).await?;
        Ok((live, consumer))
    }

    async fn listen(self: Arc<Self>, mut subscription: (LiveChannel, Consumer)) {
        loop {
            while let Some(Ok(delivery)) = subscription.1.next().await {
                let heard = match wire::decode_events(&delivery.data) {
                    Ok(events) => Heard::Events(events.into()),
                    Err(error) => {
                        warn!(%error, "events were not understood");
                        Heard::Gap
                    }
                };
                // Nobody may be listening just now.
                let _feeds = self.feeds.send(heard);
            }
            subscription = loop {
                match self.subscription().await {
                    Ok(subscription) => break subscription,
                    Err(_) => sleep(RETRY).await,
                }
            };
            let _feeds = self.feeds.send(Heard::Gap);
        }
    }
}

#[async_trait]
impl TicketEvents for RabbitMq {
    async fn announce(&self, events: Vec<Event>) -> Result<(), TicketEventsError> {
        self.events
            .announcer
            .announce(events)
            .await
            .map_err(|error| TicketEventsError::Unavailable(error.cause()))
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        self.events
            .subscribe()
            .await
            .map_err(|error| TicketEventsError::Unavailable(error.cause()))?;
        Ok(Box::new(RabbitEventFeed {
            heard: self.events.feeds.subscribe(),
        }))
    }
}

struct RabbitEventFeed {
    heard: broadcast::Receiver<Heard>,
}

#[async_trait]
impl EventFeed for RabbitEventFeed {
    async fn next(&mut self) -> Result<Arc<[Event]>, EventFeedError> {
        match self.heard.recv().await {
            Ok(Heard::Events(events)) => Ok(events),
            Ok(Heard::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => {
                Err(EventFeedError::Gap)
            }
            Err(broadcast::error::RecvError::Closed) => Err(EventFeedError::Closed(None)),
        }
    }
}
