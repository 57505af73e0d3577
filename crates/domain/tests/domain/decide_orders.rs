//! The worker's step.

use std::sync::atomic::Ordering;

use domain::claims::Claim;
use domain::event::Event;
use domain::ids::ShowId;
use domain::order::{Lanes, Order, Quantity};
use domain::ports::LedgerError;
use domain::receipt::Receipts;
use domain::rule::TransitionOutcome;
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

/// First verdicts, replayed ones, conflicts, dead letters.
fn counts(decided: &Decided) -> [usize; 4] {
    [
        decided.first,
        decided.replayed,
        decided.conflicts,
        decided.dead,
    ]
}

#[tokio::test]
async fn a_batch_is_decided_at_once_and_then_announced() {
    let world = World::new();
    let batch = orders(&receipts(), &["a", "b", "a"]);
    let decided = world.desk().decide_orders(&batch, None).await.unwrap();
    assert_eq!(counts(&decided), [3, 0, 0, 0]);
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
    let decided = world.desk().decide_orders(&batch[1..], None).await.unwrap();
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
    world.desk().decide_orders(&batch, None).await.unwrap();
    let conflicting = Order {
        quantity: Quantity::new(2).unwrap(),
        ..batch[0].clone()
    };
    let again = [batch[1].clone(), conflicting];
    let decided = world.desk().decide_orders(&again, None).await.unwrap();
    assert_eq!(counts(&decided), [0, 1, 1, 0]);
    assert_eq!(world.announced.lock().len(), 4);
}

/// No ticket has their place, and their line would seem to wait for ever.
#[tokio::test]
async fn what_has_no_ticket_at_its_place_is_said_to_be_settled() {
    let world = World::new();
    let claim = Some(Claim {
        lane: Lanes::new(1).unwrap().get(0).unwrap(),
        number: 1,
    });
    let settled_by = async |orders: &[Order]| {
        world.desk().decide_orders(orders, claim).await.unwrap();
        let announced = std::mem::take(&mut *world.announced.lock());
        let settled = announced.iter().filter_map(|event| match event {
            Event::Settled(settled) => Some((settled.accepted_by, settled.through)),
            _ => None,
        });
        settled.collect::<Vec<_>>()
    };
    let mut batch = orders(&receipts(), &["a", "b", "a", "a"]);
    let [mut last, mut next] = [(); 2].map(|()| batch.pop().unwrap());
    assert_eq!(settled_by(&batch).await, []);
    let again = |place, quantity| Order {
        requested_at: at(place),
        quantity: Quantity::new(quantity).unwrap(),
        ..batch[0].clone()
    };
    let by = batch[0].accepted_by;
    assert_eq!(settled_by(&[again(9, 1)]).await, [(by, at(9))]);
    assert_eq!(settled_by(&[again(10, 2)]).await, [(by, at(10))]);
    next.requested_at = at(20);
    world.poison.lock().insert(next.ticket_id);
    assert_eq!(settled_by(&[next.clone()]).await, [(by, at(20))]);
    // It waited in its line long ago.
    let redriven = Order {
        redriven: true,
        ..next
    };
    assert_eq!(settled_by(&[redriven]).await, []);
    // The latest ticket shows it.
    last.requested_at = at(31);
    assert_eq!(settled_by(&[again(30, 1), last]).await, []);
}

#[tokio::test]
async fn only_what_fails_alone_is_put_aside_and_all_else_is_decided_in_sequence() {
    let world = World::new();
    let batch = orders(&receipts(), &["a", "b", "b", "c", "b", "a"]);
    world.poison.lock().insert(batch[2].ticket_id);
    let decided = world.desk().decide_orders(&batch, None).await.unwrap();
    assert_eq!(counts(&decided), [5, 0, 0, 1]);
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
    let error = world.desk().decide_orders(&batch, None).await.unwrap_err();
    assert!(matches!(error, DecideOrdersError::Ledger(_)), "{error:?}");
    assert_eq!(world.calls(), ["decide"]);
}

