//! Changing the number of lanes, while nothing runs.
//!
//! A queue is deleted only once it is proven to be empty. What the broker counts proves
//! nothing: a quorum queue without a leader counts no messages and no consumers. So a marker
//! is published into each queue, behind all that is there, and the consumer that is opened
//! then must be given the marker first. That needs a leader with a majority, and the
//! consumer keeps the lane from any worker until it is deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::order::{Lanes, MAX_LANES};
use domain::ports::StoreIdentity;
use domain::user::PriorityClass;
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::protocol::BasicProperties;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Confirmation, Connection, Consumer, ExchangeKind};
use rand::RngExt;
use tokio::time::{sleep, timeout};

use crate::addresses::Addresses;
use crate::error::{BrokerError, InvalidUrl};
use crate::limits::{TIME_LIMIT, within_limit};
use crate::ticket_publisher::{MAX_ORDERS, PERSISTENT};
use crate::topology::{Attempt, Topology, declare_exchange, look_up};
use crate::wire;

/// How long an order that was published behind the marker may be on its way.
const LATE: Duration = Duration::from_millis(200);

/// How long the broker may take to notice that an attempt was killed.
const ENDING: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The reply code for a queue that another connection has for itself.
const RESOURCE_LOCKED: u16 = 405;

/// Why the number of lanes stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    /// `rabbitmq.urls`.
    #[error("rabbitmq.urls")]
    InvalidUrl(#[from] InvalidUrl),
    /// `rabbitmq.prefix`.
    #[error("rabbitmq.prefix")]
    Deployment(#[source] BrokerError),
    /// Nobody knows whose queues they are.
    #[error("the store has not answered which deployment this is: {0}")]
    Store(String),
    /// The broker does not answer or refuses.
    #[error(
        "the broker refused or did not answer; nothing has changed: run the command \
         again once the broker works"
    )]
    Broker(#[from] BrokerError),
    /// Another one is at work.
    #[error(
        "another `tickets lanes set` is running: it holds queue {queue} until it ends (or until \
         the broker's node that it was connected to is back)"
    )]
    AtWork {
        /// The queue.
        queue: String,
    },
    /// One queue does not answer.
    #[error(
        "queue {queue} cannot be proven to be empty; nothing has changed: run the command again \
         once the queue has a leader and a majority (rabbitmq-queues quorum_status {queue})"
    )]
    Unproven {
        /// The queue.
        queue: String,
        /// Why not.
        source: BrokerError,
    },
    /// A lane is in use.
    #[error(
        "queue {queue} has {messages} messages of up to {MAX_ORDERS} orders each and {consumers} \
         consumers: stop the api processes, let the workers empty the lanes, stop the workers, \
         then try again"
    )]
    InUse {
        /// The queue.
        queue: String,
        /// Those that wait in it. Markers of attempts that were cut count, too.
        messages: u32,
        /// Workers that serve it.
        consumers: u32,
    },
    /// It failed, and so did putting everything back.
    #[error(
        "the change of the number of lanes may be incomplete; no order is lost: run the command \
         again once the broker works, and start no process before"
    )]
    HalfWay(#[source] Box<Self>),
}

/// Gives the deployment `lanes` lanes, if no lane has an order or a worker.
/// Api processes must be stopped: one that runs on would fill lanes of before. With a `store`,
/// queues of another deployment are refused.
///
/// # Errors
/// [`LanesError`]; everything is as it was then, except after [`LanesError::HalfWay`].
pub async fn set_lanes(
    urls: &[String],
    prefix: &str,
    lanes: Lanes,
    store: Option<Arc<dyn StoreIdentity>>,
) -> Result<(), LanesError> {
    let addresses = Addresses::parse(urls)?;
    let topology = Topology::new(prefix.to_owned(), lanes).of(store);
    let alone = connect(&addresses).await?;
    hold(&alone, topology.setting_queue()).await?;
    let set = set_alone(&addresses, &topology).await;
    close(&alone).await;
    set
}

/// Two at once would undo each other's records. The queue ends with the connection, however
/// that ends.
async fn hold(connection: &Connection, queue: ShortString) -> Result<(), LanesError> {
    let asked = Instant::now();
    loop {
        let channel = within_limit(connection.create_channel()).await?;
        let exclusive = QueueDeclareOptions::exclusive();
        let declaring = channel.queue_declare(queue.clone(), exclusive, FieldTable::default());
        match within_limit(declaring).await {
            Ok(_) => return Ok(()),
            Err(error) if error.reply_code() != Some(RESOURCE_LOCKED) => return Err(error.into()),
            Err(_) if asked.elapsed() >= ENDING => {
                let queue = queue.to_string();
                return Err(LanesError::AtWork { queue });
            }
            Err(_) => sleep(ASK_AGAIN).await,
        }
    }
}

