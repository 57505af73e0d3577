//! Cases of batches of orders that are decided.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::order::Order;
use domain::ports::DecideReport;
use domain::rule::TransitionKind::{Cancel, Confirm};
use domain::rule::{Decision, Refusal, TransitionOutcome};
use domain::show::{SalesWindow, ShowSeats};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};

use crate::fixtures::{
    OrderSource, holding_show, just_before, quantity, seats, show, show_id, start,
};
use crate::harness::{StoreHarness, standing_of};
use crate::support::{Background, concurrently, give_up_after, within};

/// The ticket of a decision that must be the first of its id.
fn first(decision: &Decision) -> &Ticket {
    match decision {
        Decision::First(ticket) => ticket,
        other => panic!("expected a first verdict, got {other:?}"),
    }
}

fn firsts(report: &DecideReport) -> Vec<Ticket> {
    report.decisions.iter().map(first).cloned().collect()
}

fn statuses(report: &DecideReport) -> Vec<Status> {
    let tickets = report.decisions.iter().map(Decision::ticket);
    tickets.map(|ticket| ticket.status).collect()
}

/// First come, first served: in a batch, from batch to batch, in each show.
pub async fn arrival_order_is_decision_order(h: &StoreHarness) {
    h.given(&[show("a", 5), show("b", 2)], &["1"]).await;
    let source = OrderSource::new(1);
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.extend([source.order("b", "1"), source.order("a", "1")]);
    }
    let mut decided: BTreeMap<&str, Vec<Ticket>> = BTreeMap::new();
    for batch in [&orders[..6], &orders[6..]] {
        let report = h.decide(batch).await;
        let seats: Vec<_> = report.shows.iter().map(|show| show.seats).collect();
        assert_eq!(seats, [h.seats("a").await, h.seats("b").await]);
        assert_eq!(report.released, []);
        for (order, ticket) in batch.iter().zip(firsts(&report)) {
            assert_eq!(&ticket.order, order);
            assert_eq!((ticket.decided_at, ticket.version), (start(), 1));
            let show = order.show_id.as_str();
            decided.entry(show).or_default().push(ticket);
        }
    }
    for (show, seats) in [("a", 5), ("b", 2)] {
        for (place, ticket) in decided[show].iter().enumerate() {
            let verdict = if place < seats {
                Verdict::Confirmed
            } else {
                Verdict::Rejected(RejectionReason::SoldOut)
            };
            assert_eq!(ticket.verdict, verdict);
            // The show's opening was change number 1.
            assert_eq!(ticket.decision_seq, Some(place as u64 + 2));
        }
    }
}

/// Around the sizes that statements are likely to be chunked at.
pub async fn batches_of_any_size_are_decided_whole(h: &StoreHarness) {
    let users: Vec<_> = (0..50).map(|user| user.to_string()).collect();
    let ids: Vec<_> = users.iter().map(String::as_str).collect();
    h.given(
        &[show("a", 900), show("b", 900), holding_show("c", 900, 60)],
        &ids,
    )
    .await;
    let source = OrderSource::new(1);
    let mut decided = 0;
    for size in [0, 1, 2, 3, 16, 17, 100, 127, 128, 255, 256, 257, 1_000] {
        let orders: Vec<_> = (0..size)
            .map(|n| source.order(["a", "b", "c"][n % 3], ids[n % 50]))
            .collect();
        let report = h.decide(&orders).await;
        let tickets = firsts(&report);
        let decided_orders: Vec<_> = tickets.iter().map(|ticket| ticket.order.clone()).collect();
        assert_eq!(decided_orders, orders);
        let wanted: Vec<_> = orders.iter().map(|order| order.ticket_id).collect();
        let mut found = h.ports.ledger.find(&wanted).await.unwrap();
        found.sort_by_key(|ticket| ticket.order.requested_at);
        assert_eq!(found, tickets);
        decided += size as u64;
    }
    let mut changes = 0;
    for show in ["a", "b", "c"] {
        changes += h.standing(show).await.seq - 1;
    }
    assert_eq!(changes, decided);
}