#[tokio::test]
async fn an_order_that_came_alone_is_not_tried_again() {
    let world = World::new();
    let batch = orders(&receipts(), &["a"]);
    world.poison.lock().insert(batch[0].ticket_id);
    let decided = world.desk().decide_orders(&batch, None).await.unwrap();
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
        let error = world.desk().decide_orders(&batch, None).await.unwrap_err();
        let DecideOrdersError::Ledger(LedgerError::Unavailable(_)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(world.calls(), vec!["decide"; calls]);
        // Once the ledger answers, the same batch gets through.
        world.unanswered.lock().clear();
        let decided = world.desk().decide_orders(&batch, None).await.unwrap();
        assert_eq!((decided.first, decided.dead), (1, 1));
        assert_eq!(world.letters.lock().len(), 1);
        assert_eq!(world.announced.lock().len(), 1);
    }
}

#[tokio::test]
async fn the_batch_is_not_done_until_all_is_put_aside() {
    let world = World::new();
    let batch = orders(&receipts(), &["a"]);
    world.break_down("put aside");
    world.poison.lock().insert(batch[0].ticket_id);
    let error = world.desk().decide_orders(&batch, None).await.unwrap_err();
    assert!(
        matches!(error, DecideOrdersError::DeadLetters(_)),
        "{error:?}"
    );
}

/// Who listens reads what was missed; orders must not wait for that.
#[tokio::test]
async fn the_batch_is_done_although_it_could_not_be_announced() {
    let world = World::new();
    let batch = orders(&receipts(), &["a"]);
    world.break_down("announce");
    let decided = world.desk().decide_orders(&batch, None).await.unwrap();
    assert_eq!(counts(&decided), [1, 0, 0, 0]);
    assert!(decided.announced.is_err());
}

#[tokio::test]
async fn nothing_is_done_under_a_claim_that_another_followed() {
    let world = World::new();
    world.claim.store(7, Ordering::Relaxed);
    let batch = orders(&receipts(), &["a", "b"]);
    let lane = Lanes::new(1).unwrap().of(&batch[0].show_id);
    let claim = |number| Some(Claim { lane, number });
    let error = world
        .desk()
        .decide_orders(&batch, claim(6))
        .await
        .unwrap_err();
    assert!(matches!(error, DecideOrdersError::ClaimLost), "{error:?}");
    assert_eq!(world.calls(), ["decide"]);
    let decided = world.desk().decide_orders(&batch, claim(7)).await.unwrap();
    assert_eq!(counts(&decided), [2, 0, 0, 0]);
}

/// Two deployments may use one queue by mistake, each with its own database.
#[tokio::test]
async fn an_order_of_another_deployment_is_put_aside_and_the_others_are_decided() {
    let world = World::new();
    let mut batch = orders(&receipts(), &["a", "b", "a"]);
    let foreign = Receipts::new(["the secret of another deployment"], receipts().process());
    batch[1] = orders(&foreign.unwrap(), &["b"]).remove(0);
    let decided = world.desk().decide_orders(&batch, None).await.unwrap();
    assert_eq!(counts(&decided), [2, 0, 0, 1]);
    let letters = world.letters.lock();
    assert_eq!(letters[0].order.as_ref(), Some(&batch[1]));
    assert!(
        letters[0].reason.contains("tickets.id_secrets"),
        "{letters:?}"
    );
    assert!(!world.tickets.lock().contains_key(&batch[1].ticket_id));
}

#[tokio::test]
async fn a_sweep_announces_what_expired() {
    let world = World::new();
    assert_eq!(world.desk().sweep_holds(10).await.unwrap().expired, 0);
    assert_eq!(world.calls(), ["expire"]);
    let batch = orders(&receipts(), &["a", "a"]);
    let expired = batch.iter().map(confirmed).map(TransitionOutcome::Changed);
    world.transitions.lock().extend(expired);
    world.moved.lock().push(moved_seats());
    assert_eq!(world.desk().sweep_holds(10).await.unwrap().expired, 2);
    let mut expected: Vec<_> = batch.iter().map(confirmed).map(Event::Ticket).collect();
    expected.push(Event::Show(moved_seats()));
    assert_eq!(*world.announced.lock(), expected);
    let expired = TransitionOutcome::Changed(confirmed(&batch[0]));
    world.transitions.lock().push_back(expired);
    world.break_down("announce");
    let swept = world.desk().sweep_holds(10).await.unwrap();
    assert_eq!(swept.expired, 1);
    assert!(swept.announced.is_err());
    world.break_down("expire");
    let error = world.desk().sweep_holds(10).await.unwrap_err();
    assert!(matches!(error, DecideOrdersError::Ledger(_)), "{error:?}");
}
