//! The contract of [`domain::ports::TicketPublisher`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::order::{NewOrder, Order};
use domain::ports::PublishError;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use tokio::sync::mpsc;

use crate::fixtures::{OrderSource, just_before, quantity, start};
use crate::harness::QueueHarness;
use crate::set_up::{LANES, QUEUE_CAPACITY};
use crate::support::{OpenLanes, concurrently, give_up_after, within};

contract!($ ticket_publisher_contract, ticket_publisher, [
    an_order_is_delivered_as_it_was_accepted,
    places_grow_though_the_clock_does_not,
    concurrent_orders_are_all_delivered_once,
    a_full_queue_refuses_and_takes_again,
    an_order_given_up_is_queued_once_or_not_at_all,
]);

/// With every field, and the place that the publisher told.
pub async fn an_order_is_delivered_as_it_was_accepted(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let wanted = NewOrder {
        quantity: quantity(7),
        class: PriorityClass::High,
        ..source.new_order("~a.B-9_", "u~1")
    };
    let [accepted] = <[_; 1]>::try_from(h.publish(vec![wanted.clone()]).await).unwrap();
    let expected = wanted.accepted(start(), accepted.accepted_by);
    assert_eq!(accepted, expected);
    let lane = h.lane_of("~a.B-9_");
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    assert_eq!(lanes.drain(lane, 1, 10).await, [accepted]);
}

/// Nor when it goes back: per lane and class, in the sequence of publishing.
pub async fn places_grow_though_the_clock_does_not(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let mut latest = HashMap::new();
    for micros in [0, 0, 5, 2, 0, 0, 9] {
        h.clock.set(start().plus_micros(micros));
        for (show, class) in [
            ("a", PriorityClass::High),
            ("a", PriorityClass::Standard),
            ("c", PriorityClass::Standard),
        ] {
            let order = NewOrder {
                class,
                ..source.new_order(show, "1")
            };
            let [order] = <[_; 1]>::try_from(h.publish(vec![order]).await).unwrap();
            let key = (h.lane_of(show), class);
            let before: Timestamp = latest
                .insert(key, order.requested_at)
                .unwrap_or_else(|| just_before(start()));
            assert!(order.requested_at > before, "{before} then {order:?}");
        }
    }
    h.clock.set(start().plus_seconds(1));
    let [order] = <[_; 1]>::try_from(h.publish(vec![source.new_order("a", "1")]).await).unwrap();
    assert_eq!(order.requested_at, start().plus_seconds(1));
}

/// From two processes at once, each of them in the sequence of its places.
pub async fn concurrent_orders_are_all_delivered_once(h: &QueueHarness) {
    const TASKS: usize = 16;
    const EACH: usize = 25;
    let other = (h.connect)().await;
    let accepted: HashSet<_> = concurrently(TASKS, |task| {
        let publisher = Arc::clone([&h.ports.publisher, &other.publisher][task % 2]);
        async move {
            let source = OrderSource::new(u32::try_from(task).unwrap());
            let mut ids = Vec::new();
            for n in 0..EACH {
                let order = source.new_order(["a", "b", "c", "d", "e"][n % 5], "1");
                ids.push(publisher.publish(order).await.unwrap().ticket_id);
            }
            ids
        }
    })
    .await
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(accepted.len(), TASKS * EACH);
    let mut of_lane: HashMap<u8, usize> = HashMap::new();
    for n in 0..EACH {
        let lane = h.lane_of(["a", "b", "c", "d", "e"][n % 5]);
        *of_lane.entry(lane.index()).or_default() += TASKS;
    }
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let mut delivered = Vec::new();
    for (lane, count) in of_lane {
        let orders = lanes.drain(LANES.get(lane).unwrap(), count, 60).await;
        assert_places_grow(&orders);
        delivered.extend(orders.into_iter().map(|order| order.ticket_id));
    }
    assert_eq!(delivered.len(), accepted.len());
    assert_eq!(delivered.into_iter().collect::<HashSet<_>>(), accepted);
}

/// Of each class and process.
fn assert_places_grow(orders: &[Order]) {
    let mut latest = HashMap::new();
    for order in orders {
        let before = latest.insert((order.class, order.accepted_by), order.requested_at);
        assert!(before < Some(order.requested_at), "{before:?}, {order:?}");
    }
}

/// Exactly the limit is taken, the rest told so at once; settled orders make room.
pub async fn a_full_queue_refuses_and_takes_again(h: &QueueHarness) {
    const TOO_MANY: usize = 20;
    (h.stall)(true).await;
    let (results, mut ended) = mpsc::unbounded_channel();
    let source = OrderSource::new(1);
    for _ in 0..QUEUE_CAPACITY + TOO_MANY {
        let (publisher, results) = (Arc::clone(&h.ports.publisher), results.clone());
        let order = source.new_order("a", "1");
        tokio::spawn(async move {
            let result = publisher.publish(order).await;
            results.send(result).unwrap();
        });
    }
    let (mut accepted, mut refused) = (0, 0);
    while refused < TOO_MANY {
        match within("a refusal", ended.recv()).await.unwrap() {
            Ok(_) => accepted += 1,
            Err(PublishError::Full { capacity }) => {
                assert_eq!(capacity, QUEUE_CAPACITY);
                refused += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    (h.stall)(false).await;
    while accepted < QUEUE_CAPACITY {
        let result = within("an acceptance", ended.recv()).await.unwrap();
        accepted += usize::from(result.is_ok());
    }
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let orders = lanes.drain(lane, QUEUE_CAPACITY, 100).await;
    let ids: HashSet<_> = orders.iter().map(|order| order.ticket_id).collect();
    assert_eq!(ids.len(), QUEUE_CAPACITY);
    let next = h.publish(vec![source.new_order("a", "1")]).await;
    assert_eq!(lanes.drain(lane, 1, 10).await, next);
}

/// A client that hangs up in the middle.
pub async fn an_order_given_up_is_queued_once_or_not_at_all(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let mut possible = HashSet::new();
    let mut certain = HashSet::new();
    for polls in 0..20 {
        let order = source.new_order("a", "1");
        let id = order.ticket_id;
        possible.insert(id);
        if let Some(accepted) = give_up_after(polls % 4, h.ports.publisher.publish(order)).await {
            accepted.unwrap();
            certain.insert(id);
        }
    }
    let [last] = <[_; 1]>::try_from(h.publish(vec![source.new_order("a", "1")]).await).unwrap();
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let mut seen = HashSet::new();
    loop {
        let orders = lanes.drain(h.lane_of("a"), 1, 1).await;
        if orders[0] == last {
            break;
        }
        assert!(possible.contains(&orders[0].ticket_id));
        assert!(seen.insert(orders[0].ticket_id), "queued twice");
    }
    assert!(seen.is_superset(&certain), "an accepted order was lost");
}
