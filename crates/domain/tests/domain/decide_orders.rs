//! The worker's step.

use domain::event::Event;
use domain::ids::ShowId;
use domain::order::{Order, Quantity};
use domain::ports::{LedgerError, TransitionOutcome};
use domain::receipt::Receipts;
use domain::ticket::{Status, Ticket};
use domain::use_cases::{DecideOrdersError, Decided};

use crate::book::{at, order, receipts};
use crate::doubles::{World, confirmed, moved_seats};

fn orders(receipts: &Receipts, shows: &[&str]) -> Vec<Order> {
    (1..)
        .zip(shows)
        .map(|(place, show)| Order {
            show_id: ShowId::new(show).unwrap(),
            ..order(receipts, 1, 1, at(place))
        })
        .collect()
}

#[tokio::test]
async fn a_batch_is_decided_at_once_and_then_announced() {
    let world = World::new();
    let batch = orders(&receipts(), &["a", "b", "a"]);
    let decided = world.desk().decide_orders(&batch).await.unwrap();
    assert_eq!(
        decided,
        Decided {
            first: 3,
            ..Decided::default()
        }
    );
    assert_eq!(world.calls(), ["decide", "announce"]);
    let announced = world.announced.lock();
    let expected: Vec<_> = batch.iter().map(confirmed).map(Event::Ticket).collect();
    assert_eq!(*announced, expected);
}

/// A listener that sees a show's seats has seen the tickets that moved them.
#[tokio::test]
async fn what_expired_comes_first_then_the_verdicts_then_the_seats() {
    let world = World::new();
    let batch = orders(&receipts(), &["a", "a"]);
    let expired = Ticket {
        status: Status::Expired,
        ..confirmed(&batch[0])
    };
    world.released.lock().push(expired.clone());
    world.moved.lock().push(moved_seats());
    let decided = world.desk().decide_orders(&batch[1..]).await.unwrap();
    assert_eq!((decided.first, decided.released), (1, 1));
    let expected = [
        Event::Ticket(expired),
        Event::Ticket(confirmed(&batch[1])),
        Event::Show(moved_seats()),
    ];
    assert_eq!(*world.announced.lock(), expected);
}

#[tokio::test]
async fn a_redelivered_batch_is_announced_again_and_conflicts_are_counted() {
    let world = World::new();
    let batch = orders(&receipts(), &["a", "a"]);
    world.desk().decide_orders(&batch).await.unwrap();
    let conflicting = Order {
        quantity: Quantity::new(2).unwrap(),
        ..batch[0].clone()
    };
    let again = [batch[1].clone(), conflicting];
    let decided = world.desk().decide_orders(&again).await.unwrap();
    assert_eq!(
        decided,
        Decided {
            replayed: 1,
            conflicts: 1,
            ..Decided::default()
        }
    );
    assert_eq!(world.announced.lock().len(), 4);
}

#[tokio::test]
async fn only_what_fails_alone_is_put_aside_and_all_else_is_decided_in_sequence() {
    let world = World::new();
    let batch = orders(&receipts(), &["a", "b", "b", "c", "b", "a"]);
    world.poison.lock().insert(batch[2].ticket_id);
    let decided = world.desk().decide_orders(&batch).await.unwrap();
    assert_eq!(
        decided,
        Decided {
            first: 5,
            dead: 1,
            ..Decided::default()
        }
    );
    // All; show a, show b, its three orders, show c; then the dead letter, then the events.
    let mut calls = vec!["decide"; 7];
    calls.extend(["put aside", "announce"]);
    assert_eq!(world.calls(), calls);
    let letters = world.letters.lock();
    let [letter] = &letters[..] else {
        panic!("{letters:?}");
    };
    assert_eq!(
        (&letter.order, letter.reason.as_str()),
        (&Some(batch[2].clone()), "poison")
    );
    assert!(!world.tickets.lock().contains_key(&batch[2].ticket_id));
    let announced = world.announced.lock();
    let expected = [0, 5, 1, 4, 3].map(|n: usize| Event::Ticket(confirmed(&batch[n])));
    assert_eq!(*announced, expected);
}

