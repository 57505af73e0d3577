//! Exchanges and queues, declared the same way by every process when it first connects, and
//! whenever one is missing.
//!
//! | name (after the prefix) | what |
//! |---|---|
//! | `tickets` | direct exchange; routing key `<class>.<lane>` |
//! | `tickets.<class>.<lane>` | quorum queue of a lane's class |
//! | `tickets.dead` | quorum queue of dead letters |
//! | `tickets.lanes` | quorum queue that is never read; its `x-max-length` is the number of lanes. What consumes looks into it every second, to know that its node has a majority |
//! | `tickets.made.<number>` | quorum queue that is there for a second, after others were made: see `Topology::write_out` |
//! | `tickets.deployment` | quorum queue that is never used; its `x-max-length` is the [`DeploymentId`] |
//! | `tickets.setting` | exclusive queue of the one `tickets lanes set` that is at work |
//! | `ticket-events` | fanout exchange of outcomes |

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use domain::order::{Lane, Lanes, MAX_LANES};
use domain::ports::{DeploymentId, StoreIdentity};
use domain::user::PriorityClass;
use lapin::options::{
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind, Queue};
use parking_lot::Mutex;
use rand::RngExt;
use tracing::warn;

use crate::error::BrokerError;
use crate::limits::within_limit;

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
    only_looks: bool,
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
    /// The number of lanes is recorded, or was.
    is_recorded: AtomicBool,
    /// Everything was declared, and nothing was missing since.
    is_declared: AtomicBool,
    /// Queues of lanes that an earlier release declared, with fewer arguments.
    older: Mutex<BTreeSet<String>>,
    /// As the store has told it.
    deployment: OnceLock<DeploymentId>,
}

/// What one attempt to declare everything has met, over one connection after the other: the
/// broker closes a channel when it refuses.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Queues of lanes that were refused once.
    refused: BTreeSet<String>,
    /// For lanes of before, where their number is not recorded.
    has_looked: bool,
}

impl Attempt {
    /// For a caller that knows that there are no lanes of before.
    pub(crate) fn on_nothing() -> Self {
        Self {
            has_looked: true,
            ..Self::default()
        }
    }
}

impl Topology {
    pub(crate) fn new(prefix: String, lanes: Lanes) -> Self {
        Self {
            prefix,
            lanes,
            store: None,
            only_looks: false,
            known: Arc::default(),
        }
    }

    /// Used by no other deployment than that of this store.
    pub(crate) fn of(self, store: Option<Arc<dyn StoreIdentity>>) -> Self {
        Self { store, ..self }
    }

    /// Records and declares nothing: a wrong prefix would be taken for that of a new deployment.
    pub(crate) fn only_looking(self, only_looks: bool) -> Self {
        Self { only_looks, ..self }
    }