/// Two processes, 768 orders for 100 seats: all seats are sold, each once.
pub async fn never_oversells_under_64_concurrent_deciders(h: &StoreHarness) {
    let other = (h.connect)().await;
    let users: Vec<_> = (0..64).map(|user| user.to_string()).collect();
    let ids: Vec<_> = users.iter().map(String::as_str).collect();
    h.given(&[show("a", 100)], &ids).await;
    let sold: usize = concurrently(64, |decider| {
        let ledger = Arc::clone([&h.ports.ledger, &other.ledger][decider % 2]);
        async move {
            let source = OrderSource::new(u32::try_from(decider).unwrap());
            let mut sold = 0;
            for _ in 0..4 {
                let report = ledger
                    .decide(&source.orders(3, "a", &decider.to_string()), None)
                    .await
                    .unwrap();
                let tickets = firsts(&report);
                sold += tickets
                    .iter()
                    .filter(|ticket| ticket.verdict == Verdict::Confirmed)
                    .count();
            }
            sold
        }
    })
    .await
    .into_iter()
    .sum();
    assert_eq!(sold, 100);
    assert_eq!(h.seats("a").await, seats(0, 0, 100));
}

/// Whatever happened since: no second seat, and the ticket as it stands.
pub async fn a_replayed_id_returns_the_first_verdict(h: &StoreHarness) {
    let other = (h.connect)().await;
    h.given(&[holding_show("a", 2, 60)], &["1"]).await;
    let orders = OrderSource::new(1).orders(3, "a", "1");
    let report = h.decide(&orders).await;
    assert_eq!(
        statuses(&report),
        [Status::Reserved, Status::Reserved, Status::Rejected]
    );
    h.transition(Confirm, orders[0].ticket_id).await;
    // Now there is a seat for the one that was rejected.
    h.transition(Cancel, orders[1].ticket_id).await;
    let before = h.standing("a").await;
    for ledger in [&h.ports.ledger, &other.ledger] {
        let again = ledger.decide(&orders, None).await.unwrap();
        assert_eq!(
            statuses(&again),
            [Status::Confirmed, Status::Cancelled, Status::Rejected]
        );
        for (first, again) in report.decisions.iter().zip(&again.decisions) {
            let Decision::Replayed(ticket) = again else {
                panic!("expected the first verdict again, got {again:?}");
            };
            assert_eq!(ticket.verdict, first.ticket().verdict);
            assert_eq!(ticket.decision_seq, first.ticket().decision_seq);
            assert_eq!(
                h.ticket(ticket.order.ticket_id).await.as_ref(),
                Some(ticket)
            );
        }
        let now = ShowSeats {
            show_id: show_id("a"),
            seats: before.seats,
            seq: before.seq,
        };
        assert_eq!(again.shows, [now]);
    }
    assert_eq!(h.standing("a").await, before);
}

/// A publisher that repeated itself into the same batch.
pub async fn the_same_id_twice_in_one_batch_takes_one_seat(h: &StoreHarness) {
    h.given(&[show("a", 5)], &["1"]).await;
    let source = OrderSource::new(1);
    let (twice, once) = (source.order("a", "1"), source.order("a", "1"));
    let batch = [twice.clone(), once.clone(), twice.clone(), once, twice];
    let report = h.decide(&batch).await;
    let kinds: Vec<_> = report
        .decisions
        .iter()
        .map(|decision| matches!(decision, Decision::First(_)))
        .collect();
    assert_eq!(kinds, [true, true, false, false, false]);
    assert_eq!(report.decisions[0].ticket(), report.decisions[2].ticket());
    assert_eq!(h.seats("a").await, seats(3, 0, 2));
}

