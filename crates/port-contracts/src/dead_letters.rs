//! The contract of [`domain::ports::DeadLetters`].

use domain::order::Order;
use domain::ports::{DeadLetter, DeadLettersError};
use tokio::task::yield_now;

use crate::fixtures::{OrderSource, start};
use crate::harness::QueueHarness;
use crate::set_up::DEAD_LETTER_CAPACITY;
use crate::support::{OpenLanes, within};

contract!($ dead_letters_contract, dead_letters, [
    letters_are_listed_oldest_first_and_stay,
    redriven_orders_go_to_the_end_of_their_lanes,
    redriving_takes_the_oldest_and_leaves_the_rest,
    a_letter_without_an_order_stays,
    a_full_list_refuses,
]);

fn letter(order: Order, reason: &str) -> DeadLetter {
    DeadLetter {
        at: start().plus_micros(3),
        reason: reason.to_owned(),
        order: Some(order),
        payload: Vec::new(),
    }
}

fn undecodable() -> DeadLetter {
    DeadLetter {
        at: start(),
        reason: "not an order: \"é\"".to_owned(),
        order: None,
        payload: vec![0, 0xff, b'{'],
    }
}

async fn put(h: &QueueHarness, letters: &[DeadLetter]) {
    for letter in letters {
        h.ports.dead_letters.put(letter.clone()).await.unwrap();
    }
}

async fn list(h: &QueueHarness, limit: usize) -> Vec<DeadLetter> {
    h.ports.dead_letters.list(limit).await.unwrap()
}

/// Waits until there are so many: those that were just listed may still be on their way back.
async fn count(h: &QueueHarness, expected: usize) {
    let counted = async {
        while h.ports.dead_letters.count().await.unwrap() != expected {
            yield_now().await;
        }
    };
    within("the count of dead letters", counted).await;
}

/// Every field, however often they are looked at.
pub async fn letters_are_listed_oldest_first_and_stay(h: &QueueHarness) {
    let source = OrderSource::new(1);
    assert_eq!(list(h, 10).await, []);
    let letters = [
        letter(source.order("a", "1"), "first"),
        undecodable(),
        letter(source.order("b", "2"), "third"),
    ];
    put(h, &letters).await;
    for _ in 0..25 {
        assert_eq!(list(h, 10).await, letters);
        count(h, letters.len()).await;
    }
    assert_eq!(list(h, 2).await, letters[..2]);
}

/// Marked, with the place and process they had.
pub async fn redriven_orders_go_to_the_end_of_their_lanes(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let dead = source.order("a", "1");
    put(h, &[letter(dead.clone(), "no")]).await;
    let mut expected = h.publish(vec![source.new_order("a", "1")]).await;
    assert_eq!(h.ports.dead_letters.redrive(10).await.unwrap(), 1);
    expected.push(Order {
        redriven: true,
        ..dead
    });
    expected.extend(h.publish(vec![source.new_order("a", "1")]).await);
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    assert_eq!(lanes.drain(h.lane_of("a"), 3, 10).await, expected);
    assert_eq!(list(h, 10).await, []);
    count(h, 0).await;
    assert_eq!(h.ports.dead_letters.redrive(10).await.unwrap(), 0);
}

/// At most as many as asked for.
pub async fn redriving_takes_the_oldest_and_leaves_the_rest(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let letters: Vec<_> = (0..5)
        .map(|_| letter(source.order("a", "1"), "no"))
        .collect();
    put(h, &letters).await;
    assert_eq!(h.ports.dead_letters.redrive(2).await.unwrap(), 2);
    assert_eq!(list(h, 10).await, letters[2..]);
    let mut lanes = OpenLanes::all(&h.ports.consumer).await;
    let delivered = lanes.drain(h.lane_of("a"), 2, 10).await;
    for (order, letter) in delivered.iter().zip(&letters) {
        let dead = letter.order.as_ref().unwrap();
        assert_eq!(order.ticket_id, dead.ticket_id);
    }
}

/// There is nothing to put back.
pub async fn a_letter_without_an_order_stays(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let letters = [undecodable(), letter(source.order("a", "1"), "no")];
    put(h, &letters).await;
    assert_eq!(h.ports.dead_letters.redrive(10).await.unwrap(), 1);
    assert_eq!(list(h, 10).await, letters[..1]);
}

/// Its order must not be acked then, so nothing is lost.
pub async fn a_full_list_refuses(h: &QueueHarness) {
    let source = OrderSource::new(1);
    let letters: Vec<_> = (0..DEAD_LETTER_CAPACITY)
        .map(|_| letter(source.order("a", "1"), "no"))
        .collect();
    put(h, &letters).await;
    let refused = h.ports.dead_letters.put(undecodable()).await;
    assert!(
        matches!(refused, Err(DeadLettersError::Full { capacity }) if capacity == DEAD_LETTER_CAPACITY),
        "{refused:?}"
    );
    assert_eq!(list(h, 2 * DEAD_LETTER_CAPACITY).await, letters);
}