#[tokio::test]
async fn an_unavailable_ledger_singles_nothing_out() {
    let world = World::new();
    world.break_down("decide");
    let batch = orders(&receipts(), &["a", "b"]);
    let error = world.desk().decide_orders(&batch).await.unwrap_err();
    assert!(matches!(error, DecideOrdersError::Ledger(_)), "{error:?}");
    assert_eq!(world.calls(), ["decide"]);
}

#[tokio::test]
async fn an_order_that_came_alone_is_not_tried_again() {
    let world = World::new();
    let batch = orders(&receipts(), &["a"]);
    world.poison.lock().insert(batch[0].ticket_id);
    let decided = world.desk().decide_orders(&batch).await.unwrap();
    assert_eq!(decided.dead, 1);
    // Nothing was decided, so nothing is announced.
    assert_eq!(world.calls(), ["decide", "put aside"]);
}

/// What was decided on the way is announced when the batch comes again.
#[tokio::test]
async fn a_ledger_that_stops_answering_ends_the_isolation() {
    for (shows, calls) in [
        // All, show a, its only order; then show b does not answer.
        (["a", "b"], 4),
        // All, show a, its first order; then its second does not answer.
        (["a", "a"], 4),
    ] {
        let world = World::new();
        let batch = orders(&receipts(), &shows);
        world.poison.lock().insert(batch[0].ticket_id);
        world.unanswered.lock().insert(batch[1].ticket_id);
        let error = world.desk().decide_orders(&batch).await.unwrap_err();
        let DecideOrdersError::Ledger(LedgerError::Unavailable(_)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(world.calls(), vec!["decide"; calls]);
        // Once the ledger answers, the same batch gets through.
        world.unanswered.lock().clear();
        let decided = world.desk().decide_orders(&batch).await.unwrap();
        assert_eq!((decided.first, decided.dead), (1, 1));
        assert_eq!(world.letters.lock().len(), 1);
        assert_eq!(world.announced.lock().len(), 1);
    }
}

#[tokio::test]
async fn the_batch_is_not_done_until_all_is_put_aside_and_announced() {
    let world = World::new();
    let batch = orders(&receipts(), &["a"]);
    world.break_down("announce");
    let error = world.desk().decide_orders(&batch).await.unwrap_err();
    assert!(matches!(error, DecideOrdersError::Events(_)), "{error:?}");
    world.break_down("put aside");
    world.poison.lock().insert(batch[0].ticket_id);
    let error = world.desk().decide_orders(&batch).await.unwrap_err();
    assert!(
        matches!(error, DecideOrdersError::DeadLetters(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_sweep_announces_what_expired() {
    let world = World::new();
    assert_eq!(world.desk().sweep_holds(10).await.unwrap(), 0);
    assert_eq!(world.calls(), ["expire"]);
    let batch = orders(&receipts(), &["a", "a"]);
    let expired = batch.iter().map(confirmed).map(TransitionOutcome::Changed);
    world.transitions.lock().extend(expired);
    world.moved.lock().push(moved_seats());
    assert_eq!(world.desk().sweep_holds(10).await.unwrap(), 2);
    let mut expected: Vec<_> = batch.iter().map(confirmed).map(Event::Ticket).collect();
    expected.push(Event::Show(moved_seats()));
    assert_eq!(*world.announced.lock(), expected);
    let expired = TransitionOutcome::Changed(confirmed(&batch[0]));
    world.transitions.lock().push_back(expired);
    world.break_down("announce");
    let error = world.desk().sweep_holds(10).await.unwrap_err();
    assert!(matches!(error, DecideOrdersError::Events(_)), "{error:?}");
    world.break_down("expire");
    let error = world.desk().sweep_holds(10).await.unwrap_err();
    assert!(matches!(error, DecideOrdersError::Ledger(_)), "{error:?}");
}
