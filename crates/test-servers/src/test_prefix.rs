//! A part of the broker of one test.

#![expect(clippy::unwrap_used, reason = "fails the test that needs it")]

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};

use crate::broker::Broker;
use crate::on_a_thread;
use crate::services::rabbitmq_url;

/// A prefix of queues and exchanges that nobody else uses; what has it when the
/// value is dropped is deleted. Each method has a connection of its own, and panics when the
/// broker refuses.
pub struct TestPrefix {
    url: String,
    prefix: String,
}

impl TestPrefix {
    /// Draws a prefix that nothing uses yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two values are never equal")]
    pub fn new() -> Self {
        Self::on(&rabbitmq_url())
    }

    /// On another broker than that of the other tests.
    #[must_use]
    pub fn on(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: format!("test-{:016x}-", rand::random::<u64>()),
        }
    }

    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    async fn connect(&self) -> Broker {
        Broker::connect(&self.url).await.unwrap()
    }

    fn queue(&self, queue: &str) -> String {
        format!("{}tickets.{queue}", self.prefix)
    }

    /// Puts a message into `tickets.<queue>`, past the adapter.
    pub async fn publish(&self, queue: &str, payload: &[u8]) {
        self.publish_as("", queue, payload).await;
    }

    /// The same with a type.
    pub async fn publish_as(&self, kind: &str, queue: &str, payload: &[u8]) {
        let broker = self.connect().await;
        let confirm = ConfirmSelectOptions::default();
        broker.channel.confirm_select(confirm).await.unwrap();
        let published = broker.channel.basic_publish(
            "".into(),
            self.queue(queue).into(),
            BasicPublishOptions::default(),
            payload,
            BasicProperties::default().with_type(kind.into()),
        );
        published.await.unwrap().await.unwrap();
        broker.close().await.unwrap();
    }

    /// Deletes an exchange.
    pub async fn delete_exchange(&self, exchange: &str) {
        let broker = self.connect().await;
        let name = format!("{}{exchange}", self.prefix);
        let deleting = broker
            .channel
            .exchange_delete(name.into(), ExchangeDeleteOptions::default());
        deleting.await.unwrap();
        broker.close().await.unwrap();
    }

    /// Makes an exchange of that kind.
    pub async fn declare_exchange(&self, exchange: &str, kind: ExchangeKind) {
        let broker = self.connect().await;
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let name = format!("{}{exchange}", self.prefix);
        let declaring =
            broker
                .channel
                .exchange_declare(name.into(), kind, durable, FieldTable::default());
        declaring.await.unwrap();
        broker.close().await.unwrap();
    }

    /// Makes `tickets.<queue>` a queue that is not replicated.
    pub async fn declare_classic(&self, queue: &str) {
        let broker = self.connect().await;
        let declared = self.declare(&broker, queue, FieldTable::default()).await;
        declared.unwrap();
        broker.close().await.unwrap();
    }

    async fn declare(
        &self,
        broker: &Broker,
        queue: &str,
        arguments: FieldTable,
    ) -> lapin::Result<lapin::Queue> {
        let durable = QueueDeclareOptions::durable();
        let declaring = broker
            .channel
            .queue_declare(self.queue(queue).into(), durable, arguments);
        declaring.await
    }

    /// Takes away what leads from the exchange to `tickets.<queue>`.
    pub async fn unbind(&self, queue: &str) {
        let broker = self.connect().await;
        let unbinding = broker.channel.queue_unbind(
            self.queue(queue).into(),
            format!("{}tickets", self.prefix).into(),
            queue.into(),
            FieldTable::default(),
        );
        unbinding.await.unwrap();
        broker.close().await.unwrap();
    }

    /// Has `tickets.<queue>` record another number, whatever a process records meanwhile.
    pub async fn record(&self, queue: &str, number: i32) {
        let mut arguments = FieldTable::default();
        let quorum = AMQPValue::LongString("quorum".into());
        arguments.insert("x-queue-type".into(), quorum);
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(number));
        loop {
            self.delete_queue(queue).await;
            let broker = self.connect().await;
            let declared = self.declare(&broker, queue, arguments.clone()).await;
            broker.close().await.unwrap();
            // A process that runs may have been quicker.
            if declared.is_ok() {
                return;
            }
        }
    }

    /// Whether there is a queue `tickets.<queue>`.
    pub async fn has_queue(&self, queue: &str) -> bool {
        self.count(queue).await.is_ok()
    }

    /// Messages that wait in `tickets.<queue>` and no consumer has.
    pub async fn messages(&self, queue: &str) -> u32 {
        self.count(queue).await.unwrap()
    }

    async fn count(&self, queue: &str) -> anyhow::Result<u32> {
        let broker = self.connect().await;
        let looked = broker.look(self.queue(queue)).await;
        broker.close().await.unwrap();
        Ok(looked?.message_count())
    }

    /// Deletes `tickets.<queue>`.
    pub async fn delete_queue(&self, queue: &str) {
        let broker = self.connect().await;
        broker.delete_queue(&self.queue(queue)).await.unwrap();
        broker.close().await.unwrap();
    }

    /// Takes the first message out of `tickets.<queue>`, once it can be had.
    pub async fn take_first(&self, queue: &str) -> Vec<u8> {
        let broker = self.connect().await;
        let channel = &broker.channel;
        // As many as a lane's owner gets: what a consumer leaves behind goes
        // behind everything else that came back, unless it had all of it.
        let all = channel.basic_qos(u16::MAX, BasicQosOptions::default());
        all.await.unwrap();
        let consuming = channel.basic_consume(
            self.queue(queue).into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut consumer = consuming.await.unwrap();
        let first = consumer.next().await.unwrap().unwrap();
        let tag = first.delivery_tag;
        let acked = channel.basic_ack(tag, BasicAckOptions::default());
        acked.await.unwrap();
        // The ack is on its way before the connection's orderly end.
        broker.close().await.unwrap();
        first.data
    }
}

impl Drop for TestPrefix {
    fn drop(&mut self) {
        let (url, prefix) = (self.url.clone(), self.prefix.clone());
        on_a_thread(async move {
            let broker = Broker::connect(&url).await?;
            broker.delete_topology(&prefix).await?;
            broker.close().await
        });
    }
}
