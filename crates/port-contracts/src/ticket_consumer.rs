//! The contract of [`domain::ports::TicketConsumer`] and what it hands out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::order::{Lane, NewOrder, Order};
use domain::ports::{DeliveryBatch, LaneConsumer, TicketConsumer};
use domain::receipt::TicketId;
use domain::user::PriorityClass;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::fixtures::OrderSource;
use crate::harness::QueueHarness;
use crate::set_up::LANES;
use crate::support::{OpenLanes, concurrently, give_up_after, within};

/// Long enough for something wrong to show; nothing waits for it to pass otherwise.
const MEANWHILE: Duration = Duration::from_millis(300);
/// Long beside what taking a batch needs on a busy machine.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

contract!($ ticket_consumer_contract, ticket_consumer, [
    orders_come_in_the_sequence_of_the_queue,
    an_idle_lane_is_woken_by_an_order,
    unsettled_orders_come_back_before_later_ones,
    orders_survive_many_redeliveries,
    a_batch_that_outlives_its_lanes_owner_comes_back,
    settled_orders_never_come_back,
    nothing_is_delivered_while_a_batch_is_unsettled,
    a_lane_gives_orders_to_one_consumer_at_a_time,
    two_consumers_never_hold_one_delivery,
    waiting_for_a_batch_can_be_given_up,
    high_comes_before_standard_by_weight,
    a_class_that_is_alone_gets_every_turn,
    volatile_orders_are_those_that_a_stop_would_lose,
]);

async fn published(h: &QueueHarness, count: usize, class: PriorityClass) -> Vec<Order> {
    let source = OrderSource::new(1);
    let order = || NewOrder {
        class,
        ..source.new_order("a", "1")
    };
    h.publish((0..count).map(|_| order()).collect()).await
}

/// Each in a message of its own, where the queue has messages.
async fn published_one_by_one(h: &QueueHarness, count: usize, class: PriorityClass) -> Vec<Order> {
    let mut orders = Vec::with_capacity(count);
    for _ in 0..count {
        orders.extend(published(h, 1, class).await);
    }
    orders
}

/// Whatever the sizes of the batches.
pub async fn orders_come_in_the_sequence_of_the_queue(h: &QueueHarness) {
    let orders = published(h, 60, PriorityClass::Standard).await;
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let mut delivered = Vec::new();
    for (count, max) in [(1, 1), (9, 4), (50, 100)] {
        delivered.extend(lanes.drain(lane, count, max).await);
    }
    assert_eq!(delivered, orders);
}

/// By the first one, without waiting for a second.
pub async fn an_idle_lane_is_woken_by_an_order(h: &QueueHarness) {
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    for _ in 0..20 {
        let (delivered, published) = tokio::join!(
            lanes.drain(h.lane_of("a"), 1, 100),
            published(h, 1, PriorityClass::Standard)
        );
        assert_eq!(delivered, published);
    }
}

/// At their old places, of both classes.
pub async fn unsettled_orders_come_back_before_later_ones(h: &QueueHarness) {
    let mut first = published(h, 6, PriorityClass::Standard).await;
    let high = published(h, 6, PriorityClass::High).await;
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let batch = lanes.next_batch(lane, 8).await;
    assert!(!batch.orders().is_empty());
    first.extend(published(h, 6, PriorityClass::Standard).await);
    drop(batch);
    let delivered = lanes.drain(lane, 18, 5).await;
    let of = |class| -> Vec<_> {
        let orders = delivered.iter().filter(|order| order.class == class);
        orders.cloned().collect()
    };
    assert_eq!(of(PriorityClass::Standard), first);
    assert_eq!(of(PriorityClass::High), high);
}

/// More than a broker's default limit of deliveries, in sequence.
pub async fn orders_survive_many_redeliveries(h: &QueueHarness) {
    let orders = published(h, 10, PriorityClass::Standard).await;
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    for _ in 0..25 {
        let batch = lanes.next_batch(lane, 10).await;
        assert_eq!(batch.orders()[0], orders[0]);
        drop(batch);
        lanes.drop_lane(lane);
    }
    assert_eq!(lanes.drain(lane, 10, 10).await, orders);
}