/// A worker that lost its lane, and its successor, with the same deliveries.
pub async fn the_same_id_in_batches_at_once_takes_one_seat(h: &StoreHarness) {
    const ROUNDS: usize = 10;
    let other = (h.connect)().await;
    h.given(&[show("a", 10_000), show("b", 10_000)], &["1"])
        .await;
    let source = OrderSource::new(1);
    for round in 1..=ROUNDS {
        let batch: Vec<_> = (0..20)
            .map(|n| source.order(["a", "b"][n % 2], "1"))
            .collect();
        let reports = concurrently(8, |decider| {
            let ledger = Arc::clone([&h.ports.ledger, &other.ledger][decider % 2]);
            let batch = batch.clone();
            async move { ledger.decide(&batch, None).await.unwrap() }
        })
        .await;
        for place in 0..batch.len() {
            let decisions = reports.iter().map(|report| &report.decisions[place]);
            let tickets: Vec<_> = decisions.clone().map(Decision::ticket).collect();
            assert!(tickets.windows(2).all(|pair| pair[0] == pair[1]));
            let firsts = decisions.filter(|one| matches!(one, Decision::First(_)));
            assert_eq!(firsts.count(), 1);
        }
        let sold = u32::try_from(round * 10).unwrap();
        assert_eq!(h.seats("a").await, seats(10_000 - sold, 0, sold));
        assert_eq!(h.seats("b").await, seats(10_000 - sold, 0, sold));
    }
}

/// The same idempotency key with another body: in the same batch and later,
/// of another show, user and quantity.
pub async fn another_order_under_a_known_id_is_a_conflict_and_stores_nothing(h: &StoreHarness) {
    h.given(&[show("a", 9), show("b", 9)], &["1", "2"]).await;
    let source = OrderSource::new(1);
    let order = source.order("a", "1");
    let under_its_id = |other: Order| Order {
        ticket_id: order.ticket_id,
        ..other
    };
    let others = [
        under_its_id(source.order("b", "1")),
        under_its_id(source.order("a", "2")),
        under_its_id(Order {
            quantity: quantity(2),
            ..source.order("a", "1")
        }),
        under_its_id(source.order("no-show", "1")),
    ];
    let mut batch = vec![order.clone()];
    batch.extend(others.clone());
    let report = h.decide(&batch).await;
    let ticket = first(&report.decisions[0]).clone();
    let again = h.decide(&others).await;
    for decision in report.decisions[1..].iter().chain(&again.decisions) {
        assert_eq!(decision, &Decision::Conflict(ticket.clone()));
    }
    assert_eq!(h.ticket(order.ticket_id).await, Some(ticket));
    let (a, b) = (h.standing("a").await, h.standing("b").await);
    assert_eq!((a.seats, a.seq), (seats(8, 0, 1), 2));
    assert_eq!((b.seats, b.seq), (seats(9, 0, 0), 1));
    assert_eq!(h.tickets_of("2").await, []);
}

/// Readers of both shows and of the tickets while batches are decided.
pub async fn a_batch_is_seen_whole_or_not_at_all(h: &StoreHarness) {
    const BATCHES: usize = 60;
    const PER_SHOW: u64 = 16;
    h.given(&[show("a", 9_999), show("b", 9_999)], &["1"]).await;
    let source = OrderSource::new(1);
    let batches: Arc<Vec<Vec<Order>>> = Arc::new(
        (0..BATCHES)
            .map(|_| {
                (0..PER_SHOW)
                    .flat_map(|_| [source.order("a", "1"), source.order("b", "1")])
                    .collect()
            })
            .collect(),
    );
    let current = Arc::new(AtomicUsize::new(0));
    let reading = Background::repeat(3, {
        let ports = h.ports.clone();
        let (batches, current) = (Arc::clone(&batches), Arc::clone(&current));
        move || {
            let ports = ports.clone();
            let batch = batches[current.load(Ordering::Relaxed)].clone();
            async move {
                let ids: Vec<_> = batch.iter().map(|order| order.ticket_id).collect();
                let some = ports.ledger.find(&ids[..1]).await.unwrap();
                let all = ports.ledger.find(&ids).await.unwrap();
                assert!(some.is_empty() || all.len() == ids.len());
                let of = async |id| standing_of(&ports.shows, id).await.unwrap();
                let (a, b) = (of("a").await, of("b").await);
                for show in [&a, &b] {
                    assert_eq!((show.seq - 1) % PER_SHOW, 0);
                    assert_eq!(u64::from(show.seats.sold), show.seq - 1);
                }
                assert!(b.seq >= a.seq);
            }
        }
    });
    for (number, batch) in batches.iter().enumerate() {
        current.store(number, Ordering::Relaxed);
        h.decide(batch).await;
    }
    reading.stop().await;
}

