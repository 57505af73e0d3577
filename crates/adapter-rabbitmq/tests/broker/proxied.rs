//! A process whose way to the broker can be cut.

use std::sync::Arc;
use std::time::Duration;

use adapter_rabbitmq::{RabbitMq, RabbitMqConfig};
use domain::order::Order;
use domain::ports::{PublishError, TicketConsumer, TicketPublisher};
use port_contracts::fixtures::OrderSource;
use port_contracts::{LANES, ManualClock, fixtures, within};
use tcp_proxy::{TcpProxy, host_and_port};
use test_servers::{TestPrefix, services};
use tokio::time::sleep;

use crate::process::{config, start};

pub(crate) const SHOW: &str = "a";
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process with a proxy before its broker.
pub(crate) struct Proxied {
    pub(crate) queue: Arc<RabbitMq>,
    pub(crate) proxy: TcpProxy,
    pub(crate) source: OrderSource,
    pub(crate) config: RabbitMqConfig,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) prefix: TestPrefix,
    /// Past the proxy.
    url: String,
}

impl Proxied {
    pub(crate) async fn start(publish_timeout: Duration) -> Self {
        Self::at(services::rabbitmq_url(), publish_timeout).await
    }

    /// With another user or vhost than other tests have.
    pub(crate) async fn at(url: String, publish_timeout: Duration) -> Self {
        let proxy = TcpProxy::start(&host_and_port(&url)).await.unwrap();
        let prefix = TestPrefix::on(&url);
        let config = RabbitMqConfig {
            publish_timeout,
            ..config(&proxy.url(&url), &prefix)
        };
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        Self {
            queue: start(&config, &clock).await,
            proxy,
            source: OrderSource::new(1),
            config,
            clock,
            prefix,
            url,
        }
    }

    pub(crate) async fn publish(&self) -> Result<Order, PublishError> {
        let order = self.source.new_order(SHOW, "1");
        within("publish", self.queue.publish(order)).await
    }

    /// Again and again, until an order is accepted.
    pub(crate) async fn published_in_the_end(&self) -> Order {
        let mut accepted = None;
        until("an order is accepted", async || {
            accepted = self.publish().await.ok();
            accepted.is_some()
        })
        .await;
        accepted.unwrap()
    }

    /// The queue of the show's lane.
    pub(crate) fn lane_queue(&self) -> String {
        format!("standard.{}", LANES.of(&fixtures::show_id(SHOW)))
    }

    /// So many orders of the show's lane, as its owner gets them.
    pub(crate) async fn drain(&self, count: usize) -> Vec<Order> {
        self.drain_until(|orders| orders.len() >= count).await
    }

    pub(crate) async fn drain_until(&self, done: impl Fn(&[Order]) -> bool) -> Vec<Order> {
        let direct = RabbitMqConfig {
            urls: vec![self.url.clone()],
            ..self.config.clone()
        };
        let reader = start(&direct, &self.clock).await;
        let mut orders = Vec::new();
        let lane = LANES.of(&fixtures::show_id(SHOW));
        while !done(&orders) {
            let mut open = within("open_lane", reader.open_lane(lane)).await.unwrap();
            while !done(&orders) {
                let batch = within("next_batch", open.next_batch(100)).await.unwrap();
                orders.extend_from_slice(batch.orders());
                batch.ack().await.unwrap();
            }
        }
        orders
    }
}

pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            sleep(LOOK_AGAIN).await;
        }
    };
    within(what, waiting).await;
}
