//! Changing the number of lanes, while nothing runs.

use domain::order::{Lanes, MAX_LANES};
use domain::user::PriorityClass;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

use crate::error::{BrokerError, InvalidUrl};
use crate::link::within_limit;
use crate::topology::Topology;

/// Why the number of lanes stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    /// `rabbitmq.url`.
    #[error("rabbitmq.url")]
    InvalidUrl(#[from] InvalidUrl),
    /// The broker does not answer or refuses.
    #[error("the broker did not do it")]
    Broker(#[from] BrokerError),
    /// A lane is in use.
    #[error(
        "queue {queue} has {orders} orders and {consumers} consumers: stop the api processes, \
         let the workers empty the lanes, stop the workers, then try again"
    )]
    InUse {
        /// The queue.
        queue: String,
        /// Orders' messages that wait in it.
        orders: u32,
        /// Workers that serve it.
        consumers: u32,
    },
}

impl From<lapin::Error> for LanesError {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error.into())
    }
}

/// Gives the deployment `lanes` lanes, if no lane has an order or a worker.
/// Api processes must be stopped: one that runs on would fill lanes of before.
///
/// # Errors
/// [`LanesError`]; after [`LanesError::Broker`] run it again.
pub async fn set_lanes(url: &str, prefix: &str, lanes: Lanes) -> Result<(), LanesError> {
    url.parse::<lapin::uri::AMQPUri>().map_err(|_| InvalidUrl)?;
    let properties = ConnectionProperties::default().with_connection_name("tickets lanes".into());
    let connection = within_limit(Connection::connect(url, properties)).await?;
    let topology = Topology {
        prefix: prefix.to_owned(),
        lanes,
    };
    let existing = existing_queues(&connection, &topology).await?;
    for (queue, orders, consumers) in &existing {
        if *orders > 0 || *consumers > 0 {
            return Err(LanesError::InUse {
                queue: queue.clone(),
                orders: *orders,
                consumers: *consumers,
            });
        }
    }
    let channel = connection.create_channel().await?;
    // Quorum queues cannot be deleted on condition that they are unused.
    let queues = existing.into_iter().map(|(queue, _, _)| queue.into());
    for queue in queues.chain([topology.lanes_queue()]) {
        channel
            .queue_delete(queue, QueueDeleteOptions::default())
            .await?;
    }
    within_limit(topology.declare(&connection)).await?;
    connection.close(200, "OK".into()).await?;
    Ok(())
}

/// Queues of all lanes that there may be, with what is in them.
async fn existing_queues(
    connection: &Connection,
    topology: &Topology,
) -> Result<Vec<(String, u32, u32)>, LanesError> {
    let mut existing = Vec::new();
    let all = Lanes::new(MAX_LANES).into_iter().flat_map(Lanes::iter);
    for lane in all {
        for class in PriorityClass::ALL {
            // The broker closes a channel that asks for what does not exist.
            let channel = connection.create_channel().await?;
            let passive = QueueDeclareOptions::durable().passive();
            let name = topology.lane_queue(class, lane);
            let queue = channel
                .queue_declare(name.clone(), passive, FieldTable::default())
                .await;
            match queue {
                Ok(queue) => {
                    existing.push((
                        name.to_string(),
                        queue.message_count(),
                        queue.consumer_count(),
                    ));
                    channel.close(200, "OK".into()).await?;
                }
                Err(error) if error.is_amqp_soft_error() => return Ok(existing),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(existing)
}
