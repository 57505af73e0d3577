//! What somebody deletes on the broker is declared again, without a restart.

use std::time::{Duration, Instant};

use domain::event::Event;
use domain::ports::{
    ConsumeError, DeadLetters, Dependency, EventFeedError, Examination, Level, TicketConsumer,
    TicketEvents,
};
use domain::show::ShowSeats;
use lapin::ExchangeKind;
use port_contracts::{DEADLINE, LANES, fixtures, promised, within};
use tcp_proxy::Weather;

use crate::faults::{blocked, unblocked};
use crate::proxied::{Proxied, SHOW, until};

/// The promise of docs/OPERATIONS.md.
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(10);

fn event(seq: u64) -> Event {
    Event::Show(ShowSeats {
        show_id: fixtures::show_id(SHOW),
        seats: fixtures::seats(1, 2, 3),
        seq,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exchange_of_orders() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    let before = process.published_in_the_end().await;
    process.prefix.delete_exchange("tickets").await;
    let deleted = Instant::now();
    let after = process.published_in_the_end().await;
    promised(
        "orders accepted without their exchange",
        deleted.elapsed(),
        HEALED_WITHIN,
    );
    let mut orders = process.drain_until(|orders| orders.contains(&after)).await;
    orders.retain(|order| *order == before || *order == after);
    assert_eq!(orders, [before, after]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binding_of_a_lane() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    process.published_in_the_end().await;
    process.prefix.unbind(&process.lane_queue()).await;
    let deleted = Instant::now();
    process.published_in_the_end().await;
    promised(
        "orders accepted without a binding",
        deleted.elapsed(),
        HEALED_WITHIN,
    );
}

/// A lane with something that nobody can decide stands until it is put aside.
#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_dead_letters() {
    let process = Proxied::start(DEADLINE).await;
    let lane = LANES.of(&fixtures::show_id(SHOW));
    process.prefix.delete_queue("dead").await;
    let queue = process.lane_queue();
    process.prefix.publish(&queue, b"no order").await;
    let order = process.publish().await.unwrap();
    let mut open = within("open", process.queue.open_lane(lane)).await.unwrap();
    let batch = within("next_batch", open.next_batch(9)).await.unwrap();
    assert_eq!(batch.orders(), [order]);
    let aside = within("list", process.queue.list(9)).await.unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].payload, b"no order");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_a_lane_that_is_open() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    let lane = LANES.of(&fixtures::show_id(SHOW));
    let mut open = within("open", process.queue.open_lane(lane)).await.unwrap();
    process.prefix.delete_queue(&process.lane_queue()).await;
    let deleted = Instant::now();
    let lost = within("next_batch", open.next_batch(9)).await;
    assert!(
        matches!(
            lost,
            Err(ConsumeError::LaneLost | ConsumeError::Unavailable(_))
        ),
        "a lane without a queue gives orders"
    );
    open.close().await;
    let mut again = None;
    until("the lane is open again", async || {
        again = process.queue.open_lane(lane).await.ok();
        again.is_some()
    })
    .await;
    let order = process.published_in_the_end().await;
    let batch = within("next_batch", again.as_mut().unwrap().next_batch(9)).await;
    assert_eq!(batch.unwrap().orders(), [order]);
    promised(
        "orders given without a queue",
        deleted.elapsed(),
        HEALED_WITHIN,
    );
}

/// Whether readiness says that this is not as it is declared.
async fn is_said_to_differ(process: &Proxied, what: &str) -> bool {
    let checked = within("check", process.queue.check()).await;
    checked.is_err_and(|down| {
        down.reason.contains(&format!(
            "{what} exists with other properties than every process declares"
        ))
    })
}

/// Healed once it is deleted, without a restart and without another order.
async fn is_healed(process: &Proxied, what: &str) {
    let deleted = Instant::now();
    until("readiness says that all is well", async || {
        within("check", process.queue.check()).await.is_ok()
    })
    .await;
    process.published_in_the_end().await;
    promised(
        &format!("orders accepted after {what} of another kind is deleted"),
        deleted.elapsed(),
        HEALED_WITHIN,
    );
}

