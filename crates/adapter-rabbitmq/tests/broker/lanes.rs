//! Changing the number of lanes loses nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_rabbitmq::{LanesError, RabbitMq, RabbitMqConfig, StartError, set_lanes};
use domain::order::Lanes;
use domain::ports::{DeadLetters, Dependency, TicketConsumer};
use domain::receipt::ProcessId;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use port_contracts::{DEADLINE, LANES, ManualClock, fixtures, promised, within};
use tcp_proxy::Weather;
use test_servers::{TestPrefix, services};
use tokio::time::sleep;

use crate::deletions::HEALED_WITHIN;
use crate::process::config;
use crate::proxied::{Proxied, SHOW, until};

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_lanes_is_refused_until_it_is_set_on_empty_lanes() {
    let process = Proxied::start(DEADLINE).await;
    let two = Lanes::new(2).unwrap();
    let of_two = RabbitMqConfig {
        lanes: two,
        ..process.config.clone()
    };
    let clock = process.clock.clone();
    let started = RabbitMq::start(&of_two, clock.clone(), ProcessId::new(1), None).await;
    let Err(StartError::Lanes(error)) = started else {
        panic!("started with two of four lanes");
    };
    let told = error.to_string();
    assert!(
        told.contains("lanes set 2") && told.contains("set up with 4"),
        "{told}"
    );

    let set =
        async |lanes| set_lanes(&process.config.urls, &process.config.prefix, lanes, None).await;
    process.publish().await.unwrap();
    let in_use = set(two).await.unwrap_err();
    assert!(
        matches!(in_use, LanesError::InUse { messages: 1, .. }),
        "{in_use:?}"
    );
    process.prefix.take_first(&process.lane_queue()).await;
    // The broker counts a little later than it acts.
    until("two lanes", async || set(two).await.is_ok()).await;
    let started = RabbitMq::start(&of_two, clock, ProcessId::new(1), None).await;
    assert!(started.is_ok());
    set(LANES).await.unwrap();
}

/// What the broker counts is old by a moment, and zero while a queue has no leader.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_with_an_order_stay_whatever_the_broker_counts() {
    let process = Proxied::start(DEADLINE).await;
    let urls = [services::rabbitmq_url()];
    let mut orders = Vec::new();
    for lanes in [1, 2, 3, 5, 8] {
        orders.push(process.publish().await.unwrap());
        let lanes = Lanes::new(lanes).unwrap();
        let in_use = set_lanes(&urls, &process.config.prefix, lanes, None).await;
        let in_use = in_use.unwrap_err();
        assert!(matches!(in_use, LanesError::InUse { .. }), "{in_use:?}");
    }
    // Nor does any attempt leave a marker in front of a lane that is full.
    let stored = u32::try_from(orders.len()).unwrap();
    until("the messages are counted", async || {
        process.prefix.messages(&process.lane_queue()).await == stored
    })
    .await;
    assert_eq!(process.drain(orders.len()).await, orders);
}

