//! A node that is gone, or is there and does nothing, is left for another one.

use std::time::{Duration, Instant};

use adapter_rabbitmq::RabbitMqConfig;
use domain::ports::{Dependency, TicketConsumer, TicketPublisher};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use port_contracts::{DEADLINE, LANES, fixtures, measured, promised, within};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::services;

use crate::process::start;
use crate::proxied::{Proxied, SHOW, until};

/// What a node without a majority does not say, by class and method: `basic.ack`, by which the
/// broker confirms, `basic.get-ok` and `basic.get-empty`.
const NEEDS_A_MAJORITY: &[&[u8]] = &[&[0, 60, 0, 80], &[0, 60, 0, 71], &[0, 60, 0, 72]];

/// A process that is connected through the first proxy, and knows the way through others, to
/// be tried in this sequence.
async fn with_other_ways<const N: usize>() -> (Proxied, [TcpProxy; N]) {
    let mut process = Proxied::start(DEADLINE).await;
    let url = services::rabbitmq_url();
    let mut urls = vec![process.proxy.url(&url)];
    let mut others = Vec::new();
    for _ in 0..N {
        let other = TcpProxy::start(&host_and_port(&url)).await.unwrap();
        other.set(Weather::Down);
        urls.push(other.url(&url));
        others.push(other);
    }
    let all = RabbitMqConfig {
        urls,
        ..process.config.clone()
    };
    process.queue = start(&all, &process.clock).await;
    process.config = all;
    process.published_in_the_end().await;
    for other in &others {
        other.set(Weather::Fair);
    }
    (process, others.try_into().ok().unwrap())
}