/// A process that has met it once declares the right one for ever after.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_kind() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    process.published_in_the_end().await;
    let queue = process.lane_queue();
    let what = format!("queue {}tickets.{queue}", process.prefix.as_str());
    for _ in 0..2 {
        process.prefix.delete_queue(&queue).await;
        process.prefix.declare_classic(&queue).await;
        until("the queue is said to be of another kind", async || {
            let _refused = process.publish().await;
            is_said_to_differ(&process, &what).await
        })
        .await;
        process.prefix.delete_queue(&queue).await;
        is_healed(&process, "a queue").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_another_kind() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    process.published_in_the_end().await;
    process.prefix.delete_exchange("tickets").await;
    process
        .prefix
        .declare_exchange("tickets", ExchangeKind::Fanout)
        .await;
    let what = format!("exchange {}tickets", process.prefix.as_str());
    until("the exchange is said to be of another kind", async || {
        let _refused = process.publish().await;
        is_said_to_differ(&process, &what).await
    })
    .await;
    process.prefix.delete_exchange("tickets").await;
    is_healed(&process, "an exchange").await;
}

/// Orders are decided all the same, but nobody would hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_events_of_another_kind() {
    let process = Proxied::start(DEADLINE).await;
    let mut feed = process.queue.subscribe().await.unwrap();
    assert_eq!(process.queue.examine().await, []);
    process.prefix.delete_exchange("ticket-events").await;
    let topic = ExchangeKind::Topic;
    process
        .prefix
        .declare_exchange("ticket-events", topic)
        .await;
    until("it is said", async || {
        let found = process.queue.examine().await;
        found.iter().any(|finding| {
            finding.level == Level::Broken
                && finding.what.contains("other properties than every process")
        })
    })
    .await;
    process.prefix.delete_exchange("ticket-events").await;
    let deleted = Instant::now();
    until("all is well", async || {
        process.queue.examine().await.is_empty()
    })
    .await;
    promised("nothing heard", deleted.elapsed(), HEALED_WITHIN);
    assert!(matches!(feed.next().await, Err(EventFeedError::Gap)));
    process.queue.announce(vec![event(2)]).await.unwrap();
    assert_eq!(*feed.next().await.unwrap(), [event(2)]);
}

/// What was announced meanwhile is told when there is an exchange again.
#[tokio::test(flavor = "multi_thread")]
async fn the_exchange_of_events() {
    let process = Proxied::start(DEADLINE).await;
    let mut feed = process.queue.subscribe().await.unwrap();
    process.queue.announce(vec![event(1)]).await.unwrap();
    process.prefix.delete_exchange("ticket-events").await;
    let deleted = Instant::now();
    // Announcing does not wait, whether it works or not.
    let _announced = process.queue.announce(vec![event(2)]).await;
    promised(
        "announcing without an exchange",
        deleted.elapsed(),
        Duration::from_secs(1),
    );
    let mut heard = Vec::new();
    while !heard.contains(&event(2)) {
        match within("an event", feed.next()).await {
            Ok(events) => heard.extend_from_slice(&events),
            Err(EventFeedError::Gap) => {}
            Err(EventFeedError::Closed(error)) => panic!("{error:?}"),
        }
    }
    promised(
        "events told without their exchange",
        deleted.elapsed(),
        HEALED_WITHIN,
    );
}

/// A broker in alarm takes no announcements, and decisions go on.
#[tokio::test(flavor = "multi_thread")]
async fn announcing_holds_nobody_up_while_the_broker_takes_nothing() {
    let process = Proxied::start(DEADLINE).await;
    let mut feed = process.queue.subscribe().await.unwrap();
    process.queue.announce(vec![event(1)]).await.unwrap();
    within("an event", feed.next()).await.unwrap();
    process.proxy.say(&blocked());
    process.proxy.set(Weather::Fair);
    let mut failed = 0;
    until("announcing fails", async || {
        failed += u64::from(process.queue.announce(vec![event(2)]).await.is_err());
        failed > 0
    })
    .await;
    let asked = Instant::now();
    for seq in 3..103 {
        process.queue.announce(vec![event(seq)]).await.unwrap_err();
    }
    promised(
        "100 announcements while blocked",
        asked.elapsed(),
        Duration::from_millis(500),
    );
    process.proxy.say(&unblocked());
    let mut heard = Vec::new();
    while !heard.contains(&event(102)) {
        if let Ok(events) = within("an event", feed.next()).await {
            heard.extend_from_slice(&events);
        }
    }
    let told: Vec<_> = (3..103).map(event).collect();
    heard.retain(|event| told.contains(event));
    assert_eq!(heard, told);
}