async fn set_alone(addresses: &Addresses, topology: &Topology) -> Result<(), LanesError> {
    let connection = connect(addresses).await?;
    match topology.record_deployment(&connection).await {
        Ok(()) => {}
        Err(BrokerError::DeploymentUnknown(reason)) => return Err(LanesError::Store(reason)),
        Err(error) if error.is_of_other_queues() => return Err(LanesError::Deployment(error)),
        Err(error) => return Err(error.into()),
    }
    let existing = match existing_queues(&connection, topology).await {
        Ok(existing) => existing,
        Err(error) => {
            close(&connection).await;
            return Err(error);
        }
    };
    let before = topology.read_record(&connection).await?;
    let changed = change(&connection, topology, &existing).await;
    let Err(error) = changed else {
        return Ok(());
    };
    close(&connection).await;
    match put_back(addresses, topology, before).await {
        Ok(()) => Err(error),
        Err(_) => Err(LanesError::HalfWay(Box::new(error))),
    }
}

async fn connect(addresses: &Addresses) -> Result<Connection, BrokerError> {
    let mut result = Err(BrokerError::Connecting);
    for _ in 0..addresses.count() {
        result = addresses.connect("lanes").await;
        if result.is_ok() {
            break;
        }
        addresses.turn(Duration::ZERO);
    }
    result
}

/// Whatever was opened on it ends with it, so that the lanes are free.
async fn close(connection: &Connection) {
    let _closed = timeout(TIME_LIMIT, connection.close(200, "OK".into())).await;
}

async fn change(
    connection: &Connection,
    topology: &Topology,
    existing: &[ExistingQueue],
) -> Result<(), LanesError> {
    // From here on no process of before or after starts, or declares what it misses.
    topology.record_change(connection).await?;
    let channel = within_limit(connection.create_channel()).await?;
    declare_exchange(&channel, topology.orders_exchange(), ExchangeKind::Direct).await?;
    for queue in existing {
        let unbinding = channel.queue_unbind(
            queue.name.clone(),
            topology.orders_exchange(),
            queue.key.clone(),
            FieldTable::default(),
        );
        within_limit(unbinding).await?;
    }
    let mut proven = Vec::new();
    for queue in existing {
        proven.push(prove_empty(connection, &queue.name, false).await?);
    }
    for queue in &mut proven {
        queue.ensure_nothing_more().await?;
    }
    for queue in existing {
        // Quorum queues cannot be deleted on condition that they are unused.
        let deleting = channel.queue_delete(queue.name.clone(), QueueDeleteOptions::default());
        within_limit(deleting).await?;
    }
    topology.forget_record(connection).await?;
    topology
        .prepare(connection, &mut Attempt::on_nothing())
        .await?;
    within_limit(connection.close(200, "OK".into())).await?;
    Ok(())
}

/// Declares everything as it was, with what is left of it.
async fn put_back(
    addresses: &Addresses,
    after: &Topology,
    before: Option<Lanes>,
) -> Result<(), BrokerError> {
    after.forget_record(&connect(addresses).await?).await?;
    let Some(before) = before else {
        return Ok(());
    };
    let topology = Topology::new(after.prefix.clone(), before);
    let mut attempt = Attempt::on_nothing();
    loop {
        let connection = connect(addresses).await?;
        match topology.prepare(&connection, &mut attempt).await {
            Err(BrokerError::ConnectionServed) => {}
            prepared => return prepared,
        }
    }
}

struct ExistingQueue {
    name: ShortString,
    key: ShortString,
}

