//! Cases of confirming, cancelling and expiring.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::ids::UserId;
use domain::order::Order;

use domain::receipt::TicketId;
use domain::rule::{Refusal, TransitionKind, TransitionOutcome, TransitionRequest};
use domain::show::ShowSeats;
use domain::ticket::{Status, Ticket};

use crate::fixtures::{
    OrderSource, holding_show, just_before, quantity, seats, show, show_id, start,
};
use crate::harness::{StoreHarness, changed};
use crate::support::{concurrently, give_up_after};

use TransitionKind::{Cancel, Confirm};

const fn request(kind: TransitionKind, ticket_id: TicketId) -> TransitionRequest {
    TransitionRequest {
        ticket_id,
        kind,
        holder: None,
    }
}

fn refused(outcome: &TransitionOutcome) -> Option<Refusal> {
    match outcome {
        TransitionOutcome::Refused(_, refusal) => Some(*refusal),
        _ => None,
    }
}

/// Neither its holder nor anybody else finds it changed.
pub async fn a_ticket_of_somebody_else_stays_as_it_is(h: &StoreHarness) {
    h.given(&[holding_show("a", 9, 60)], &["1"]).await;
    let source = OrderSource::new(1);
    let id = decided(h, &source, 1, "a").await[0].ticket_id;
    let by = |holder: &str, kind| TransitionRequest {
        holder: Some(UserId::new(holder).unwrap()),
        ..request(kind, id)
    };
    let before = h.ticket(id).await;
    let requests = [by("2", Confirm), by("2", Cancel)];
    let report = h.ports.ledger.transition(&requests).await.unwrap();
    assert_eq!(report.outcomes, vec![TransitionOutcome::NotTheirs; 2]);
    assert_eq!(h.ticket(id).await, before);
    assert_eq!(h.seats("a").await, seats(8, 1, 0));
    let report = h
        .ports
        .ledger
        .transition(&[by("1", Confirm)])
        .await
        .unwrap();
    assert!(matches!(
        report.outcomes[..],
        [TransitionOutcome::Changed(_)]
    ));
}

/// Orders for one seat each, decided.
async fn decided(h: &StoreHarness, source: &OrderSource, count: usize, show: &str) -> Vec<Order> {
    let orders = source.orders(count, show, "1");
    h.decide(&orders).await;
    orders
}

/// And is the same ticket from then on, however often it is asked.
pub async fn confirming_sells_held_seats_once(h: &StoreHarness) {
    h.given(&[holding_show("a", 9, 60)], &["1"]).await;
    let order = Order {
        quantity: quantity(3),
        ..OrderSource::new(1).order("a", "1")
    };
    h.decide(std::slice::from_ref(&order)).await;
    assert_eq!(h.seats("a").await, seats(6, 3, 0));
    let reserved = h.ticket(order.ticket_id).await.unwrap();
    let confirmed = Ticket {
        status: Status::Confirmed,
        version: 2,
        ..reserved
    };
    let report = h.transitions(&[request(Confirm, order.ticket_id)]).await;
    assert_eq!(
        report.outcomes,
        [TransitionOutcome::Changed(confirmed.clone())]
    );
    let now = ShowSeats {
        show_id: show_id("a"),
        seats: seats(6, 0, 3),
        seq: 3,
    };
    assert_eq!(report.shows, [now]);
    let again = h.transition(Confirm, order.ticket_id).await;
    assert_eq!(again, TransitionOutcome::Unchanged(confirmed.clone()));
    assert_eq!(h.ticket(order.ticket_id).await, Some(confirmed));
    let standing = h.standing("a").await;
    assert_eq!((standing.seats, standing.seq), (seats(6, 0, 3), 3));
}

/// From a hold and from a sale, at once.
pub async fn cancelled_seats_are_sold_again(h: &StoreHarness) {
    h.given(&[holding_show("a", 2, 60)], &["1"]).await;
    let source = OrderSource::new(1);
    let orders = decided(h, &source, 2, "a").await;
    h.transition(Confirm, orders[0].ticket_id).await;
    for (order, counts) in orders.iter().zip([seats(1, 1, 0), seats(2, 0, 0)]) {
        let ticket = changed(h.transition(Cancel, order.ticket_id).await);
        assert_eq!(ticket.status, Status::Cancelled);
        assert_eq!(h.seats("a").await, counts);
        let again = h.transition(Cancel, order.ticket_id).await;
        assert_eq!(again, TransitionOutcome::Unchanged(ticket));
        assert_eq!(h.seats("a").await, counts);
    }
    decided(h, &source, 2, "a").await;
    assert_eq!(h.seats("a").await, seats(0, 2, 0));
}