/// Dropped at each of its awaits in turn: then all of the batch is stored or none of it.
pub async fn deciding_given_up_midway_happened_whole_or_not_at_all(h: &StoreHarness) {
    h.given(&[show("a", 9_999), holding_show("b", 9_999, 60)], &["1"])
        .await;
    let source = OrderSource::new(1);
    for polls in 0..1_000 {
        let batch: Vec<_> = (0..10)
            .map(|n| source.order(["a", "b"][n % 2], "1"))
            .collect();
        let done = give_up_after(polls, h.ports.ledger.decide(&batch, None)).await;
        let again = h.decide(&batch).await.decisions;
        let firsts = again
            .iter()
            .filter(|decision| matches!(decision, Decision::First(_)))
            .count();
        assert!(
            firsts == 0 || firsts == batch.len(),
            "{firsts} were missing"
        );
        let (a, b) = (h.seats("a").await, h.seats("b").await);
        assert_eq!(a.sold, b.held);
        if let Some(report) = done {
            assert_eq!(report.unwrap().decisions.len(), batch.len());
            assert_eq!(firsts, 0);
            return;
        }
    }
    panic!("deciding ten orders was never done");
}

/// They are decided for good, and refuse what their holders ask for.
pub async fn unknown_users_and_shows_are_verdicts(h: &StoreHarness) {
    h.given(&[show("a", 5)], &["1"]).await;
    let source = OrderSource::new(1);
    let orders = [
        source.order("later", "1"),
        source.order("a", "nobody"),
        source.order("later", "nobody"),
        source.order("a", "1"),
    ];
    let tickets = firsts(&h.decide(&orders).await);
    let given: Vec<_> = tickets
        .iter()
        .map(|ticket| (ticket.rejection(), ticket.decision_seq))
        .collect();
    let no_show = Some(RejectionReason::ShowNotFound);
    let no_user = Some(RejectionReason::UserNotFound);
    assert_eq!(
        given,
        [
            (no_show, None),
            (no_user, Some(2)),
            (no_show, None),
            (None, Some(3))
        ]
    );
    for round in 0..2 {
        for (kind, refusal) in [(Confirm, Refusal::NotReserved), (Cancel, Refusal::Rejected)] {
            for ticket in &tickets[..3] {
                let outcome = h.transition(kind, ticket.order.ticket_id).await;
                let refused = TransitionOutcome::Refused(ticket.clone(), refusal);
                assert_eq!(outcome, refused);
            }
        }
        if round == 0 {
            h.given(&[show("later", 5)], &["nobody"]).await;
        }
    }
    let again = h.decide(&orders).await.decisions;
    let replayed: Vec<_> = tickets.into_iter().map(Decision::Replayed).collect();
    assert_eq!(again, replayed);
    assert_eq!(h.seats("later").await, seats(5, 0, 0));
}