    pub(crate) const fn only_looks(&self) -> bool {
        self.only_looks
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

    pub(crate) fn setting_queue(&self) -> ShortString {
        format!("{}tickets.setting", self.prefix).into()
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
    pub(crate) fn declare_again(&self) {
        self.known.is_declared.store(false, Ordering::Relaxed);
    }

    /// Checks the number of lanes and the deployment, recording both in a new broker, and
    /// declares everything that may be missing. If it only looks, both must be recorded.
    ///
    /// # Errors
    /// [`BrokerError::NotDeclared`] if it only looks and something is not there;
    /// [`BrokerError::LanesDiffer`] and the like if the broker was set up otherwise,
    /// [`BrokerError::OtherDeployment`], [`BrokerError::Differs`]; [`BrokerError::ConnectionServed`]
    /// if a record was not there, or a queue may be that of an earlier release: to be called again
    /// over another connection, with the same attempt.
    pub(crate) async fn prepare(
        &self,
        connection: &Connection,
        attempt: &mut Attempt,
    ) -> Result<(), BrokerError> {
        if self.only_looks {
            return self.compare(connection).await;
        }
        if !self.known.is_recorded.load(Ordering::Relaxed) && !attempt.has_looked {
            attempt.has_looked = true;
            self.look_for_lanes(connection).await?;
        }
        self.record_lanes(connection).await?;
        self.known.is_recorded.store(true, Ordering::Relaxed);
        if self.is_known() {
            return Ok(());
        }
        self.record_deployment(connection).await?;
        match self.declare(connection).await {
            Ok(()) => {
                self.known.is_declared.store(true, Ordering::Relaxed);
                let older = self.known.older.lock().len();
                if older > 0 && !attempt.refused.is_empty() {
                    warn!(
                        queues = older,
                        "the lanes have queues of an earlier release; once these are empty, \
                         replace them: tickets lanes set"
                    );
                }
                Ok(())
            }
            Err(BrokerError::Differs { what, .. }) if self.try_other_kind(&what, attempt) => {
                Err(BrokerError::ConnectionServed)
            }
            Err(error) => Err(error),
        }
    }

    /// Where the number of lanes is not recorded, the lanes that are there tell it: somebody may
    /// have deleted the record while nothing ran, and orders may wait in lanes that are not ours.
    async fn look_for_lanes(&self, connection: &Connection) -> Result<(), BrokerError> {
        if look_up(connection, self.lanes_queue()).await?.is_some() {
            return Ok(());
        }
        let mut there = 0;
        for lane in Lanes::new(MAX_LANES).into_iter().flat_map(Lanes::iter) {
            let queue = self.lane_queue(PriorityClass::Standard, lane);
            if look_up(connection, queue).await?.is_some() {
                there = lane.index() + 1;
            }
        }
        let is_ours = there == 0 || there == self.lanes.count();
        // Another process may be making them, after it has recorded how many.
        if is_ours || look_up(connection, self.lanes_queue()).await?.is_some() {
            return Err(BrokerError::ConnectionServed);
        }
        Err(BrokerError::LanesDiffer {
            configured: self.lanes.count(),
            recorded: there.to_string(),
        })
    }

    /// Compares what is recorded with what this process would record.
    async fn compare(&self, connection: &Connection) -> Result<(), BrokerError> {
        let records = [Some(self.lanes_queue()), self.recorded_deployment()];
        for queue in records.into_iter().flatten() {
            if look_up(connection, queue.clone()).await?.is_none() {
                return Err(BrokerError::NotDeclared(queue.to_string()));
            }
        }
        self.record_lanes(connection).await?;
        self.record_deployment(connection).await
    }

    /// The queue that says which deployment this is, if there is one.
    pub(crate) fn recorded_deployment(&self) -> Option<ShortString> {
        self.store.as_ref().map(|_| self.deployment_queue())
    }

    /// After a refusal: whether the queue is to be declared with the other arguments, those of
    /// an earlier release or of this one. If these were refused, too, it is neither.
    fn try_other_kind(&self, what: &str, attempt: &mut Attempt) -> bool {
        let is_a_lanes = self.lane_queues().any(|queue| subject(&queue) == what);
        if !is_a_lanes {
            return false;
        }
        let mut older = self.known.older.lock();
        if !attempt.refused.insert(what.to_owned()) {
            older.clear();
            return false;
        }
        if older.is_empty() && attempt.refused.len() == 1 {
            // Most likely all of them are.
            older.extend(self.lane_queues().map(|queue| subject(&queue)));
        } else if !older.remove(what) {
            older.insert(what.to_owned());
        }
        true
    }

    /// Of all lanes and classes.
    pub(crate) fn lane_queues(&self) -> impl Iterator<Item = ShortString> {
        let lanes = self.lanes.iter();
        lanes.flat_map(|lane| PriorityClass::ALL.map(|class| self.lane_queue(class, lane)))
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
        let of_earlier_release = [limit, one_consumer];
        let reject = AMQPValue::LongString("reject-publish".into());
        let timeout = AMQPValue::LongInt(CONSUMER_DISCONNECTED_TIMEOUT_MS);
        let newer = [
            ("x-overflow", reject),
            ("x-consumer-disconnected-timeout", timeout),
        ];
        for lane in self.lanes.iter() {
            for class in PriorityClass::ALL {
                let queue = self.lane_queue(class, lane);
                let is_older = self.known.older.lock().contains(&subject(&queue));
                let newer = newer.iter().filter(|_| !is_older);
                let arguments = of_earlier_release.iter().chain(newer).cloned();
                declare_quorum_queue(&channel, queue.clone(), arguments).await?;
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
        // Not deleted from here: that takes five seconds while any node is away.
        let expires = ("x-expires", AMQPValue::LongInt(1_000));
        declare_quorum_queue(channel, name, [expires]).await
    }

    /// The broker refuses to declare a queue anew with another maximal length:
    /// that makes an argument of a queue a number that all processes agree on.
    pub(crate) async fn record_lanes(&self, connection: &Connection) -> Result<(), BrokerError> {
        let recorded = self.record(connection, self.lanes.count().into()).await?;
        recorded.map_or(Ok(()), |recorded| Err(self.other_lanes(&recorded)))
    }

    fn other_lanes(&self, recorded: &Record) -> BrokerError {
        match recorded {
            Record::Lanes(recorded) => BrokerError::LanesDiffer {
                configured: self.lanes.count(),
                recorded: recorded.clone(),
            },
            Record::ChangingFrom(_) => BrokerError::LanesChanging,
        }
    }

    /// Records which deployment these queues belong to.
    pub(crate) async fn record_deployment(
        &self,
        connection: &Connection,
    ) -> Result<(), BrokerError> {
        let Some(ours) = self.deployment().await? else {
            return Ok(());
        };
        let number = deployment_number(ours);
        let answer = record(connection, self.deployment_queue(), number).await?;
        answer.map_or(Ok(()), |answer| Err(self.other_deployment(ours, &answer)))
    }

    /// Which one this is, if its store outlives its process.
    async fn deployment(&self) -> Result<Option<DeploymentId>, BrokerError> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let ours = match self.known.deployment.get() {
            Some(id) => *id,
            None => {
                let told = store.deployment().await;
                let id = told.map_err(|down| BrokerError::DeploymentUnknown(down.reason))?;
                *self.known.deployment.get_or_init(|| id)
            }
        };
        Ok(Some(ours))
    }

    fn other_deployment(&self, ours: DeploymentId, answer: &str) -> BrokerError {
        BrokerError::OtherDeployment {
            ours,
            recorded: recorded(answer),
            queue: self.deployment_queue().to_string(),
        }
    }

    /// Whether a queue of a record, which is there, still says what this process has recorded.
    /// Costs the channel if it does not.
    pub(crate) async fn confirm_record(
        &self,
        channel: &Channel,
        queue: ShortString,
    ) -> Result<(), BrokerError> {
        if queue != self.lanes_queue() {
            let Some(ours) = self.known.deployment.get().copied() else {
                return Ok(());
            };
            let declared = declare_record(channel, queue, deployment_number(ours)).await;
            return declared.map_err(|error| match error {
                BrokerError::Differs { answer, .. } => self.other_deployment(ours, &answer),
                error => error,
            });
        }
        let declared = declare_record(channel, queue, self.lanes.count().into()).await;
        declared.map_err(|error| match error {
            BrokerError::Differs { answer, .. } => self.other_lanes(&Record::parse(&answer)),
            error => error,
        })
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
        if look_up(connection, self.lanes_queue()).await?.is_none() {
            return Ok(None);
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

/// A queue, if it is there. If not, the connection has lost the number of a channel: see
/// [`LiveChannel`](crate::link::LiveChannel).
pub(crate) async fn look_up(
    connection: &Connection,
    queue: ShortString,
) -> Result<Option<Queue>, BrokerError> {
    let channel = within_limit(connection.create_channel()).await?;
    let passive = QueueDeclareOptions::durable().passive();
    let asking = channel.queue_declare(queue, passive, FieldTable::default());
    match within_limit(asking).await {
        Ok(queue) => {
            within_limit(channel.close(200, "OK".into())).await?;
            Ok(Some(queue))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
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
    match declare_record(&channel, queue, number).await {
        Ok(()) => {
            within_limit(channel.close(200, "OK".into())).await?;
            Ok(None)
        }
        Err(BrokerError::Differs { answer, .. }) => Ok(Some(answer)),
        Err(error) => Err(error),
    }
}

/// Refused if it records another number.
async fn declare_record(
    channel: &Channel,
    queue: ShortString,
    number: i32,
) -> Result<(), BrokerError> {
    let length = ("x-max-length", AMQPValue::LongInt(number));
    // Replicated, so that no single node is needed to connect.
    declare_quorum_queue(channel, queue, [length]).await
}

fn deployment_number(id: DeploymentId) -> i32 {
    i32::try_from(id.get()).unwrap_or(i32::MAX)
}

/// `queue tickets.high.0`, as it is called in errors.
fn subject(queue: &ShortString) -> String {
    format!("queue {queue}")
}

/// What the broker refuses to declare because it is there with other properties.
fn differs(error: BrokerError, what: impl FnOnce() -> String) -> BrokerError {
    if error.reply_code() == Some(PRECONDITION_FAILED) {
        BrokerError::Differs {
            what: what(),
            answer: error.to_string(),
        }
    } else {
        error
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
    let declaring = channel.queue_declare(name.clone(), QueueDeclareOptions::durable(), table);
    match within_limit(declaring).await {
        Ok(_) => Ok(()),
        Err(error) => Err(differs(error, || subject(&name))),
    }
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
    let declaring = channel.exchange_declare(name.clone(), kind, durable, FieldTable::default());
    let declared = within_limit(declaring).await;
    declared.map_err(|error| differs(error, || format!("exchange {name}")))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::wire;

    fn refused(topology: &Topology, queue: &str, attempt: &mut Attempt) -> bool {
        topology.try_other_kind(&format!("queue {queue}"), attempt)
    }

    fn older(topology: &Topology) -> Vec<String> {
        topology.known.older.lock().iter().cloned().collect()
    }

    #[test]
    fn queues_of_an_earlier_release_may_be_beside_newer_ones() {
        let topology = Topology::new(String::new(), Lanes::new(1).unwrap());
        let mut attempt = Attempt::default();
        assert!(refused(&topology, "tickets.high.0", &mut attempt));
        assert_eq!(older(&topology).len(), 2);
        assert!(refused(&topology, "tickets.standard.0", &mut attempt));
        assert_eq!(older(&topology), ["queue tickets.high.0"]);
        // Made anew since then.
        let mut later = Attempt::default();
        assert!(refused(&topology, "tickets.high.0", &mut later));
        assert_eq!(older(&topology).len(), 0);
    }

    #[test]
    fn a_queue_that_is_neither_is_refused_and_nothing_is_remembered_of_it() {
        let topology = Topology::new(String::new(), Lanes::new(1).unwrap());
        let mut attempt = Attempt::default();
        assert!(refused(&topology, "tickets.standard.0", &mut attempt));
        assert!(refused(&topology, "tickets.high.0", &mut attempt));
        assert!(!refused(&topology, "tickets.standard.0", &mut attempt));
        assert_eq!(older(&topology).len(), 0);
        assert!(!refused(&topology, "tickets.dead", &mut attempt));
    }

    #[test]
    fn names_are_as_documented() {
        let document = include_str!("../../../docs/asyncapi.json");
        let document: Value = serde_json::from_str(document).unwrap();
        let channel = |name: &str| document["channels"][name].clone();
        let exchange = |name: &str| channel(name)["bindings"]["amqp"]["exchange"]["name"].clone();
        let topology = Topology::new(String::new(), Lanes::new(1).unwrap());
        assert_eq!(exchange("orders"), topology.orders_exchange().as_str());
        assert_eq!(exchange("events"), topology.events_exchange().as_str());
        let address = |name: &str| {
            let address = channel(name)["address"].as_str().unwrap().to_owned();
            address.replace("{class}", "high").replace("{lane}", "0")
        };
        let (lane, high) = (topology.lanes.get(0).unwrap(), PriorityClass::High);
        assert_eq!(
            address("orders"),
            Topology::lane_key(high, lane).to_string()
        );
        assert_eq!(address("lane"), topology.lane_queue(high, lane).to_string());
        assert_eq!(
            address("deadLetters"),
            topology.dead_letters_queue().to_string()
        );
        let marker = &document["components"]["messages"]["marker"]["bindings"]["amqp"];
        assert_eq!(marker["messageType"], wire::MARKER);
    }

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