/// By the sweep, also of a show that nobody orders.
pub async fn expired_seats_are_sold_again(h: &StoreHarness) {
    h.given(&[holding_show("a", 2, 60)], &["1"]).await;
    let source = OrderSource::new(1);
    let orders = decided(h, &source, 2, "a").await;
    h.transition(Confirm, orders[0].ticket_id).await;
    h.clock.advance_seconds(60);
    let expired = h.expire_due(10).await;
    let [ticket] = &expired[..] else {
        panic!("expired {expired:?}");
    };
    assert_eq!(
        (ticket.order.ticket_id, ticket.status, ticket.version),
        (orders[1].ticket_id, Status::Expired, 2)
    );
    assert_eq!(h.ticket(orders[1].ticket_id).await.as_ref(), Some(ticket));
    assert_eq!(h.seats("a").await, seats(1, 0, 1));
    assert_eq!(h.expire_due(10).await, []);
    decided(h, &source, 1, "a").await;
    assert_eq!(h.seats("a").await, seats(0, 1, 1));
}

/// In the sequence of the requests, over several shows; only shows that changed are reported.
pub async fn each_request_has_an_outcome_of_its_own(h: &StoreHarness) {
    let shows = [
        holding_show("a", 2, 60),
        holding_show("b", 9, 60),
        show("c", 9),
    ];
    h.given(&shows, &["1"]).await;
    let source = OrderSource::new(1);
    let a = decided(h, &source, 3, "a").await;
    let b = decided(h, &source, 1, "b").await;
    let c = decided(h, &source, 1, "c").await;
    let (unknown, rejected) = (source.ticket_id(), a[2].ticket_id);
    let requests = [
        request(Confirm, b[0].ticket_id),
        request(Confirm, unknown),
        request(Cancel, a[1].ticket_id),
        request(Confirm, rejected),
        request(Cancel, rejected),
        request(Confirm, c[0].ticket_id),
        request(Cancel, unknown),
        request(Confirm, a[0].ticket_id),
    ];
    let report = h.transitions(&requests).await;
    let [b0, none, a1, no_seats, nothing, c0, no_one, a0] =
        <[_; 8]>::try_from(report.outcomes).unwrap();
    let ended = |outcome| {
        let ticket = changed(outcome);
        (ticket.order.ticket_id, ticket.status)
    };
    assert_eq!(ended(b0), (b[0].ticket_id, Status::Confirmed));
    assert_eq!(ended(a1), (a[1].ticket_id, Status::Cancelled));
    assert_eq!(ended(a0), (a[0].ticket_id, Status::Confirmed));
    assert_eq!(none, TransitionOutcome::NotDecided);
    assert_eq!(no_one, TransitionOutcome::NotDecided);
    assert_eq!(refused(&no_seats), Some(Refusal::NotReserved));
    assert_eq!(refused(&nothing), Some(Refusal::Rejected));
    assert!(matches!(c0, TransitionOutcome::Unchanged(_)), "{c0:?}");
    let reported: HashMap<_, _> = report
        .shows
        .into_iter()
        .map(|show| (show.show_id, (show.seats, show.seq)))
        .collect();
    let expected = [
        (show_id("a"), (seats(1, 0, 1), 6)),
        (show_id("b"), (seats(8, 0, 1), 3)),
    ];
    assert_eq!(reported, HashMap::from(expected));
}

/// A confirmation and a cancellation that were coalesced into one transaction.
pub async fn requests_for_one_ticket_count_in_sequence(h: &StoreHarness) {
    h.given(&[holding_show("a", 9, 60)], &["1"]).await;
    let order = &decided(h, &OrderSource::new(1), 1, "a").await[0];
    let requests =
        [Confirm, Confirm, Cancel, Confirm, Cancel].map(|kind| request(kind, order.ticket_id));
    let report = h.transitions(&requests).await;
    let [sold, still_sold, cancelled, too_late, still_cancelled] =
        <[_; 5]>::try_from(report.outcomes).unwrap();
    let (sold, cancelled) = (changed(sold), changed(cancelled));
    assert_eq!((sold.status, sold.version), (Status::Confirmed, 2));
    assert_eq!(still_sold, TransitionOutcome::Unchanged(sold));
    assert_eq!(
        (cancelled.status, cancelled.version),
        (Status::Cancelled, 3)
    );
    assert_eq!(
        too_late,
        TransitionOutcome::Refused(cancelled.clone(), Refusal::NotReserved)
    );
    assert_eq!(
        still_cancelled,
        TransitionOutcome::Unchanged(cancelled.clone())
    );
    assert_eq!(h.ticket(order.ticket_id).await, Some(cancelled));
    let standing = h.standing("a").await;
    assert_eq!((standing.seats, standing.seq), (seats(9, 0, 0), 4));
}

