//! The usual way: each order is a persistent message of its own to a durable
//! quorum queue, and is answered when the broker has confirmed it. Nothing is looked up.

use actix_web::{HttpResponse, web};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::protocol::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Confirmation, Connection, ConnectionProperties};

use super::{Order, Ticket};

const PERSISTENT: u8 = 2;

/// Where orders go: over one channel, than which several were never faster.
pub struct Publisher {
    queue: ShortString,
    channel: Channel,
    /// Closed when dropped.
    _connection: Connection,
}

impl Publisher {
    /// Connects and declares the queue.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn connect(rabbitmq_url: &str, queue: &str) -> anyhow::Result<Self> {
        let queue = ShortString::from(queue);
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(rabbitmq_url, properties).await?;
        let channel = connection.create_channel().await?;
        let confirms = ConfirmSelectOptions::default();
        channel.confirm_select(confirms).await?;
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
        channel
            .queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments)
            .await?;
        Ok(Self {
            queue,
            channel,
            _connection: connection,
        })
    }

    /// Whether the broker has stored it in the queue.
    async fn publish(&self, body: &[u8]) -> lapin::Result<bool> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT);
        let confirm = self
            .channel
            .basic_publish("".into(), self.queue.clone(), options, body, properties)
            .await?;
        Ok(matches!(confirm.await?, Confirmation::Ack(None)))
    }
}

/// Takes an order.
///
/// # Errors
/// Never: its answer is plain data.
pub async fn place(
    publisher: web::Data<Publisher>,
    order: web::Json<Order>,
) -> actix_web::Result<HttpResponse> {
    let ticket = Ticket::from(order.into_inner());
    let body = ticket.body()?;
    Ok(match publisher.publish(&body).await {
        Ok(true) => ticket.accepted(body),
        Ok(false) | Err(_) => HttpResponse::ServiceUnavailable().finish(),
    })
}