/// A worker that lost its lane in the middle of a transaction.
pub async fn a_batch_that_outlives_its_lanes_owner_comes_back(h: &QueueHarness) {
    let orders = published(h, 10, PriorityClass::Standard).await;
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let batch = lanes.next_batch(lane, 4).await;
    lanes.drop_lane(lane);
    drop(batch);
    assert_eq!(lanes.drain(lane, 10, 10).await, orders);
}

/// Also not to the lane's next owner.
pub async fn settled_orders_never_come_back(h: &QueueHarness) {
    let orders = published(h, 10, PriorityClass::Standard).await;
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let mut delivered = lanes.drain(lane, 4, 4).await;
    lanes.drop_lane(lane);
    delivered.extend(lanes.drain(lane, 6, 10).await);
    lanes.drop_lane(lane);
    assert_eq!(delivered, orders);
    let next = published(h, 1, PriorityClass::Standard).await;
    assert_eq!(lanes.drain(lane, 1, 10).await, next);
}

/// Else a batch that comes back would be overtaken.
pub async fn nothing_is_delivered_while_a_batch_is_unsettled(h: &QueueHarness) {
    let orders = published(h, 10, PriorityClass::Standard).await;
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let batch = lanes.next_batch(lane, 4).await;
    let held = batch.orders().len();
    let consumer = lanes.lane(lane).await;
    if let Ok(Ok(early)) = timeout(MEANWHILE, consumer.next_batch(10)).await {
        panic!("{:?} was overtaken by {:?}", batch.orders(), early.orders());
    }
    batch.ack().await.unwrap();
    let rest = lanes.drain(lane, 10 - held, 10).await;
    assert_eq!(rest, orders[held..]);
}

/// The second one waits for its turn, and begins with what the first had not acked.
pub async fn a_lane_gives_orders_to_one_consumer_at_a_time(h: &QueueHarness) {
    let orders = published(h, 10, PriorityClass::Standard).await;
    let other = (h.connect)().await;
    let lane = h.lane_of("a");
    for closes in [true, false] {
        let mut first = OpenLanes::all(&h.ports.consumer).await;
        let batch = first.next_batch(lane, 4).await;
        let mut second = within("open_lane", other.consumer.open_lane(lane))
            .await
            .unwrap();
        if let Ok(Ok(early)) = timeout(MEANWHILE, second.next_batch(10)).await {
            panic!("{:?} went to another consumer", early.orders());
        }
        drop(batch);
        if closes {
            first.close(lane).await;
        } else {
            first.drop_lane(lane);
        }
        let batch = within("next_batch", second.next_batch(10)).await.unwrap();
        assert_eq!(batch.orders()[0], orders[0]);
        drop(batch);
        within("close", second.close()).await;
    }
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    assert_eq!(lanes.drain(lane, 10, 10).await, orders);
}

/// Workers of two processes that settle all they get: each order comes once.
pub async fn two_consumers_never_hold_one_delivery(h: &QueueHarness) {
    const EACH: usize = 60;
    let other = (h.connect)().await;
    let source = OrderSource::new(1);
    let mut expected = HashSet::new();
    for n in 0..4 * EACH {
        let order = source.new_order(["a", "b", "c", "d", "e"][n % 5], "1");
        let accepted = h.publish(vec![order]).await;
        expected.insert(accepted[0].ticket_id);
    }
    let left = Arc::new(Mutex::new(expected));
    let held = Arc::new(Mutex::new(HashSet::new()));
    concurrently(8, |task| {
        let consumer = Arc::clone([&h.ports.consumer, &other.consumer][task % 2]);
        let lane = LANES.get(u8::try_from(task / 2).unwrap()).unwrap();
        let (left, held) = (Arc::clone(&left), Arc::clone(&held));
        async move {
            let mut patience = MEANWHILE;
            while !left.lock().is_empty() {
                // A task whose lane is another's, or empty, looks up now and
                // then; ever later, because a busy machine needs longer for a batch.
                let taken = timeout(patience, take_one_batch(&consumer, lane)).await;
                let Ok(Some((_lane, batch))) = taken else {
                    patience = (patience * 2).min(LONGEST_PATIENCE);
                    continue;
                };
                settle(batch, &left, &held).await;
            }
        }
    })
    .await;
}

