//! Exchanges and queues, declared the same way by every process at every connection.
//!
//! | name (after the prefix) | what |
//! |---|---|
//! | `tickets` | direct exchange; routing key `<class>.<lane>` |
//! | `tickets.<class>.<lane>` | quorum queue of a lane's class |
//! | `tickets.dead` | quorum queue of dead letters |
//! | `tickets.lanes` | quorum queue that is never used; its `x-max-length` is the number of lanes |
//! | `tickets.owner.<lane>` | exclusive queue: whose connection has it owns the lane |
//! | `ticket-events` | fanout exchange of outcomes |
//! | `ticket-workers` | fanout exchange where workers tell each other of their lanes |

use domain::order::{Lane, Lanes};
use domain::user::PriorityClass;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use crate::error::BrokerError;

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

/// Names everything that belongs to one deployment.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    pub(crate) prefix: String,
    pub(crate) lanes: Lanes,
}

impl Topology {
    pub(crate) fn orders_exchange(&self) -> ShortString {
        format!("{}tickets", self.prefix).into()
    }

    pub(crate) fn events_exchange(&self) -> ShortString {
        format!("{}ticket-events", self.prefix).into()
    }

    pub(crate) fn workers_exchange(&self) -> ShortString {
        format!("{}ticket-workers", self.prefix).into()
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

    pub(crate) fn owner_queue(&self, lane: Lane) -> ShortString {
        format!("{}tickets.owner.{lane}", self.prefix).into()
    }

    /// Checks the number of lanes, recording it in a new broker, and declares
    /// whatever is missing.
    pub(crate) async fn declare(&self, connection: &Connection) -> Result<(), BrokerError> {
        self.record_lanes(connection).await?;
        let channel = connection.create_channel().await?;
        for (exchange, kind) in [
            (self.orders_exchange(), ExchangeKind::Direct),
            (self.events_exchange(), ExchangeKind::Fanout),
            (self.workers_exchange(), ExchangeKind::Fanout),
        ] {
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            channel
                .exchange_declare(exchange, kind, durable, FieldTable::default())
                .await?;
        }
        let limit = ("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT));
        declare_quorum_queue(&channel, self.dead_letters_queue(), [limit.clone()]).await?;
        // A lane's next owner gets nothing before all that its predecessor had
        // is back in the queue, however the predecessor ended.
        let one_consumer = ("x-single-active-consumer", AMQPValue::Boolean(true));
        for lane in self.lanes.iter() {
            for class in PriorityClass::ALL {
                let queue = self.lane_queue(class, lane);
                let arguments = [limit.clone(), one_consumer.clone()];
                declare_quorum_queue(&channel, queue.clone(), arguments).await?;
                channel
                    .queue_bind(
                        queue,
                        self.orders_exchange(),
                        Self::lane_key(class, lane),
                        QueueBindOptions::default(),
                        FieldTable::default(),
                    )
                    .await?;
            }
        }
        channel.close(200, "OK".into()).await?;
        Ok(())
    }

    /// The broker refuses to declare a queue anew with another maximal length:
    /// that makes an argument of a queue a number that all processes agree on.
    async fn record_lanes(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = connection.create_channel().await?;
        let number = AMQPValue::LongInt(self.lanes.count().into());
        // Replicated, so that no single node is needed to connect.
        let declared =
            declare_quorum_queue(&channel, self.lanes_queue(), [("x-max-length", number)]).await;
        match declared {
            Ok(()) => {
                channel.close(200, "OK".into()).await?;
                Ok(())
            }
            Err(error) if error.reply_code() == Some(PRECONDITION_FAILED) => {
                Err(BrokerError::LanesDiffer {
                    configured: self.lanes.count(),
                    recorded: recorded(&error.to_string()),
                })
            }
            Err(error) => Err(error),
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
    channel
        .queue_declare(name, QueueDeclareOptions::durable(), table)
        .await?;
    Ok(())
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
    }
}
