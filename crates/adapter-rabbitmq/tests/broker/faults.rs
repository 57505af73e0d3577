//! Connections that break, stall and lie.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_rabbitmq::RabbitMqConfig;
use domain::ports::{DeadLetters, Dependency, PublishError, TicketConsumer, TicketPublisher};
use domain::receipt::ProcessId;
use domain::waiting_line::AcceptTally;
use port_contracts::{DEADLINE, LANES, fixtures, measured, within};
use tcp_proxy::Weather;
use test_servers::services;
use tokio::time::timeout;

use crate::process::start;
use crate::proxied::{Proxied, until};

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
pub(crate) fn blocked() -> Vec<u8> {
    method_frame(10, 60, b"\x09low on me")
}

pub(crate) fn unblocked() -> Vec<u8> {
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

/// The reason becomes a header, which has to fit into a frame.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_name_that_is_longer_than_a_frame_is_put_aside() {
    let process = Proxied::start(DEADLINE).await;
    let name = "x".repeat(200_000);
    let message = format!(r#"{{"version":1,"{name}":1}}"#);
    let queue = process.lane_queue();
    process.prefix.publish(&queue, message.as_bytes()).await;
    let order = process.publish().await.unwrap();
    assert_eq!(process.drain(1).await, [order]);
    let aside = within("list", process.queue.list(9)).await.unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].payload, message.as_bytes());
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

/// Its client has hung up; the line is longer by it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_caller_has_gone_is_counted_once_the_queue_has_it() {
    let process = Proxied::start(DEADLINE).await;
    let tally = Arc::new(AcceptTally::new(
        ProcessId::new(7),
        LANES,
        fixtures::start(),
    ));
    process.queue.count_unheard(Arc::clone(&tally));
    // Counted by its caller.
    let first = process.publish().await.unwrap();
    process.proxy.set(Weather::Mute);
    let queue = process.lane_queue();
    let stored = until("it is stored", async || {
        process.prefix.messages(&queue).await == 2
    });
    tokio::select! {
        answer = process.publish() => panic!("{answer:?}"),
        () = stored => {}
    }
    assert_eq!(tally.to_announce(fixtures::start()), []);
    process.proxy.cut();
    process.proxy.set(Weather::Fair);
    until("it is counted", async || {
        !tally.to_announce(fixtures::start()).is_empty()
    })
    .await;
    let orders = process.drain(3).await;
    assert_eq!((&orders[0], &orders[1]), (&first, &orders[2]));
    let counted = tally.to_announce(fixtures::start());
    let counted = counted.last().unwrap();
    assert_eq!(
        (counted.total, counted.through),
        (1, orders[1].requested_at)
    );
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

/// The connection of who has it open breaks without that one's knowing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_gives_its_orders_to_the_next_as_soon_as_a_connection_ends() {
    let process = Proxied::start(DEADLINE).await;
    let order = process.publish().await.unwrap();
    let lane = LANES.of(&order.show_id);
    let mut first = within("open", process.queue.open_lane(lane)).await.unwrap();
    let batch = within("next_batch", first.next_batch(1)).await.unwrap();
    let direct = RabbitMqConfig {
        urls: vec![services::rabbitmq_url()],
        ..process.config.clone()
    };
    let other = start(&direct, &process.clock).await;
    let mut second = within("open", other.open_lane(lane)).await.unwrap();
    let early = timeout(Duration::from_secs(2), second.next_batch(1)).await;
    assert!(early.is_err(), "a lane gives its orders to two");
    process.proxy.set(Weather::Down);
    let cut = Instant::now();
    process.proxy.cut();
    let next = within("next_batch", second.next_batch(1)).await.unwrap();
    assert_eq!(next.orders(), [order]);
    measured("lane of a cut connection taken over", cut.elapsed());
    drop(batch);
}