async fn with_two_ways() -> (Proxied, TcpProxy) {
    let (process, [second]) = with_other_ways().await;
    (process, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_confirms_nothing() {
    let (process, _second) = with_two_ways().await;
    process.proxy.set(Weather::Mute);
    let asked = Instant::now();
    process.publish().await.unwrap();
    promised(
        "order accepted past a mute node",
        asked.elapsed(),
        Duration::from_secs(10),
    );
    until("ready", async || process.queue.check().await.is_ok()).await;
}

/// Three seconds are spent on the node that is used. Another one must first show that it
/// has a majority, so that these are not spent again on each: that is how long it takes when
/// a node that is cut off, or has not noticed yet, comes next.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_confirms_nothing_with_others_that_do_not_either() {
    let mut process = Proxied::start(DEADLINE).await;
    let url = services::rabbitmq_url();
    let mut ways = Vec::new();
    for _ in 0..4 {
        ways.push(TcpProxy::start(&host_and_port(&url)).await.unwrap());
    }
    process.config.urls = ways.iter().map(|way| way.url(&url)).collect();
    process.queue = start(&process.config, &process.clock).await;
    process.published_in_the_end().await;
    let mut unused = None;
    until("both links are connected, and nothing else", async || {
        let used = ways.iter().map(TcpProxy::connections).sum::<usize>() == 2;
        unused = ways.iter().position(|way| way.connections() == 0);
        used
    })
    .await;
    for (number, way) in ways.iter().enumerate() {
        if Some(number) != unused {
            way.set(Weather::Without(NEEDS_A_MAJORITY));
        }
    }
    let asked = Instant::now();
    process.publish().await.unwrap();
    promised(
        "order accepted past three nodes that confirm nothing",
        asked.elapsed(),
        Duration::from_secs(6),
    );
    until("ready", async || process.queue.check().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_cable_is_pulled() {
    let (process, _second) = with_two_ways().await;
    process.proxy.set(Weather::Stalled);
    let asked = Instant::now();
    process.publish().await.unwrap();
    promised(
        "order accepted past a stalled node",
        asked.elapsed(),
        Duration::from_secs(10),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone() {
    let (process, _second) = with_two_ways().await;
    process.proxy.set(Weather::Down);
    process.proxy.cut();
    let asked = Instant::now();
    process.publish().await.unwrap();
    promised(
        "order accepted past a dead node",
        asked.elapsed(),
        Duration::from_secs(2),
    );
}

/// The others agree after a while, and are asked often enough to notice: no time is spent on the
/// frozen node before.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_frozen_while_the_others_have_no_majority_yet() {
    let (process, [second, third]) = with_other_ways().await;
    process.proxy.set(Weather::Stalled);
    for silent in [&second, &third] {
        silent.set(Weather::Without(NEEDS_A_MAJORITY));
    }
    let (published, agreed) = tokio::join!(process.publish(), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        for silent in [&second, &third] {
            silent.set(Weather::Fair);
        }
        Instant::now()
    });
    published.unwrap();
    promised(
        "order accepted by nodes that agree at last",
        agreed.elapsed(),
        Duration::from_secs(1),
    );
}

/// What it had sent before says nothing about now, also if it is read later.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_frozen_after_it_has_delivered() {
    let (process, _second) = with_two_ways().await;
    let lane = LANES.of(&fixtures::show_id(SHOW));
    let mut open = within("open", process.queue.open_lane(lane)).await.unwrap();
    process.publish().await.unwrap();
    let queue = process.lane_queue();
    until("all is delivered", async || {
        process.prefix.messages(&queue).await == 0
    })
    .await;
    process.proxy.set(Weather::Stalled);
    let frozen = Instant::now();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut batches = 0;
    while let Ok(batch) = within("a batch or an error", open.next_batch(1)).await {
        batches += 1;
        batch.ack().await.unwrap();
    }
    assert!(batches > 0, "nothing was delivered before");
    promised(
        "lane given up that was read through a frozen node",
        frozen.elapsed(),
        Duration::from_secs(6),
    );
}

/// A node may look for the leader of one queue where it no longer is, and have a majority for
/// all others.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_find_the_leader_of_one_lane() {
    let (process, _second) = with_two_ways().await;
    let lost = process.lane_queue().leak().as_bytes();
    process.proxy.set(Weather::Without(vec![lost].leak()));
    let lane = LANES.of(&fixtures::show_id(SHOW));
    let asked = Instant::now();
    until("opened", async || {
        let opened = process.queue.open_lane(lane).await;
        let is_opened = opened.is_ok();
        if let Ok(open) = opened {
            open.close().await;
        }
        is_opened
    })
    .await;
    promised(
        "lane opened past a node that does not find its leader",
        asked.elapsed(),
        Duration::from_secs(10),
    );
}

/// Nobody publishes, nobody consumes: the connections are left all the same, so that the
/// next order does not wait for that.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_answer_while_nothing_happens() {
    let (process, _second) = with_two_ways().await;
    process.proxy.set(Weather::Stalled);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let asked = Instant::now();
    process.publish().await.unwrap();
    let limit = Duration::from_secs(2);
    promised(
        "order accepted past a node that was left",
        asked.elapsed(),
        limit,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_for_its_confirm_is_said_in_readiness() {
    let process = Proxied::start(DEADLINE).await;
    process.published_in_the_end().await;
    process.proxy.set(Weather::Mute);
    let order = process.source.new_order(SHOW, "1");
    let (published, ()) = tokio::join!(process.queue.publish(order), async {
        until("said", async || {
            let checked = process.queue.check().await;
            checked.is_err_and(|down| down.reason.contains("confirm"))
        })
        .await;
        process.proxy.set(Weather::Fair);
    });
    published.unwrap();
    until("ready", async || process.queue.check().await.is_ok()).await;
}

/// Looking costs the broker nothing, and wears nothing out.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_can_be_asked_for_thousands_of_times() {
    let process = Proxied::start(DEADLINE).await;
    // A channel that the broker closes on every connection.
    process.prefix.delete_exchange("tickets").await;
    process.published_in_the_end().await;
    let asked = Instant::now();
    for _ in 0..3_000 {
        within("check", process.queue.check()).await.unwrap();
    }
    measured("3,000 checks", asked.elapsed());
    process.publish().await.unwrap();
}

/// Why a channel that the broker closed costs its connection. If this fails after an upgrade
/// of lapin, `LiveChannel` may be simplified.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_the_broker_closed_poisons_its_number() {
    let url = services::rabbitmq_url();
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let passive = QueueDeclareOptions::durable().passive();
    let name = format!("{}-is-not-there", fixtures::show_id(SHOW));
    let asking = channel.queue_declare(name.into(), passive, FieldTable::default());
    asking.await.unwrap_err();
    drop(channel);
    let mut refused = 0;
    // Every number once.
    for _ in 0..2_047 {
        match within("a channel", connection.create_channel()).await {
            Ok(channel) => channel.close(200, "OK".into()).await.unwrap(),
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 1);
    connection.close(200, "OK".into()).await.unwrap();
}
