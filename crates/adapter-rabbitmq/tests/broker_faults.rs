//! What only a real broker can break.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_rabbitmq::{LanesError, RabbitMq, RabbitMqConfig, StartError, set_lanes};
use domain::order::{Lanes, Order};
use domain::ports::{ConsumeError, Dependency, PublishError, TicketConsumer, TicketPublisher};
use domain::receipt::ProcessId;
use port_contracts::fixtures::OrderSource;
use port_contracts::proxy::{TcpProxy, Weather, host_and_port};
use port_contracts::services::{self, TestPrefix};
use port_contracts::{DEADLINE, LANES, ManualClock, fixtures, measured, within};
use tokio::time::{sleep, timeout};

use crate::process::{config, start};

const SHOW: &str = "a";
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A process with a proxy before its broker.
struct Proxied {
    queue: Arc<RabbitMq>,
    proxy: TcpProxy,
    source: OrderSource,
    config: RabbitMqConfig,
    clock: Arc<ManualClock>,
    prefix: TestPrefix,
}

impl Proxied {
    async fn start(publish_timeout: Duration) -> Self {
        let url = services::rabbitmq_url();
        let proxy = TcpProxy::start(&host_and_port(&url)).await.unwrap();
        let prefix = TestPrefix::new();
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
        }
    }

    async fn publish(&self) -> Result<Order, PublishError> {
        let order = self.source.new_order(SHOW, "1");
        within("publish", self.queue.publish(order)).await
    }

    /// Again and again, until an order is accepted.
    async fn published_in_the_end(&self) -> Order {
        let mut accepted = None;
        until("an order is accepted", async || {
            accepted = self.publish().await.ok();
            accepted.is_some()
        })
        .await;
        accepted.unwrap()
    }

    /// The queue of the show's lane.
    fn lane_queue(&self) -> String {
        format!("standard.{}", LANES.of(&fixtures::show_id(SHOW)))
    }

    /// So many orders of the show's lane, as its owner gets them.
    async fn drain(&self, count: usize) -> Vec<Order> {
        self.drain_until(|orders| orders.len() >= count).await
    }

    async fn drain_until(&self, done: impl Fn(&[Order]) -> bool) -> Vec<Order> {
        let direct = RabbitMqConfig {
            url: services::rabbitmq_url(),
            ..self.config.clone()
        };
        let reader = start(&direct, &self.clock).await;
        let mut orders = Vec::new();
        let mut owned = Vec::new();
        while !done(&orders) {
            let mut lane = within("claim_lane", reader.claim_lane()).await.unwrap();
            if lane.lane() != LANES.of(&fixtures::show_id(SHOW)) {
                owned.push(lane);
                continue;
            }
            while !done(&orders) {
                let batch = within("next_batch", lane.next_batch(100)).await.unwrap();
                orders.extend_from_slice(batch.orders());
                batch.ack().await.unwrap();
            }
        }
        orders
    }
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            sleep(LOOK_AGAIN).await;
        }
    };
    within(what, waiting).await;
}

/// A method frame of AMQP 0-9-1 on channel 0 (section 4.2.3 of the specification).
fn method_frame(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let size = u32::try_from(4 + arguments.len()).unwrap();
    let mut frame = vec![1, 0, 0];
    frame.extend(size.to_be_bytes());
    frame.extend(class.to_be_bytes());
    frame.extend(method.to_be_bytes());
    frame.extend(arguments);
    frame.push(0xCE);
    frame
}

/// `connection.blocked` and `connection.unblocked`, RabbitMQ's extension.
fn blocked() -> Vec<u8> {
    method_frame(10, 60, b"\x09low on me")
}