/// Confirm and cancel until one microsecond before the end of the hold, expiry
/// from the end on: at any instant exactly one of them.
pub async fn confirm_and_expiry_meet_at_the_exact_instant(h: &StoreHarness) {
    let expires = start().plus_seconds(10);
    let source = OrderSource::new(1);
    for (show, now, is_over) in [
        ("a", just_before(expires), false),
        ("b", expires, true),
        ("c", expires.plus_micros(1), true),
    ] {
        h.clock.set(start());
        h.given(&[holding_show(show, 9, 10)], &[]).await;
        if show == "a" {
            h.given(&[], &["1"]).await;
        }
        let orders = decided(h, &source, 3, show).await;
        h.clock.set(now);
        if !is_over {
            assert_eq!(h.expire_due(10).await, []);
        }
        let confirmed = h.transition(Confirm, orders[0].ticket_id).await;
        let cancelled = h.transition(Cancel, orders[1].ticket_id).await;
        if is_over {
            for outcome in [&confirmed, &cancelled] {
                assert_eq!(refused(outcome), Some(Refusal::HoldExpired), "{now}");
            }
            assert_eq!(h.expire_due(10).await.len(), 3);
            for kind in [Confirm, Cancel] {
                let late = h.transition(kind, orders[2].ticket_id).await;
                assert_eq!(refused(&late), Some(Refusal::HoldExpired), "{now}");
            }
            assert_eq!(h.seats(show).await, seats(9, 0, 0));
        } else {
            assert_eq!(changed(confirmed).status, Status::Confirmed);
            assert_eq!(changed(cancelled).status, Status::Cancelled);
            assert_eq!(h.seats(show).await, seats(7, 1, 1));
            // So that it is not due in the rounds to come.
            h.transition(Confirm, orders[2].ticket_id).await;
        }
    }
}

/// Confirmations, sweeps and the end of the hold, all at once.
pub async fn confirm_and_expiry_never_both_win(h: &StoreHarness) {
    const ROUNDS: usize = 10;
    const TICKETS: usize = 30;
    const SWEEPS: usize = 6;
    let other = (h.connect)().await;
    let expires = start().plus_seconds(10);
    let source = OrderSource::new(1);
    h.given(&[], &["1"]).await;
    for round in 0..ROUNDS {
        let show = format!("round-{round}");
        h.clock.set(start());
        h.given(&[holding_show(&show, 100, 10)], &[]).await;
        let orders = decided(h, &source, TICKETS, &show).await;
        h.clock.set(just_before(expires));
        let outcomes = concurrently(TICKETS + SWEEPS + 1, |number| {
            let ledger = Arc::clone([&h.ports.ledger, &other.ledger][number % 2]);
            let clock = Arc::clone(&h.clock);
            let order = orders.get(number).cloned();
            async move {
                match order {
                    Some(order) => {
                        let request = request(Confirm, order.ticket_id);
                        ledger.transition(&[request]).await.unwrap().outcomes
                    }
                    None if number == TICKETS => {
                        clock.set(expires);
                        Vec::new()
                    }
                    None => ledger.expire_due(TICKETS).await.unwrap().outcomes,
                }
            }
        })
        .await
        .concat();
        let late = h.expire_due(TICKETS).await;
        let mut winners: HashMap<TicketId, Status> = HashMap::new();
        let won = outcomes.into_iter().filter_map(|outcome| match outcome {
            TransitionOutcome::Changed(ticket) => Some(ticket),
            TransitionOutcome::Refused(_, Refusal::HoldExpired) => None,
            other => panic!("{other:?}"),
        });
        for ticket in won.chain(late) {
            let before = winners.insert(ticket.order.ticket_id, ticket.status);
            assert_eq!(before, None, "two transitions of one hold");
        }
        let mut sold = 0;
        for order in &orders {
            let ticket = h.ticket(order.ticket_id).await.unwrap();
            assert_eq!(winners.get(&order.ticket_id), Some(&ticket.status));
            sold += u32::from(ticket.status == Status::Confirmed);
        }
        assert_eq!(h.seats(&show).await, seats(100 - sold, 0, sold));
    }
}

