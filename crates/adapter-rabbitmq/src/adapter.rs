//! The adapter as a whole: every port of the queue over three connections. Orders
//! and events go out on one, deliveries come in on another, because a broker
//! that runs out of memory or disk stops reading from connections that publish,
//! and acks must get through then. Events come in on the third, once somebody listens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Event;
use domain::order::{Lane, Lanes, NewOrder, Order};
use domain::ports::{
    Clock, ConsumeError, DeadLetter, DeadLetters, DeadLettersError, Dependency, DependencyDown,
    EventFeed, Examination, Finding, LaneConsumer, PublishError, StoreIdentity, TicketConsumer,
    TicketEvents, TicketEventsError, TicketPublisher,
};
use domain::receipt::ProcessId;
use domain::schedule::ClassSchedule;
use domain::waiting_line::AcceptTally;

use crate::addresses::Addresses;
use crate::dead_letters::RabbitDeadLetters;
use crate::error::{BrokerError, StartError};
use crate::lane_consumer::{LaneReader, RabbitLaneConsumer};
use crate::lane_troubles::LaneTroubles;
use crate::link::Link;
use crate::one_broker::OneBroker;
use crate::ticket_events::Events;
use crate::ticket_publisher::Publisher;
use crate::topology::Topology;

/// An order's message that waits longer for its confirm is said in readiness.
const UNCONFIRMED_TOO_LONG: Duration = Duration::from_secs(5);
/// So is a broker that has not shown for longer that it can deliver orders.
const UNPROVEN_TOO_LONG: Duration = Duration::from_secs(10);
const SEE_QUEUES: &str = "see whether all queues have a leader and a majority (rabbitmq-queues \
                          quorum_status)";

/// Where the broker is and how it is used.
#[derive(Clone)]
pub struct RabbitMqConfig {
    /// The nodes of the broker, at least one: `amqp://user:password@host:port/vhost`, or
    /// `amqps://`.
    pub urls: Vec<String>,
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
    /// Declares and records nothing: what is not there was not made by this deployment yet, or
    /// the prefix is wrong.
    pub only_looks: bool,
}

/// The URLs hold the password.
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
    topology: Topology,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    publisher: Publisher,
    reader: Arc<LaneReader>,
    events: Arc<Events>,
    dead_letters: Arc<RabbitDeadLetters>,
    nodes: OneBroker,
}

impl RabbitMq {
    /// Starts the tasks that publish and connects if the broker answers; if it
    /// does not, that is tried again for as long as it takes. With a `store`, queues that
    /// belong to another deployment are refused. Must be called inside of a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if it could never work.
    pub async fn start(
        config: &RabbitMqConfig,
        clock: Arc<dyn Clock>,
        process: ProcessId,
        store: Option<Arc<dyn StoreIdentity>>,
    ) -> Result<Self, StartError> {
        let topology = Topology::new(config.prefix.clone(), config.lanes)
            .of(store)
            .only_looking(config.only_looks);
        let addresses = Addresses::parse(&config.urls)?;
        let link = |purpose| Link::new(purpose, addresses.shared(), topology.clone());
        let publishing = Arc::new(link("publishing"));
        let consuming = Arc::new(link("consuming").proving_majority());
        let listening = Arc::new(link("listening"));
        if let Err(error) = publishing.connection().await
            && let Some(error) = StartError::of(error)
        {
            return Err(error);
        }
        publishing.keep();
        consuming.keep();
        let dead_letters = Arc::new(RabbitDeadLetters::new(
            Arc::clone(&publishing),
            topology.clone(),
            config.dead_letter_capacity,
        ));
        let reader = LaneReader {
            consuming: Arc::clone(&consuming),
            topology: topology.clone(),
            clock: Arc::clone(&clock),
            schedule: config.schedule.clone(),
            dead_letters: Arc::clone(&dead_letters),
            troubles: LaneTroubles::default(),
        };
        let events = Events::new(
            Arc::clone(&publishing),
            listening,
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
            reader: Arc::new(reader),
            events: Arc::new(events),
            dead_letters,
            nodes: OneBroker::new(addresses),
        })
    }
}

#[async_trait]
impl TicketConsumer for RabbitMq {
    async fn open_lane(&self, lane: Lane) -> Result<Box<dyn LaneConsumer>, ConsumeError> {
        // A task of its own: if the caller goes away meanwhile, it goes on to where
        // everything that it opened can be closed.
        let opening = tokio::spawn(RabbitLaneConsumer::open(lane, Arc::clone(&self.reader)));
        match opening.await {
            Ok(Ok(open)) => Ok(Box::new(open)),
            Ok(Err(error)) => Err(ConsumeError::Unavailable(error.cause())),
            Err(stopped) => Err(ConsumeError::Unavailable(Box::new(stopped))),
        }
    }

