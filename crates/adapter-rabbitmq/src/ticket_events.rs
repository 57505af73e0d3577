//! Outcomes to every process: one subscription of the broker per process, from
//! which all feeds of the process are served.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Event;
use domain::ports::{EventFeed, EventFeedError};
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Consumer, ExchangeKind};
use tokio::sync::{Mutex, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tracing::warn;

use crate::announcer::{Announcer, REBIND};
use crate::error::BrokerError;
use crate::limits::within_limit;
use crate::link::{Link, LiveChannel};
use crate::topology::{Topology, declare_exchange};
use crate::trace_headers;
use crate::wire;

/// Between two attempts to subscribe.
const RETRY: Duration = Duration::from_millis(250);
/// A process that could not listen for so long says so.
const DEAF_TOO_LONG: Duration = Duration::from_secs(10);

#[derive(Clone)]
enum Heard {
    Events(Arc<[Event]>),
    /// The subscription broke and was made again.
    Gap,
}

/// Both directions.
pub(crate) struct Events {
    announcer: Announcer,
    /// A connection of its own: what goes wrong with a subscription closes no lane.
    listening: Arc<Link>,
    topology: Topology,
    feeds: broadcast::Sender<Heard>,
    is_subscribed: Mutex<bool>,
    deaf: parking_lot::Mutex<Option<Deaf>>,
}

/// Nothing is heard.
struct Deaf {
    since: Instant,
    /// The first failure: those after it may only say that the channel is closed.
    error: BrokerError,
}

impl Events {
    /// Keeps the latest `buffer` announcements for feeds that are behind.
    pub(crate) fn new(
        publishing: Arc<Link>,
        listening: Arc<Link>,
        topology: Topology,
        buffer: usize,
    ) -> Self {
        Self {
            announcer: Announcer::start(publishing, topology.events_exchange()),
            listening,
            topology,
            feeds: broadcast::Sender::new(buffer),
            is_subscribed: Mutex::default(),
            deaf: parking_lot::Mutex::default(),
        }
    }

    /// Why this process has not heard of outcomes for a while, although it listens.
    pub(crate) fn trouble(&self) -> Option<String> {
        let deaf = self.deaf.lock();
        let deaf = deaf
            .as_ref()
            .filter(|deaf| deaf.since.elapsed() >= DEAF_TOO_LONG)?;
        Some(deaf.error.to_string())
    }

    pub(crate) async fn announce(&self, events: Vec<Event>) -> Result<(), BrokerError> {
        self.announcer.announce(events).await
    }

    pub(crate) async fn feed(self: &Arc<Self>) -> Result<Box<dyn EventFeed>, BrokerError> {
        self.subscribe().await?;
        let heard = self.feeds.subscribe();
        Ok(Box::new(RabbitEventFeed { heard }))
    }

    fn note_deaf(&self, error: BrokerError) {
        self.deaf.lock().get_or_insert_with(|| Deaf {
            since: Instant::now(),
            error,
        });
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

    /// Everything that is announced from now on, unacknowledged, through a queue that ends
    /// with the connection.
    async fn subscription(&self) -> Result<Subscription, BrokerError> {
        let live = self.listening.channel().await?;
        let exclusive = QueueDeclareOptions::exclusive();
        let declaring = live
            .channel
            .queue_declare("".into(), exclusive, FieldTable::default());
        let queue = within_limit(declaring).await?.name().clone();
        let no_ack = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consuming =
            live.channel
                .basic_consume(queue.clone(), "".into(), no_ack, FieldTable::default());
        let subscription = Subscription {
            deliveries: within_limit(consuming).await?,
            queue,
            live,
        };
        self.bind(&subscription).await?;
        Ok(subscription)
    }

    async fn bind(&self, subscription: &Subscription) -> Result<(), BrokerError> {
        let channel = &subscription.live.channel;
        let exchange = self.topology.events_exchange();
        declare_exchange(channel, exchange.clone(), ExchangeKind::Fanout).await?;
        let (queue, options) = (subscription.queue.clone(), QueueBindOptions::default());
        let binding =
            channel.queue_bind(queue, exchange, "".into(), options, FieldTable::default());
        within_limit(binding).await
    }

    async fn listen(self: Arc<Self>, mut subscription: Subscription) {
        loop {
            self.hear(&mut subscription).await;
            subscription = loop {
                match self.subscription().await {
                    Ok(subscription) => break subscription,
                    Err(error) => {
                        self.note_deaf(error);
                        sleep(RETRY).await;
                    }
                }
            };
            *self.deaf.lock() = None;
            let _feeds = self.feeds.send(Heard::Gap);
        }
    }

    /// Tells all feeds what arrives, until the subscription breaks.
    async fn hear(&self, subscription: &mut Subscription) {
        let mut rebind = interval_at(Instant::now() + REBIND, REBIND);
        rebind.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let delivered = tokio::select! {
                delivered = subscription.deliveries.next() => delivered,
                _ = rebind.tick() => match self.bind(subscription).await {
                    Ok(()) => continue,
                    Err(error) => {
                        subscription.live.leave(&error);
                        self.note_deaf(error);
                        return;
                    }
                },
            };
            let Some(Ok(delivery)) = delivered else {
                return;
            };
            let heard = match wire::decode_events(&delivery.data) {
                Ok(mut events) => {
                    let headers = delivery.properties.headers().as_ref();
                    trace_headers::into_events(headers, &mut events);
                    Heard::Events(events.into())
                }
                Err(error) => {
                    warn!(%error, "skipped events that cannot be decoded");
                    Heard::Gap
                }
            };
            // Nobody may be listening just now.
            let _feeds = self.feeds.send(heard);
        }
    }
}

struct Subscription {
    deliveries: Consumer,
    queue: ShortString,
    live: LiveChannel,
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