fn unblocked() -> Vec<u8> {
    method_frame(10, 61, b"")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_no_queue_takes_is_refused_and_the_queue_declared_again() {
    let process = Proxied::start(DEADLINE).await;
    process.publish().await.unwrap();
    process.prefix.delete_queue(&process.lane_queue()).await;
    let refused = process.publish().await.unwrap_err();
    assert!(
        matches!(refused, PublishError::Unavailable(_)),
        "{refused:?}"
    );
    // Until then it is refused, never taken for accepted.
    let accepted = process.published_in_the_end().await;
    assert_eq!(process.drain(1).await, [accepted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_connection_refuses_instead_of_waiting() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    process.published_in_the_end().await;
    process.proxy.say(&blocked());
    // A check that is under way when it happens only sees that nothing comes.
    until("readiness names the alarm", async || {
        let checked = process.queue.check().await;
        checked.is_err_and(|down| down.reason.contains("alarm"))
    })
    .await;
    let asked = Instant::now();
    let refused = process.publish().await.unwrap_err();
    assert!(
        matches!(refused, PublishError::Unavailable(_)),
        "{refused:?}"
    );
    measured("order refused while blocked", asked.elapsed());
    process.proxy.say(&unblocked());
    until("ready", async || process.queue.check().await.is_ok()).await;
    process.published_in_the_end().await;
}

/// Stored, and the confirm lost: sent again with the same place before
/// anything else of its lane, so that the ledger can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_confirm_makes_a_second_copy_at_the_same_place() {
    let process = Proxied::start(DEADLINE).await;
    let first = process.publish().await.unwrap();
    process.proxy.set(Weather::Mute);
    let cut = async {
        let queue = process.lane_queue();
        until("it is stored", async || {
            process.prefix.messages(&queue).await == 2
        })
        .await;
        process.proxy.cut();
        process.proxy.set(Weather::Fair);
    };
    let (copied, ()) = tokio::join!(process.publish(), cut);
    let copied = copied.unwrap();
    let last = process.publish().await.unwrap();
    let expected = [first, copied.clone(), copied, last];
    assert_eq!(process.drain(4).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirm_that_does_not_come_is_an_unknown_outcome() {
    // Long beside what sending takes on a busy machine, and over before either side
    // misses the other's heartbeats.
    let process = Proxied::start(Duration::from_secs(4)).await;
    let first = process.publish().await.unwrap();
    let before = process.prefix.messages(&process.lane_queue()).await;
    process.proxy.set(Weather::Mute);
    // Sent at once, so its caller waits in vain and it may be stored.
    let sent = process.publish();
    // What was never sent is refused, and never sent later.
    let not_sent = async {
        let queue = process.lane_queue();
        until("the first is stored", async || {
            process.prefix.messages(&queue).await > before
        })
        .await;
        process.publish().await
    };
    let (unknown, refused) = tokio::join!(sent, not_sent);
    let (unknown, refused) = (unknown.unwrap_err(), refused.unwrap_err());
    assert!(
        matches!(unknown, PublishError::OutcomeUnknown),
        "{unknown:?}"
    );
    assert!(
        matches!(refused, PublishError::Unavailable(_)),
        "{refused:?}"
    );
    process.proxy.set(Weather::Fair);
    let last = process.published_in_the_end().await;
    let mut orders = process.drain_until(|orders| orders.contains(&last)).await;
    // A copy, if the machine was so busy that the connection was given up meanwhile.
    orders.dedup();
    assert_eq!(orders.len(), 3, "{orders:?}");
    assert_eq!((&orders[0], &orders[2]), (&first, &last));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_gone_orders_are_refused_and_afterwards_accepted() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    process.published_in_the_end().await;
    process.proxy.set(Weather::Down);
    process.proxy.cut();
    for _ in 0..3 {
        let asked = Instant::now();
        process.publish().await.unwrap_err();
        measured("order refused without a broker", asked.elapsed());
    }
    process.proxy.set(Weather::Fair);
    let back = Instant::now();
    process.published_in_the_end().await;
    measured("orders accepted again", back.elapsed());
}

/// The owner's connection breaks without the owner's knowing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_free_as_soon_as_its_owners_connection_ends() {
    let process = Proxied::start(DEADLINE).await;
    let order = process.publish().await.unwrap();
    let mut owned = Vec::new();
    for _ in LANES.iter() {
        owned.push(within("claim", process.queue.claim_lane()).await.unwrap());
    }
    let direct = RabbitMqConfig {
        url: services::rabbitmq_url(),
        ..process.config.clone()
    };
    let other = start(&direct, &process.clock).await;
    let early = timeout(Duration::from_secs(2), other.claim_lane()).await;
    assert!(early.is_err(), "a lane has two owners");
    process.proxy.set(Weather::Down);
    let cut = Instant::now();
    process.proxy.cut();
    loop {
        let mut lane = within("claim", other.claim_lane()).await.unwrap();
        if lane.lane() != LANES.of(&order.show_id) {
            owned.push(lane);
            continue;
        }
        match within("next_batch", lane.next_batch(1)).await {
            Ok(batch) => {
                assert_eq!(batch.orders(), [order]);
                break;
            }
            // As long as the other counts as a member it has a share.
            Err(ConsumeError::LaneLost) => {}
            Err(error) => panic!("{error}"),
        }
    }
    measured("lane of a cut owner taken over", cut.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_lanes_is_refused_until_it_is_set_on_empty_lanes() {
    let process = Proxied::start(DEADLINE).await;
    let two = Lanes::new(2).unwrap();
    let of_two = RabbitMqConfig {
        lanes: two,
        ..process.config.clone()
    };
    let clock = process.clock.clone();
    let started = RabbitMq::start(&of_two, clock.clone(), ProcessId::new(1)).await;
    let Err(StartError::Lanes(error)) = started else {
        panic!("started with two of four lanes");
    };
    let told = error.to_string();
    assert!(
        told.contains("lanes set 2") && told.contains("set up with 4"),
        "{told}"
    );

    let set = async |lanes| set_lanes(&process.config.url, &process.config.prefix, lanes).await;
    process.publish().await.unwrap();
    let in_use = set(two).await.unwrap_err();
    assert!(
        matches!(in_use, LanesError::InUse { orders: 1, .. }),
        "{in_use:?}"
    );
    process.prefix.take_first(&process.lane_queue()).await;
    // The broker counts a little later than it acts.
    until("two lanes", async || set(two).await.is_ok()).await;
    let started = RabbitMq::start(&of_two, clock, ProcessId::new(1)).await;
    assert!(started.is_ok());
    set(LANES).await.unwrap();
}