/// It is killed, or the broker is, at any moment: nothing is lost, and it can be run again.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_were_set_half_way_are_set_by_the_next_attempt() {
    let process = Proxied::start(Duration::from_secs(2)).await;
    let (urls, prefix) = (&process.config.urls, &process.config.prefix);
    let all = [services::rabbitmq_url()];
    let mut ended = [0, 0];
    for (round, number) in (0_u64..12).zip([2, 3].into_iter().cycle()) {
        let lanes = Lanes::new(number).unwrap();
        process.proxy.set(Weather::Fair);
        let setting = set_lanes(urls, prefix, lanes, None);
        let cutting = async {
            sleep(Duration::from_millis(round * 17)).await;
            process.proxy.set(Weather::Down);
            process.proxy.cut();
        };
        let (set, ()) = tokio::join!(setting, cutting);
        ended[usize::from(set.is_ok())] += 1;
        set_lanes(&all, prefix, lanes, None).await.unwrap();
        let of_that_number = RabbitMqConfig {
            lanes,
            urls: all.to_vec(),
            ..process.config.clone()
        };
        let started = RabbitMq::start(
            &of_that_number,
            process.clock.clone(),
            ProcessId::new(1),
            None,
        );
        assert!(started.await.is_ok());
    }
    assert!(ended[0] > 2, "cut too late: {ended:?}");
    set_lanes(&all, prefix, LANES, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_lanes_are_being_set_no_process_starts() {
    let prefix = TestPrefix::new();
    let urls = [services::rabbitmq_url()];
    set_lanes(&urls, prefix.as_str(), LANES, None)
        .await
        .unwrap();
    prefix.record("lanes", 1_004).await;
    let (config, clock) = (
        config(&urls[0], &prefix),
        ManualClock::new(fixtures::start()),
    );
    let started = RabbitMq::start(&config, Arc::new(clock), ProcessId::new(1), None).await;
    let Err(StartError::Lanes(error)) = started else {
        panic!("started while the number of lanes was being changed");
    };
    assert!(error.to_string().contains("run it again"), "{error}");
    set_lanes(&urls, prefix.as_str(), LANES, None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_was_left_in_a_lane_is_no_order_and_no_dead_letter() {
    let process = Proxied::start(DEADLINE).await;
    let queue = process.lane_queue();
    process
        .prefix
        .publish_as("tickets.marker", &queue, b"")
        .await;
    let order = process.publish().await.unwrap();
    let lane = LANES.of(&fixtures::show_id(SHOW));
    let mut open = within("open", process.queue.open_lane(lane)).await.unwrap();
    let batch = within("next_batch", open.next_batch(9)).await.unwrap();
    assert_eq!(batch.orders(), [order]);
    batch.ack().await.unwrap();
    assert_eq!(process.queue.list(9).await.unwrap(), []);
    open.close().await;
    until("all is acked", async || {
        process.prefix.messages(&queue).await == 0
    })
    .await;
    let urls = [services::rabbitmq_url()];
    set_lanes(&urls, &process.config.prefix, LANES, None)
        .await
        .unwrap();
}

/// The attempt that published it was cut before it took it.
#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_was_left_in_a_lane_does_not_keep_lanes_from_being_set() {
    let process = Proxied::start(DEADLINE).await;
    let queue = process.lane_queue();
    let urls = [services::rabbitmq_url()];
    let leave_two = async || {
        for _ in 0..2 {
            let prefix = &process.prefix;
            prefix.publish_as("tickets.marker", &queue, b"").await;
        }
        until("both are counted", async || {
            process.prefix.messages(&queue).await == 2
        })
        .await;
    };
    leave_two().await;
    set_lanes(&urls, &process.config.prefix, LANES, None)
        .await
        .unwrap();
    leave_two().await;
    let order = process.publish().await.unwrap();
    let in_use = set_lanes(&urls, &process.config.prefix, LANES, None).await;
    let in_use = in_use.unwrap_err();
    assert!(
        matches!(in_use, LanesError::InUse { messages: 2.., .. }),
        "{in_use:?}"
    );
    assert_eq!(process.drain(1).await, [order]);
}

/// They would undo each other's records, and any process could start on what is left.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_at_once_one_waits_for_the_other() {
    let prefix = TestPrefix::new();
    let urls = [services::rabbitmq_url()];
    let set = async |number| {
        let lanes = Lanes::new(number).unwrap();
        set_lanes(&urls, prefix.as_str(), lanes, None).await
    };
    let starts = async |number| {
        let of_that_number = RabbitMqConfig {
            lanes: Lanes::new(number).unwrap(),
            ..config(&urls[0], &prefix)
        };
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        let started = RabbitMq::start(&of_that_number, clock, ProcessId::new(1), None).await;
        started.is_ok()
    };
    set(4).await.unwrap();
    for round in 0_u64..8 {
        let later = async {
            sleep(Duration::from_millis(round * 15)).await;
            set(3).await
        };
        let (first, second) = tokio::join!(set(2), later);
        first.unwrap();
        second.unwrap();
        assert_ne!(starts(2).await, starts(3).await);
    }
}

/// Nor for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_refused_while_another_one_stays_at_work() {
    let prefix = TestPrefix::new();
    let urls = [services::rabbitmq_url()];
    let connecting = lapin::Connection::connect(&urls[0], lapin::ConnectionProperties::default());
    let other = connecting.await.unwrap();
    let channel = other.create_channel().await.unwrap();
    let queue = format!("{}tickets.setting", prefix.as_str());
    let exclusive = QueueDeclareOptions::exclusive();
    let holding = channel.queue_declare(queue.into(), exclusive, FieldTable::default());
    holding.await.unwrap();
    let set = async || set_lanes(&urls, prefix.as_str(), LANES, None).await;
    let refused = set().await.unwrap_err();
    assert!(matches!(refused, LanesError::AtWork { .. }), "{refused:?}");
    other.close(200, "OK".into()).await.unwrap();
    set().await.unwrap();
}

/// It would go on putting a show's orders into the lane that was its own before.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_runs_while_lanes_are_set_takes_nothing_more() {
    let process = Proxied::start(Duration::from_secs(1)).await;
    process.published_in_the_end().await;
    process.prefix.take_first(&process.lane_queue()).await;
    let urls = [services::rabbitmq_url()];
    let eight = Lanes::new(8).unwrap();
    until("the lanes are set", async || {
        let set = set_lanes(&urls, &process.config.prefix, eight, None).await;
        set.is_ok()
    })
    .await;
    let set = Instant::now();
    until("the process is told", async || {
        let down = within("check", process.queue.check()).await;
        down.is_err_and(|down| down.reason.contains("set up with 8"))
    })
    .await;
    promised("not told", set.elapsed(), HEALED_WITHIN);
    until("its orders are refused", async || {
        process.publish().await.is_err()
    })
    .await;
    // What it put into a lane of before in that second is taken out, to set the lanes again.
    while process.prefix.messages(&process.lane_queue()).await > 0 {
        process.prefix.take_first(&process.lane_queue()).await;
    }
    set_lanes(&urls, &process.config.prefix, LANES, None)
        .await
        .unwrap();
    process.published_in_the_end().await;
}

/// Orders would wait for ever in lanes that no worker has.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_are_there_count_where_their_number_was_deleted() {
    let prefix = TestPrefix::new();
    let urls = [services::rabbitmq_url()];
    set_lanes(&urls, prefix.as_str(), LANES, None)
        .await
        .unwrap();
    let start = async |number: u8| {
        let config = RabbitMqConfig {
            lanes: Lanes::new(number).unwrap(),
            ..config(&urls[0], &prefix)
        };
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        RabbitMq::start(&config, clock, ProcessId::new(1), None).await
    };
    for number in [LANES.count() - 1, LANES.count() + 1] {
        prefix.delete_queue("lanes").await;
        let started = start(number).await;
        let Err(StartError::Lanes(error)) = started.map(drop) else {
            panic!("started with {number} lanes");
        };
        let told = format!("set up with {}", LANES.count());
        assert!(error.to_string().contains(&told), "{error}");
    }
    assert!(start(LANES.count()).await.is_ok());
}
