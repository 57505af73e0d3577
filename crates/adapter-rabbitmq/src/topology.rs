//! Exchanges and queues, declared the same way by every process when it first connects, and
//! whenever one is missing.
//!
//! | name (after the prefix) | what |
//! |---|---|
//! | `tickets` | direct exchange; routing key `<class>.<lane>` |
//! | `tickets.<class>.<lane>` | quorum queue of a lane's class |
//! | `tickets.dead` | quorum queue of dead letters |
//! | `tickets.lanes` | quorum queue that is never read; its `x-max-length` is the number of lanes. What consumes stores a marker in it every second, to know that its node has a majority |
//! | `tickets.made.<number>` | quorum queue that is there for an instant, after others were made: see `Topology::write_out` |
//! | `tickets.deployment` | quorum queue that is never used; its `x-max-length` is the [`DeploymentId`] |
//! | `ticket-events` | fanout exchange of outcomes |

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use domain::order::{Lane, Lanes};
use domain::ports::{DeploymentId, StoreIdentity};
use domain::user::PriorityClass;
use lapin::options::{
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use rand::RngExt;
use tracing::warn;

use crate::error::BrokerError;
use crate::link::within_limit;

/// Never reached. RabbitMQ 4 drops a message at its 20th delivery unless told
/// otherwise, and 3.10 takes -1 for "at the first redelivery".
const DELIVERY_LIMIT: i32 = 1_000_000_000;

/// Messages that the broker hands to a lane's owner before the first is
/// settled, of each class. One message has up to
/// [`MAX_ORDERS`](crate::ticket_publisher::MAX_ORDERS) orders.
///
/// Sequence depends on it: a quorum queue puts what comes back behind what came
/// back before and was not delivered again yet. So every owner must be able to
/// take all that its predecessor left. Owners of different releases run side by
/// side in an upgrade; a later release may raise this number, and lower it
/// only while the lanes are empty.
pub(crate) const PREFETCH: u16 = 200;

const PRECONDITION_FAILED: u16 = 406;

/// How long the broker waits for a consumer whose node it cannot reach before it gives the
/// queue to the next one, in milliseconds. RabbitMQ 4.3 and later; by default a minute.
const CONSUMER_DISCONNECTED_TIMEOUT_MS: i32 = 2_000;

/// Recorded, with the number of lanes of before added, while `tickets lanes set` is at work.
const CHANGING: i32 = 1_000;

/// Names everything that belongs to one deployment. Clones share what is known of the broker.
#[derive(Clone)]
pub(crate) struct Topology {
    pub(crate) prefix: String,
    pub(crate) lanes: Lanes,
    /// Knows which deployment it is; `None` if the store forgets everything with its process.
    store: Option<Arc<dyn StoreIdentity>>,
    known: Arc<Known>,
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("prefix", &self.prefix)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Known {
    /// Everything was declared, and nothing was missing since.
    is_declared: AtomicBool,
    /// Queues of lanes were declared by an earlier release, with fewer arguments.
    has_older_queues: AtomicBool,
    /// As the store has told it.
    deployment: OnceLock<DeploymentId>,
}

impl Topology {
    pub(crate) fn new(prefix: String, lanes: Lanes) -> Self {
        Self {
            prefix,
            lanes,
            store: None,
            known: Arc::default(),
        }
    }

    /// Used by no other deployment than that of this store.
    pub(crate) fn of(self, store: Option<Arc<dyn StoreIdentity>>) -> Self {
        Self { store, ..self }
    }

    pub(crate) fn orders_exchange(&self) -> ShortString {
        format!("{}tickets", self.prefix).into()
    }

    pub(crate) fn events_exchange(&self) -> ShortString {
        format!("{}ticket-events", self.prefix).into()
    }

    pub(crate) fn lane_key(class: PriorityClass, lane: Lane) -> ShortString {
        format!("{}.{lane}", class.as_str()).into()
    }

    pub(crate) fn lane_queue(&self, class: PriorityClass, lane: Lane) -> ShortString {
        format!("{}tickets.{}", self.prefix, Self::lane_key(class, lane)).into()
    }

    pub(crate) fn dead_letters_queue(&self) -> ShortString {
        format!("{}tickets.dead", self.prefix).into()
    }

    pub(crate) fn lanes_queue(&self) -> ShortString {
        format!("{}tickets.lanes", self.prefix).into()
    }

    pub(crate) fn deployment_queue(&self) -> ShortString {
        format!("{}tickets.deployment", self.prefix).into()
    }

    /// Of the queue that [`Self::write_out`] makes.
    pub(crate) fn made_queue(&self, number: u64) -> ShortString {
        format!("{}tickets.made.{number}", self.prefix).into()
    }

    /// Whether everything was declared, and nothing was missing since.
    pub(crate) fn is_known(&self) -> bool {
        self.known.is_declared.load(Ordering::Relaxed)
    }

    /// The next [`Self::prepare`] declares everything again.
    pub(crate) fn may_be_missing(&self) {
        self.known.is_declared.store(false, Ordering::Relaxed);
    }

    /// Checks the number of lanes and the deployment, recording both in a new broker, and
    /// declares everything that may be missing.
    ///
    /// # Errors
    /// [`BrokerError::LanesDiffer`] and the like if the broker was set up otherwise,
    /// [`BrokerError::OtherDeployment`]; [`BrokerError::OlderQueues`] once, if the queues are those of an earlier release:
    /// to be called again over another connection.
    pub(crate) async fn prepare(&self, connection: &Connection) -> Result<(), BrokerError> {
        self.record_lanes(connection).await?;
        if self.is_known() {
            return Ok(());
        }
        self.record_deployment(connection).await?;
        match self.declare(connection).await {
            Ok(()) => {
                self.known.is_declared.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error)
                if error.reply_code() == Some(PRECONDITION_FAILED)
                    && !self.known.has_older_queues.swap(true, Ordering::Relaxed) =>
            {
                warn!(
                    %error,
                    "the queues of lanes are those of an earlier release; once they are empty, \
                     make them anew: tickets lanes set"
                );
                Err(BrokerError::OlderQueues)
            }
            Err(error) => Err(error),
        }
    }

    async fn declare(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = within_limit(connection.create_channel()).await?;
        for (exchange, kind) in [
            (self.orders_exchange(), ExchangeKind::Direct),
            (self.events_exchange(), ExchangeKind::Fanout),
        ] {
            declare_exchange(&channel, exchange, kind).await?;
        }
        let limit = ("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT));
        declare_quorum_queue(&channel, self.dead_letters_queue(), [limit.clone()]).await?;
        // A lane's next owner gets nothing before all that its predecessor had
        // is back in the queue, however the predecessor ended.
        let one_consumer = ("x-single-active-consumer", AMQPValue::Boolean(true));
        let mut arguments = vec![limit, one_consumer];
        if !self.known.has_older_queues.load(Ordering::Relaxed) {
            let reject = AMQPValue::LongString("reject-publish".into());
            let timeout = AMQPValue::LongInt(CONSUMER_DISCONNECTED_TIMEOUT_MS);
            arguments.push(("x-overflow", reject));
            arguments.push(("x-consumer-disconnected-timeout", timeout));
        }
        for lane in self.lanes.iter() {
            for class in PriorityClass::ALL {
                let queue = self.lane_queue(class, lane);
                declare_quorum_queue(&channel, queue.clone(), arguments.clone()).await?;
                let binding = channel.queue_bind(
                    queue,
                    self.orders_exchange(),
                    Self::lane_key(class, lane),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                );
                within_limit(binding).await?;
            }
        }
        self.write_out(&channel).await?;
        within_limit(channel.close(200, "OK".into())).await
    }

    /// Has the broker write down which log belongs to which of the queues just made.
    ///
    /// A node of the broker keeps that of a new queue in memory for up to seven seconds. If it
    /// is killed before, what was confirmed is still on its disk but belongs to no queue: on a
    /// single node it is lost. Making another queue makes a node write down what it kept
    /// (`ra_directory.erl` of [Ra], up to 3.1 at least: a look-up of a name that is not in the
    /// cache of its DETS table empties that cache into the file). So one more is made, which
    /// may be lost.
    ///
    /// [Ra]: https://github.com/rabbitmq/ra
    async fn write_out(&self, channel: &Channel) -> Result<(), BrokerError> {
        let name = self.made_queue(rand::rng().random());
        // Should the connection be lost before the queue is deleted.
        let expires = ("x-expires", AMQPValue::LongInt(60_000));
        declare_quorum_queue(channel, name.clone(), [expires]).await?;
        within_limit(channel.queue_delete(name, QueueDeleteOptions::default())).await?;
        Ok(())
    }

    /// The broker refuses to declare a queue anew with another maximal length:
    /// that makes an argument of a queue a number that all processes agree on.
    pub(crate) async fn record_lanes(&self, connection: &Connection) -> Result<(), BrokerError> {
        let configured = self.lanes.count();
        match self.record(connection, configured.into()).await? {
            None => Ok(()),
            Some(Record::Lanes(recorded)) => Err(BrokerError::LanesDiffer {
                configured,
                recorded,
            }),
            Some(Record::ChangingFrom(_)) => Err(BrokerError::LanesChanging),
        }
    }

    /// Records which deployment these queues belong to.
    async fn record_deployment(&self, connection: &Connection) -> Result<(), BrokerError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let ours = match self.known.deployment.get() {
            Some(id) => *id,
            None => {
                let told = store.deployment().await;
                let id = told.map_err(|down| BrokerError::DeploymentUnknown(down.reason))?;
                *self.known.deployment.get_or_init(|| id)
            }
        };
        let queue = self.deployment_queue();
        let number = i32::try_from(ours.get()).unwrap_or(i32::MAX);
        match record(connection, queue.clone(), number).await? {
            None => Ok(()),
            Some(answer) => Err(BrokerError::OtherDeployment {
                ours,
                recorded: recorded(&answer),
                queue: queue.to_string(),
            }),
        }
    }

    /// Records a number of lanes if there is none; what is recorded if that is another one.
    async fn record(
        &self,
        connection: &Connection,
        number: i32,
    ) -> Result<Option<Record>, BrokerError> {
        let answer = record(connection, self.lanes_queue(), number).await?;
        Ok(answer.map(|answer| Record::parse(&answer)))
    }

    /// The number of lanes that the broker was set up with, also if it is being changed.
    pub(crate) async fn read_record(
        &self,
        connection: &Connection,
    ) -> Result<Option<Lanes>, BrokerError> {
        let channel = within_limit(connection.create_channel()).await?;
        let passive = QueueDeclareOptions::durable().passive();
        let asking = channel.queue_declare(self.lanes_queue(), passive, FieldTable::default());
        match within_limit(asking).await {
            Ok(_) => within_limit(channel.close(200, "OK".into())).await?,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        }
        // Never recorded, so that the broker says what is.
        let number = match self.record(connection, i32::MAX).await? {
            Some(Record::Lanes(number)) => number.parse().ok(),
            Some(Record::ChangingFrom(number)) => Some(number),
            None => None,
        };
        Ok(number.and_then(Lanes::new))
    }

    /// Records that the number of lanes is being changed.
    pub(crate) async fn record_change(&self, connection: &Connection) -> Result<(), BrokerError> {
        let before = self.read_record(connection).await?;
        let before = before.map_or(self.lanes.count(), Lanes::count);
        self.forget_record(connection).await?;
        let number = CHANGING + i32::from(before);
        match self.record(connection, number).await? {
            None => Ok(()),
            // Somebody else was quicker.
            Some(_) => Err(BrokerError::LanesChanging),
        }
    }

    pub(crate) async fn forget_record(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = within_limit(connection.create_channel()).await?;
        let deleting = channel.queue_delete(self.lanes_queue(), QueueDeleteOptions::default());
        within_limit(deleting).await?;
        within_limit(channel.close(200, "OK".into())).await
    }
}

/// Records a number in a queue's argument if there is none; how the broker says that it has
/// another one.
async fn record(
    connection: &Connection,
    queue: ShortString,
    number: i32,
) -> Result<Option<String>, BrokerError> {
    let channel = within_limit(connection.create_channel()).await?;
    let length = ("x-max-length", AMQPValue::LongInt(number));
    // Replicated, so that no single node is needed to connect.
    match declare_quorum_queue(&channel, queue, [length]).await {
        Ok(()) => {
            within_limit(channel.close(200, "OK".into())).await?;
            Ok(None)
        }
        Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// What the broker has in place of the number that was declared.
#[derive(Debug, PartialEq, Eq)]
enum Record {
    /// As it says it.
    Lanes(String),
    /// `tickets lanes set` was at work, and may have ended half-way.
    ChangingFrom(u8),
}

impl Record {
    fn parse(answer: &str) -> Self {
        let recorded = recorded(answer);
        let before = recorded
            .parse::<i32>()
            .ok()
            .and_then(|number| u8::try_from(number - CHANGING).ok());
        match before {
            Some(before) => Self::ChangingFrom(before),
            None => Self::Lanes(recorded),
        }
    }
}

pub(crate) async fn declare_orders_exchange(
    channel: &Channel,
    topology: &Topology,
) -> Result<(), BrokerError> {
    declare_exchange(channel, topology.orders_exchange(), ExchangeKind::Direct).await
}

/// The number in the broker's answer `… but current is the value '4' of type …`.
fn recorded(answer: &str) -> String {
    let current = answer.split("but current is").nth(1).unwrap_or_default();
    let number: String = current
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    if number.is_empty() {
        "another number".to_owned()
    } else {
        number
    }
}

async fn declare_quorum_queue(
    channel: &Channel,
    name: ShortString,
    arguments: impl IntoIterator<Item = (&'static str, AMQPValue)>,
) -> Result<(), BrokerError> {
    let mut table = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    table.insert("x-queue-type".into(), quorum);
    for (argument, value) in arguments {
        table.insert(argument.into(), value);
    }
    within_limit(channel.queue_declare(name, QueueDeclareOptions::durable(), table)).await?;
    Ok(())
}

pub(crate) async fn declare_exchange(
    channel: &Channel,
    name: ShortString,
    kind: ExchangeKind,
) -> Result<(), BrokerError> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    within_limit(channel.exchange_declare(name, kind, durable, FieldTable::default())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_number_is_found_in_the_brokers_words() {
        let answer = "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in \
                      vhost '/': received the value '7' of type 'signedint' but current is the \
                      value '4' of type 'signedint'";
        assert_eq!(recorded(answer), "4");
        assert_eq!(recorded("something else"), "another number");
        assert_eq!(Record::parse(answer), Record::Lanes("4".to_owned()));
        let changing = answer.replace("'4'", "'1004'");
        assert_eq!(Record::parse(&changing), Record::ChangingFrom(4));
    }
}