/// Reserved and confirmed ones, of this show and user, those of the same batch too.
pub async fn the_limit_counts_live_seats(h: &StoreHarness) {
    let mut a = holding_show("a", 100, 60);
    a.terms.max_per_user = NonZeroU32::new(3).unwrap();
    let b = domain::show::Show {
        id: show_id("b"),
        ..a.clone()
    };
    h.given(&[a, b], &["1", "2"]).await;
    let source = OrderSource::new(1);
    let pair = || Order {
        quantity: quantity(2),
        ..source.order("a", "1")
    };
    let limited = Some(RejectionReason::LimitExceeded);
    let reasons = async |orders: &[Order]| {
        let tickets = firsts(&h.decide(orders).await);
        let reasons = tickets.iter().map(Ticket::rejection);
        reasons.collect::<Vec<_>>()
    };
    let reserved = [source.order("a", "1"), source.order("a", "1"), pair()];
    assert_eq!(reasons(&reserved).await, [None, None, limited]);
    // Others' seats, and those of other shows, don't count.
    let others = [source.order("b", "1"), source.order("a", "2"), pair()];
    assert_eq!(reasons(&others).await, [None, None, limited]);
    // Confirmed ones still count, cancelled ones don't.
    h.transition(Confirm, reserved[0].ticket_id).await;
    assert_eq!(reasons(&[pair()]).await, [limited]);
    h.transition(Cancel, reserved[0].ticket_id).await;
    assert_eq!(
        reasons(&[pair(), source.order("a", "1")]).await,
        [None, limited]
    );
    // Nor do expired ones, from the end of their hold on.
    h.clock.advance_seconds(60);
    assert_eq!(
        reasons(&[pair(), source.order("a", "1")]).await,
        [None, None]
    );
}

/// Not by when it is decided: waiting in the queue must cost nobody a seat.
pub async fn the_sales_window_is_judged_by_when_the_order_was_accepted(h: &StoreHarness) {
    let mut show = show("a", 100);
    let (open, close) = (start().plus_seconds(10), start().plus_seconds(20));
    show.terms.window = SalesWindow::new(Some(open), Some(close)).unwrap();
    h.given(&[show], &["1"]).await;
    h.clock.advance_seconds(3_600);
    let source = OrderSource::new(1);
    let orders = [just_before(open), open, just_before(close), close].map(|requested_at| Order {
        requested_at,
        ..source.order("a", "1")
    });
    let tickets = firsts(&h.decide(&orders).await);
    let reasons: Vec<_> = tickets.iter().map(Ticket::rejection).collect();
    let closed = Some(RejectionReason::SalesClosed);
    assert_eq!(reasons, [closed, None, None, closed]);
}

/// No order is refused for a seat whose hold is over, and none gets one before.
pub async fn a_due_hold_makes_room_for_the_next_order(h: &StoreHarness) {
    let mut show = holding_show("a", 2, 10);
    show.terms.max_per_user = NonZeroU32::new(2).unwrap();
    h.given(&[show], &["1", "2"]).await;
    let source = OrderSource::new(1);
    let held = source.orders(2, "a", "1");
    h.decide(&held).await;
    let expires = start().plus_seconds(10);
    h.clock.set(just_before(expires));
    let early = h.decide(&[source.order("a", "2")]).await;
    assert_eq!(early.released, []);
    assert_eq!(
        first(&early.decisions[0]).rejection(),
        Some(RejectionReason::SoldOut)
    );
    h.clock.set(expires);
    // A replay in the same batch shows its ticket as it is by then.
    let batch = [
        source.order("a", "2"),
        source.order("a", "1"),
        held[0].clone(),
    ];
    let report = h.decide(&batch).await;
    assert_eq!(
        statuses(&report),
        [Status::Reserved, Status::Reserved, Status::Expired]
    );
    let released: HashSet<_> = report
        .released
        .iter()
        .map(|ticket| (ticket.order.ticket_id, ticket.status, ticket.version))
        .collect();
    let expected = held
        .iter()
        .map(|order| (order.ticket_id, Status::Expired, 2));
    assert_eq!(released, expected.collect());
    for ticket in report.released {
        let stored = within("find", h.ticket(ticket.order.ticket_id)).await;
        assert_eq!(stored, Some(ticket));
    }
    assert_eq!(h.seats("a").await, seats(0, 2, 0));
}