    /// The broker has them.
    fn volatile_orders(&self) -> usize {
        0
    }
}

#[async_trait]
impl TicketPublisher for RabbitMq {
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError> {
        let lane = self.topology.lanes.of(&order.show_id);
        self.publisher.publish(lane, order).await
    }

    fn count_unheard(&self, tally: Arc<AcceptTally>) {
        self.publisher.count_unheard(tally);
    }
}

#[async_trait]
impl TicketEvents for RabbitMq {
    async fn announce(&self, events: Vec<Event>) -> Result<(), TicketEventsError> {
        let announced = self.events.announce(events).await;
        announced.map_err(|error| TicketEventsError::Unavailable(error.cause()))
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        let feed = self.events.feed().await;
        feed.map_err(|error| TicketEventsError::Unavailable(error.cause()))
    }
}

#[async_trait]
impl DeadLetters for RabbitMq {
    async fn put(&self, letter: DeadLetter) -> Result<(), DeadLettersError> {
        self.dead_letters.put(&letter).await
    }

    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let listed = self.dead_letters.list(limit).await;
        listed.map_err(|error| DeadLettersError::Unavailable(error.cause()))
    }

    async fn count(&self) -> Result<usize, DeadLettersError> {
        let counted = self.dead_letters.count().await;
        counted.map_err(|error| DeadLettersError::Unavailable(error.cause()))
    }

    async fn redrive(&self, limit: usize) -> Result<usize, DeadLettersError> {
        let redriven = self.dead_letters.redrive(limit).await;
        redriven.map_err(|error| DeadLettersError::Unavailable(error.cause()))
    }
}

#[async_trait]
impl Dependency for RabbitMq {
    fn name(&self) -> &'static str {
        "queue"
    }

    /// Whether the broker is there on both connections, takes and confirms messages, and no
    /// lane of this process waits for a newer version.
    async fn check(&self) -> Result<(), DependencyDown> {
        for link in [&self.publishing, &self.consuming] {
            match link.check().await {
                Ok(()) => {}
                // The examination says so.
                Err(BrokerError::NotDeclared(_)) if self.topology.only_looks() => {}
                // Why the broker confirms nothing is known then.
                Err(error @ BrokerError::Blocked) => return Err(down(error)),
                Err(error) => return Err(self.unconfirmed().unwrap_or_else(|| down(error))),
            }
        }
        if let Some(refused) = self.consuming.refusal() {
            return Err(down(refused));
        }
        let troubles = || self.reader.troubles.reason().map(DependencyDown::because);
        match self.unconfirmed().or_else(troubles) {
            Some(down) => Err(down),
            None => self.ensure_proof(),
        }
    }
}

fn down(error: BrokerError) -> DependencyDown {
    DependencyDown {
        reason: if error.is_refusal() {
            format!(
                "{error}; check user, password, vhost and rights of rabbitmq.urls. A broker \
                 keeps the password that its data were made with: give that one, or change \
                 it in the broker (rabbitmqctl change_password)"
            )
        } else if error.is_of_no_node() {
            error.to_string()
        } else {
            format!("{error}; check rabbitmq.urls and the broker")
        },
        source: Some(error.cause()),
    }
}

impl RabbitMq {
    fn unconfirmed(&self) -> Option<DependencyDown> {
        let oldest = self.publisher.oldest_unconfirmed()?;
        (oldest >= UNCONFIRMED_TOO_LONG).then(|| {
            DependencyDown::because(format!(
                "orders wait for the broker's confirm for {} s; {SEE_QUEUES}",
                oldest.as_secs()
            ))
        })
    }

    fn ensure_proof(&self) -> Result<(), DependencyDown> {
        let silence = self.consuming.unproven_for();
        if silence < UNPROVEN_TOO_LONG {
            return Ok(());
        }
        Err(DependencyDown::because(format!(
            "the broker has not shown for {} s that it has a majority; {SEE_QUEUES}",
            silence.as_secs()
        )))
    }
}

#[async_trait]
impl Examination for RabbitMq {
    async fn examine(&self) -> Vec<Finding> {
        let mut findings = self.nodes.findings().await;
        if let Err(BrokerError::NotDeclared(queue)) = self.publishing.check().await {
            findings.push(Finding::unknown(
                format!("queue {queue}"),
                "not there: no process of this deployment has started yet, or it uses another \
                 prefix or vhost",
                "if rabbitmq.prefix and the vhost of rabbitmq.urls are right, start a process: \
                 each declares what is missing",
            ));
        }
        if let Some(error) = self.events.trouble() {
            findings.push(Finding::broken(
                format!("exchange {}", self.topology.events_exchange()),
                format!("this process hears of no outcome, and tells none: {error}"),
                "make that possible; nothing is to be restarted, and buyers are told what they \
                 missed",
            ));
        }
        findings
    }
}