/// The lane comes with it, because giving it up takes the batch back.
async fn take_one_batch(
    consumer: &Arc<dyn TicketConsumer>,
    lane: Lane,
) -> Option<(Box<dyn LaneConsumer>, Box<dyn DeliveryBatch>)> {
    let mut lane = consumer.open_lane(lane).await.ok()?;
    let batch = lane.next_batch(7).await.ok()?;
    Some((lane, batch))
}

async fn settle(
    batch: Box<dyn DeliveryBatch>,
    left: &Mutex<HashSet<TicketId>>,
    held: &Mutex<HashSet<TicketId>>,
) {
    let ids: Vec<_> = batch.orders().iter().map(|order| order.ticket_id).collect();
    for id in &ids {
        assert!(held.lock().insert(*id), "{id} is held twice");
        assert!(left.lock().contains(id), "{id} came back after its ack");
    }
    tokio::task::yield_now().await;
    for id in &ids {
        held.lock().remove(id);
        left.lock().remove(id);
    }
    batch.ack().await.unwrap();
}

/// At any moment; nothing is taken then.
pub async fn waiting_for_a_batch_can_be_given_up(h: &QueueHarness) {
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    for polls in 0..3 {
        let consumer = lanes.lane(lane).await;
        let waiting = timeout(MEANWHILE, give_up_after(polls, consumer.next_batch(10))).await;
        assert!(
            !matches!(waiting, Ok(Some(Ok(_)))),
            "a batch of an empty lane"
        );
    }
    let orders = published(h, 10, PriorityClass::Standard).await;
    for polls in 0..3 {
        let consumer = lanes.lane(lane).await;
        let taken = timeout(MEANWHILE, give_up_after(polls, consumer.next_batch(10))).await;
        if let Ok(Some(Ok(batch))) = taken {
            drop(batch);
        }
    }
    assert_eq!(lanes.drain(lane, 10, 10).await, orders);
}

/// Four to one while both wait, FIFO in each, also of a backlog longer than
/// what a consumer is given at once.
pub async fn high_comes_before_standard_by_weight(h: &QueueHarness) {
    const ORDERS: usize = 480;
    // Orders of both classes until the last of the class high.
    const BOTH_WAIT: usize = ORDERS / 4 * 5;
    const PART: usize = 150;
    let (standard, high) = tokio::join!(
        published_one_by_one(h, ORDERS, PriorityClass::Standard),
        published_one_by_one(h, ORDERS, PriorityClass::High)
    );
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let delivered = lanes.drain(lane, 2 * ORDERS, 50).await;
    for part in delivered[..BOTH_WAIT].chunks(PART) {
        let high = part
            .iter()
            .filter(|order| order.class == PriorityClass::High);
        let high = high.count();
        // Five in a hundred more or fewer than four of five.
        assert!((114..=126).contains(&high), "{high} of {PART}");
    }
    for (class, orders) in [
        (PriorityClass::High, high),
        (PriorityClass::Standard, standard),
    ] {
        let of_class = delivered.iter().filter(|order| order.class == class);
        assert_eq!(of_class.cloned().collect::<Vec<_>>(), orders);
    }
}

/// No turn is kept free for the other.
pub async fn a_class_that_is_alone_gets_every_turn(h: &QueueHarness) {
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    for class in PriorityClass::ALL {
        let orders = published(h, 30, class).await;
        assert_eq!(lanes.drain(h.lane_of("a"), 30, 10).await, orders);
    }
}

/// Queued or unsettled, in a queue that dies with the process.
pub async fn volatile_orders_are_those_that_a_stop_would_lose(h: &QueueHarness) {
    let expect = |orders: usize| {
        let expected = if h.is_volatile { orders } else { 0 };
        assert_eq!(h.ports.consumer.volatile_orders(), expected);
    };
    expect(0);
    published(h, 3, PriorityClass::Standard).await;
    expect(3);
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let lane = h.lane_of("a");
    let batch = lanes.next_batch(lane, 1).await;
    expect(3);
    batch.ack().await.unwrap();
    expect(2);
    lanes.drain(lane, 2, 10).await;
    expect(0);
}