/// Each ticket asked for twice, some for both; all in one show.
pub async fn concurrent_confirms_and_cancels_add_up(h: &StoreHarness) {
    const TICKETS: usize = 48;
    let other = (h.connect)().await;
    h.given(&[holding_show("a", 100, 60)], &["1"]).await;
    let orders = decided(h, &OrderSource::new(1), TICKETS, "a").await;
    let kinds = [[Confirm, Confirm], [Cancel, Cancel], [Confirm, Cancel]];
    let outcomes = concurrently(2 * TICKETS, |number| {
        let ledger = Arc::clone([&h.ports.ledger, &other.ledger][number % 2]);
        let place = number / 2;
        let request = request(kinds[place % 3][number % 2], orders[place].ticket_id);
        async move {
            let report = ledger.transition(&[request]).await.unwrap();
            let [outcome] = <[_; 1]>::try_from(report.outcomes).unwrap();
            outcome
        }
    })
    .await;
    let mut sold = 0;
    for (place, outcomes) in outcomes.chunks(2).enumerate() {
        let ticket = h.ticket(orders[place].ticket_id).await.unwrap();
        sold += u32::from(ticket.status == Status::Confirmed);
        let mut versions = HashSet::new();
        for outcome in outcomes {
            match outcome {
                TransitionOutcome::Changed(to) => {
                    assert_eq!(to.order.ticket_id, ticket.order.ticket_id);
                    assert!(versions.insert(to.version), "one version twice");
                }
                TransitionOutcome::Unchanged(at) => assert_eq!(at, &ticket),
                // The confirmation came after the cancellation.
                TransitionOutcome::Refused(at, Refusal::NotReserved) => {
                    assert_eq!(at.status, Status::Cancelled);
                }
                other => panic!("{other:?}"),
            }
        }
        let wanted = match kinds[place % 3] {
            [Confirm, Confirm] => Status::Confirmed,
            _ => Status::Cancelled,
        };
        assert_eq!(ticket.status, wanted);
        assert_eq!(ticket.version as usize, 1 + versions.len());
    }
    assert_eq!(h.seats("a").await, seats(100 - sold, 0, sold));
    assert_eq!(h.expire_due(100).await, []);
}

/// Dropped at each of its awaits in turn; asking again then is safe.
pub async fn a_transition_given_up_midway_happened_whole_or_not_at_all(h: &StoreHarness) {
    h.given(
        &[holding_show("a", 9_999, 60), holding_show("b", 9_999, 60)],
        &["1"],
    )
    .await;
    let source = OrderSource::new(1);
    for polls in 0..1_000 {
        let mut orders = decided(h, &source, 2, "a").await;
        orders.extend(decided(h, &source, 2, "b").await);
        let requests: Vec<_> = orders
            .iter()
            .map(|order| request(Confirm, order.ticket_id))
            .collect();
        let done = give_up_after(polls, h.ports.ledger.transition(&requests)).await;
        let again = h.transitions(&requests).await.outcomes;
        let changes = again
            .iter()
            .filter(|outcome| matches!(outcome, TransitionOutcome::Changed(_)))
            .count();
        assert!(
            changes == 0 || changes == requests.len(),
            "{changes} were missing"
        );
        for order in &orders {
            let ticket = h.ticket(order.ticket_id).await.unwrap();
            assert_eq!((ticket.status, ticket.version), (Status::Confirmed, 2));
        }
        if let Some(report) = done {
            assert_eq!(report.unwrap().outcomes.len(), requests.len());
            assert_eq!(changes, 0);
            return;
        }
    }
    panic!("confirming four tickets was never done");
}

/// Over all shows, and no more than asked for.
pub async fn a_sweep_expires_the_longest_over_first(h: &StoreHarness) {
    let shows = [
        holding_show("a", 9, 30),
        holding_show("b", 9, 10),
        holding_show("c", 9, 60),
    ];
    h.given(&shows, &["1"]).await;
    let source = OrderSource::new(1);
    let mut ends = HashMap::new();
    for (seconds, show) in [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "c"), (8, "b")] {
        h.clock.set(start().plus_seconds(seconds));
        let order = &decided(h, &source, 1, show).await[0];
        let ticket = h.ticket(order.ticket_id).await.unwrap();
        ends.insert(order.ticket_id, ticket.hold_expires_at().unwrap());
    }
    // b11, b13, b18, a30, a32; c64 is not over yet.
    h.clock.set(start().plus_seconds(40));
    let mut swept = Vec::new();
    for expected in [2, 1, 2, 0] {
        let mut expired = h.expire_due(2.min(expected.max(1))).await;
        assert_eq!(expired.len(), expected);
        expired.sort_by_key(|ticket| ends[&ticket.order.ticket_id]);
        swept.extend(
            expired
                .into_iter()
                .map(|ticket| ends[&ticket.order.ticket_id]),
        );
    }
    let expected = [11, 13, 18, 30, 32].map(|seconds| start().plus_seconds(seconds));
    assert_eq!(swept, expected);
    assert_eq!(h.seats("c").await, seats(8, 1, 0));
}
