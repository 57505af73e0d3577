//! Orders that could not be decided. A letter's body is the message that it
//! was, so that nothing is lost by what this version thinks of it; when and why
//! stand in its headers.

use std::sync::Arc;

use domain::order::Order;
use domain::ports::{DeadLetter, DeadLettersError};
use domain::time::Timestamp;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::Mutex;

use crate::confirms::{Confirms, STALLED};
use crate::error::BrokerError;
use crate::limits::{CLOSE_LIMIT, within_limit};
use crate::link::{Link, LiveChannel};
use crate::ticket_publisher::{message_properties, publish_confirmed};
use crate::topology::Topology;
use crate::trace_headers;
use crate::wire;

const AT: &str = "x-dead-at";
const REASON: &str = "x-dead-reason";

/// The queue of dead letters.
pub(crate) struct RabbitDeadLetters {
    link: Arc<Link>,
    topology: Topology,
    capacity: usize,
    confirms: Confirms,
    /// A reader holds letters back for a moment; others wait instead of missing them.
    using: Mutex<()>,
}

impl RabbitDeadLetters {
    pub(crate) fn new(link: Arc<Link>, topology: Topology, capacity: usize) -> Self {
        Self {
            link,
            topology,
            capacity,
            confirms: Confirms::default(),
            using: Mutex::default(),
        }
    }

    async fn count_over(&self, live: &LiveChannel) -> Result<usize, BrokerError> {
        let passive = QueueDeclareOptions::durable().passive();
        let queue = live.channel.queue_declare(
            self.topology.dead_letters_queue(),
            passive,
            FieldTable::default(),
        );
        let count = within_limit(queue).await?.message_count();
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(crate) async fn put(&self, letter: &DeadLetter) -> Result<(), DeadLettersError> {
        let _using = self.using.lock().await;
        let mut put = self.put_once(letter).await;
        if put.as_ref().is_err_and(BrokerError::is_missing) {
            // The lane stands until the letter is put aside.
            put = match self.link.repair().await {
                Ok(()) => self.put_once(letter).await,
                Err(error) => Err(error),
            };
        }
        match put {
            Ok(true) => Ok(()),
            Ok(false) => Err(DeadLettersError::Full {
                capacity: self.capacity,
            }),
            Err(error) => Err(DeadLettersError::Unavailable(error.cause())),
        }
    }

    /// Unless there is no room for it.
    async fn put_once(&self, letter: &DeadLetter) -> Result<bool, BrokerError> {
        let live = self.link.confirming_channel().await?;
        let has_room = self.count_over(&live).await? < self.capacity;
        if has_room {
            self.store(&live, letter).await?;
        }
        live.close(CLOSE_LIMIT).await?;
        Ok(has_room)
    }

    async fn store(&self, live: &LiveChannel, letter: &DeadLetter) -> Result<(), BrokerError> {
        let order = letter.order.as_slice();
        let mut headers = trace_headers::of_orders(order).unwrap_or_default();
        headers.insert(AT.into(), AMQPValue::LongLongInt(letter.at.as_micros()));
        headers.insert(
            REASON.into(),
            AMQPValue::LongString(letter.reason.as_str().into()),
        );
        let body = match &letter.order {
            Some(order) => wire::encode_orders(std::slice::from_ref(order)),
            None => letter.payload.clone(),
        };
        let publishing = publish_confirmed(
            live,
            (&self.confirms, STALLED),
            // The default exchange leads to the queue of that name.
            "".into(),
            self.topology.dead_letters_queue(),
            &body,
            message_properties(Some(headers)),
        );
        within_limit(publishing).await
    }

    /// The next letter, until it is put back or acked.
    async fn get(&self, live: &LiveChannel) -> Result<Option<Delivery>, BrokerError> {
        let getting = live.channel.basic_get(
            self.topology.dead_letters_queue(),
            BasicGetOptions::default(),
        );
        Ok(within_limit(getting).await?.map(|got| got.delivery))
    }

    pub(crate) async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, BrokerError> {
        let _using = self.using.lock().await;
        let live = self.link.channel().await?;
        let mut letters = Vec::new();
        while letters.len() < limit
            && let Some(delivery) = self.get(&live).await?
        {
            letters.push(letter(delivery));
        }
        put_back_the_others(live).await?;
        Ok(letters)
    }

    pub(crate) async fn count(&self) -> Result<usize, BrokerError> {
        let _using = self.using.lock().await;
        let live = self.link.channel().await?;
        let count = self.count_over(&live).await?;
        live.close(CLOSE_LIMIT).await?;
        Ok(count)
    }

    pub(crate) async fn redrive(&self, limit: usize) -> Result<usize, BrokerError> {
        let _using = self.using.lock().await;
        let live = self.link.confirming_channel().await?;
        let mut put_back = 0;
        while put_back < limit
            && let Some(delivery) = self.get(&live).await?
        {
            let tag = delivery.delivery_tag;
            let Some(order) = letter(delivery).order else {
                // Stays: it returns to its place with the others.
                continue;
            };
            let lane = self.topology.lanes.of(&order.show_id);
            let key = Topology::lane_key(order.class, lane);
            let redriven = [Order {
                redriven: true,
                ..order
            }];
            let body = wire::encode_orders(&redriven);
            let publishing = publish_confirmed(
                &live,
                (&self.confirms, STALLED),
                self.topology.orders_exchange(),
                key,
                &body,
                message_properties(trace_headers::of_orders(&redriven)),
            );
            within_limit(publishing).await?;
            within_limit(live.channel.basic_ack(tag, BasicAckOptions::default())).await?;
            put_back += 1;
        }
        put_back_the_others(live).await?;
        Ok(put_back)
    }
}

/// All that were taken and are not acked. What a channel that closes has not put back comes
/// back a moment after it has closed: a reader would find nothing until then.
async fn put_back_the_others(live: LiveChannel) -> Result<(), BrokerError> {
    let all = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    within_limit(live.channel.basic_nack(0, all)).await?;
    live.close(CLOSE_LIMIT).await
}

fn letter(delivery: Delivery) -> DeadLetter {
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    let at = match headers.inner().get(AT) {
        Some(AMQPValue::LongLongInt(micros)) => Timestamp::from_micros(*micros).ok(),
        _ => None,
    };
    let reason = match headers.inner().get(REASON) {
        Some(AMQPValue::LongString(reason)) => reason.to_string(),
        _ => String::new(),
    };
    let order = match wire::decode_orders(&delivery.data) {
        Ok(mut orders) => {
            trace_headers::into_orders(Some(&headers), &mut orders);
            <[Order; 1]>::try_from(orders).ok().map(|[order]| order)
        }
        Err(_) => None,
    };
    DeadLetter {
        at: at.unwrap_or(Timestamp::MIN),
        reason,
        payload: if order.is_some() {
            Vec::new()
        } else {
            delivery.data
        },
        order,
    }
}