/// Queues of all lanes that there may be. Only "not found" says that one is not there.
async fn existing_queues(
    connection: &Connection,
    topology: &Topology,
) -> Result<Vec<ExistingQueue>, LanesError> {
    let mut existing = Vec::new();
    let all = Lanes::new(MAX_LANES).into_iter().flat_map(Lanes::iter);
    for lane in all {
        for class in PriorityClass::ALL {
            let name = topology.lane_queue(class, lane);
            let Some(queue) = look_up(connection, name.clone()).await? else {
                continue;
            };
            let in_use = LanesError::InUse {
                queue: name.to_string(),
                messages: queue.message_count(),
                consumers: queue.consumer_count(),
            };
            if queue.consumer_count() > 0 {
                return Err(in_use);
            }
            if queue.message_count() > 0 {
                // Markers of an attempt that was cut are no orders.
                match prove_empty(connection, &name, true).await {
                    Ok(proven) => proven.close().await?,
                    Err(LanesError::InUse { .. }) => return Err(in_use),
                    Err(error) => return Err(error),
                }
            }
            existing.push(ExistingQueue {
                name,
                key: Topology::lane_key(class, lane),
            });
        }
    }
    Ok(existing)
}

/// A queue that had nothing, with the consumer that keeps it from others.
struct ProvenQueue {
    name: ShortString,
    deliveries: Consumer,
    /// Ends the consumer.
    channel: Channel,
}

impl ProvenQueue {
    async fn close(self) -> Result<(), BrokerError> {
        within_limit(self.channel.close(200, "OK".into())).await
    }

    /// Fails if anything came behind the marker.
    async fn ensure_nothing_more(&mut self) -> Result<(), LanesError> {
        match timeout(LATE, self.deliveries.next()).await {
            Err(_) => Ok(()),
            // Back at its place once the connection is closed.
            Ok(Some(Ok(_))) => Err(in_use(&self.name)),
            Ok(Some(Err(error))) => Err(BrokerError::from(error).into()),
            Ok(None) => Err(BrokerError::ChannelClosed.into()),
        }
    }
}

fn in_use(queue: &ShortString) -> LanesError {
    LanesError::InUse {
        queue: queue.to_string(),
        messages: 1,
        consumers: 0,
    }
}

/// With `has_messages`, looks at the first of them before it leaves a marker behind them: of a
/// lane full of orders nothing more is to be known.
async fn prove_empty(
    connection: &Connection,
    queue: &ShortString,
    has_messages: bool,
) -> Result<ProvenQueue, LanesError> {
    let unproven = |source| LanesError::Unproven {
        queue: queue.to_string(),
        source,
    };
    let channel = within_limit(connection.create_channel())
        .await
        .map_err(unproven)?;
    // A lane full of orders stays where it is, all but the first.
    within_limit(channel.basic_qos(1, BasicQosOptions::default()))
        .await
        .map_err(unproven)?;
    let consuming = channel.basic_consume(
        queue.clone(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let mut deliveries = within_limit(consuming).await.map_err(unproven)?;
    let marker = rand::rng().random::<u128>().to_string();
    let mut first = if has_messages {
        timeout(LATE, deliveries.next()).await.ok()
    } else {
        None
    };
    let mut is_published = false;
    loop {
        let given = match first.take() {
            Some(given) => given,
            None => {
                if !is_published {
                    let publishing = publish_marker(&channel, queue, &marker);
                    publishing.await.map_err(unproven)?;
                    is_published = true;
                }
                let late = |_| unproven(BrokerError::TimedOut(TIME_LIMIT));
                timeout(TIME_LIMIT, deliveries.next()).await.map_err(late)?
            }
        };
        let delivery = match given {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return Err(unproven(error.into())),
            None => return Err(unproven(BrokerError::ChannelClosed)),
        };
        if !wire::is_marker(&delivery.properties) {
            return Err(in_use(queue));
        }
        let is_ours = delivery
            .properties
            .message_id()
            .as_ref()
            .is_some_and(|id| id.as_str() == marker);
        // One of an earlier attempt goes too.
        within_limit(delivery.acker.ack(BasicAckOptions::default()))
            .await
            .map_err(unproven)?;
        if is_ours {
            return Ok(ProvenQueue {
                name: queue.clone(),
                deliveries,
                channel,
            });
        }
    }
}

async fn publish_marker(
    channel: &Channel,
    queue: &ShortString,
    marker: &str,
) -> Result<(), BrokerError> {
    within_limit(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default()
        .with_type(wire::MARKER.into())
        .with_message_id(marker.into())
        .with_delivery_mode(PERSISTENT);
    // The default exchange leads to the queue of that name.
    let publishing = channel.basic_publish("".into(), queue.clone(), mandatory, &[], properties);
    let confirm = within_limit(publishing).await?;
    match within_limit(confirm).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => Err(BrokerError::Unroutable),
        Confirmation::Nack(_) | Confirmation::NotRequested => Err(BrokerError::NotStored),
    }
}
