//! The adapter as a whole: every port of the queue over two connections. Orders
//! and events go out on one, deliveries come in on the other, because a broker
//! that runs out of memory or disk stops reading from connections that publish,
//! and acks must get through then.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::order::Lanes;
use domain::ports::{
    Clock, ConsumeError, DeadLetter, DeadLetters, DeadLettersError, Dependency, DependencyDown,
    LaneConsumer, TicketConsumer,
};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;

use crate::dead_letters::RabbitDeadLetters;
use crate::error::{BrokerError, StartError};
use crate::link::{Link, within_limit};
use crate::ownership::Ownership;
use crate::ticket_events::Events;
use crate::ticket_publisher::Publisher;
use crate::topology::Topology;

/// Where the broker is and how it is used.
#[derive(Clone)]
pub struct RabbitMqConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://`.
    pub url: String,
    /// Goes before the name of every exchange and queue.
    pub prefix: String,
    /// How many lanes the queue has; must be what the broker was set up with.
    pub lanes: Lanes,
    /// The most orders of this process that await their confirm.
    pub capacity: usize,
    /// How long an order may wait for its confirm.
    pub publish_timeout: Duration,
    /// The most dead letters.
    pub dead_letter_capacity: usize,
    /// How each lane serves its classes.
    pub schedule: ClassSchedule,
    /// Announcements that are kept for a feed that is behind.
    pub event_buffer: usize,
}

/// The URL holds the password.
impl fmt::Debug for RabbitMqConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqConfig")
            .field("prefix", &self.prefix)
            .field("lanes", &self.lanes)
            .field("capacity", &self.capacity)
            .field("publish_timeout", &self.publish_timeout)
            .finish_non_exhaustive()
    }
}

/// The queue's ports on a broker.
pub struct RabbitMq {
    pub(crate) topology: Topology,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    pub(crate) publisher: Publisher,
    ownership: Arc<Ownership>,
    pub(crate) events: Arc<Events>,
    dead_letters: Arc<RabbitDeadLetters>,
}

impl RabbitMq {
    /// Starts the tasks that publish and connects if the broker answers; if it
    /// does not, that is tried again for as long as it takes. Must be called
    /// inside of a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if it could never work.
    pub async fn start(
        config: &RabbitMqConfig,
        clock: Arc<dyn Clock>,
        process: ProcessId,
    ) -> Result<Self, StartError> {
        let topology = Topology {
            prefix: config.prefix.clone(),
            lanes: config.lanes,
        };
        let link = |purpose| Link::new(purpose, &config.url, topology.clone()).map(Arc::new);
        let publishing = link("publishing")?;
        let consuming = link("consuming")?;
        if let Err(error @ BrokerError::LanesDiffer { .. }) = publishing.connection().await {
            return Err(StartError::Lanes(error));
        }
        let dead_letters = Arc::new(RabbitDeadLetters::new(
            Arc::clone(&publishing),
            topology.clone(),
            config.dead_letter_capacity,
        ));
        let ownership = Ownership::new(
            Arc::clone(&consuming),
            Arc::clone(&publishing),
            topology.clone(),
            process,
            Arc::clone(&clock),
            config.schedule.clone(),
            dead_letters.clone(),
        );
        let events = Events::new(
            Arc::clone(&publishing),
            Arc::clone(&consuming),
            topology.clone(),
            config.event_buffer,
        );
        Ok(Self {
            publisher: Publisher::start(
                &publishing,
                &topology,
                &clock,
                process,
                config.capacity,
                config.publish_timeout,
            ),
            topology,
            publishing,
            consuming,
            ownership: Arc::new(ownership),
            events: Arc::new(events),
            dead_letters,
        })
    }
}

#[async_trait]
impl TicketConsumer for RabbitMq {
    async fn claim_lane(&self) -> Result<Box<dyn LaneConsumer>, ConsumeError> {
        Ok(Box::new(self.ownership.claim().await))
    }

    /// The broker has them.
    fn volatile_orders(&self) -> usize {
        0
    }
}

#[async_trait]
impl DeadLetters for RabbitMq {
    async fn put(&self, letter: DeadLetter) -> Result<(), DeadLettersError> {
        DeadLetters::put(&*self.dead_letters, letter).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        DeadLetters::list(&*self.dead_letters, limit).await
    }

    async fn redrive(&self, limit: usize) -> Result<usize, DeadLettersError> {
        DeadLetters::redrive(&*self.dead_letters, limit).await
    }
}

#[async_trait]
impl Dependency for RabbitMq {
    fn name(&self) -> &'static str {
        "queue"
    }

    /// Whether the broker answers on both connections, takes messages, and no
    /// lane of this process waits for a newer version.
    async fn check(&self) -> Result<(), DependencyDown> {
        let down = |error: BrokerError| DependencyDown {
            reason: if error.is_refusal() {
                format!(
                    "{error}; check user, password, vhost and rights of rabbitmq.url. A broker \
                     keeps the password that its data were made with: give that one, or change \
                     it in the broker (rabbitmqctl change_password)"
                )
            } else {
                format!("{error}; check rabbitmq.url and the broker")
            },
            source: Some(error.cause()),
        };
        for link in [&self.publishing, &self.consuming] {
            let live = link.channel().await.map_err(down)?;
            within_limit(live.channel.close(200, "OK".into()))
                .await
                .map_err(down)?;
        }
        if let Some((lane, version)) = self.ownership.paused_lanes().first() {
            return Err(DependencyDown {
                reason: format!(
                    "lane {lane} has messages of version {version}, which this version of \
                     tickets cannot read; upgrade the workers"
                ),
                source: None,
            });
        }
        Ok(())
    }
}
