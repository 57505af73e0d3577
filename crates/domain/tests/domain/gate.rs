//! The sold-out gate may refuse, and nothing else.

use std::sync::Arc;

use domain::event::Event;
use domain::ids::ShowId;
use domain::order::{Order, Quantity};
use domain::principal::Principal;
use domain::receipt::IdempotencyKey;
use domain::rule::Decision;
use domain::show::{SalesWindow, SeatCounts, ShowSeats, ShowStanding};
use domain::ticket::{RejectionReason, Status};
use domain::use_cases::{BoxOffice, OrderRequest, PlaceOrderError, PlacedOrder};

use crate::book::{Book, at, show_id, terms, user_id};
use crate::doubles::{World, confirmed};

const USERS: u64 = 9;

fn request(user: u64, key: Option<&str>) -> OrderRequest {
    OrderRequest {
        show_id: show_id(),
        user_id: user_id(user),
        quantity: Quantity::ONE,
        key: key.map(|key| IdempotencyKey::new(key.as_bytes()).unwrap()),
        trace: None,
    }
}

/// The show of a [`Book`] is on sale, and users are there.
fn world() -> Arc<World> {
    let world = World::new();
    world.add_show(show_id().as_str(), SalesWindow::default());
    for user in 0..USERS {
        world.add_user(&user.to_string(), domain::user::PriorityClass::Standard);
    }
    world
}

fn seats(available: u32, held: u32, seq: u64) -> Event {
    Event::Show(ShowSeats {
        show_id: show_id(),
        seats: SeatCounts {
            available,
            held,
            sold: 1,
        },
        seq,
    })
}

fn seats_of(standing: ShowStanding) -> Event {
    Event::Show(ShowSeats {
        show_id: standing.show.id,
        seats: standing.seats,
        seq: standing.seq,
    })
}

async fn queued(office: &BoxOffice, user: u64) -> Order {
    match office
        .place_order(&Principal::agent(), request(user, None))
        .await
        .unwrap()
    {
        PlacedOrder::Queued(order) => order,
        PlacedOrder::Replayed(ticket) => panic!("{ticket:?}"),
    }
}

async fn is_refused(office: &BoxOffice) -> bool {
    match office
        .place_order(&Principal::agent(), request(1, None))
        .await
    {
        Ok(_) => false,
        Err(PlaceOrderError::SoldOut) => true,
        Err(error) => panic!("{error:?}"),
    }
}

/// Announces seats, which close the gate once they are read.
async fn sell_out(world: &World, office: &BoxOffice, news: Event) {
    let Event::Show(news_of) = &news else {
        panic!("{news:?}");
    };
    let standing = ShowStanding {
        seats: news_of.seats,
        seq: news_of.seq,
        ..Book::open(terms(9, 9, 0)).standing()
    };
    world.standings.lock().insert(show_id(), standing);
    assert!(office.hear(&news));
    office.verify_gates().await.unwrap();
    world.forget_calls();
}

#[tokio::test]
async fn a_closed_gate_asks_no_port_and_counts_nothing() {
    let world = world();
    let office = world.office();
    sell_out(&world, &office, seats(0, 0, 5)).await;
    assert!(is_refused(&office).await);
    assert!(world.calls().is_empty());
    assert!(world.published.lock().is_empty());
    office.announce_accepted().await.unwrap();
    assert!(world.announced.lock().is_empty());
    // Another show is none of its business.
    let other = OrderRequest {
        show_id: ShowId::new("a").unwrap(),
        ..request(1, None)
    };
    office
        .place_order(&Principal::agent(), other)
        .await
        .unwrap();
}

/// Its first attempt may have won a seat.
#[tokio::test]
async fn a_keyed_order_is_never_answered_by_the_gate() {
    let world = world();
    let office = world.office();
    let placed = office
        .place_order(&Principal::agent(), request(1, Some("k")))
        .await
        .unwrap();
    let PlacedOrder::Queued(order) = placed else {
        panic!("{placed:?}");
    };
    sell_out(&world, &office, seats(0, 0, 5)).await;
    assert!(is_refused(&office).await);
    // Still queued: queued again under the same id.
    let placed = office
        .place_order(&Principal::agent(), request(1, Some("k")))
        .await
        .unwrap();
    assert!(matches!(placed, PlacedOrder::Queued(it) if it.ticket_id == order.ticket_id));
    let ticket = confirmed(&order);
    world.tickets.lock().insert(order.ticket_id, ticket.clone());
    let placed = office
        .place_order(&Principal::agent(), request(1, Some("k")))
        .await
        .unwrap();
    assert_eq!(placed, PlacedOrder::Replayed(ticket));
}

/// The cache may only reject, never sell: told that there are seats, it lets
/// orders through, and the ledger refuses them.
#[tokio::test]
async fn a_gate_that_is_open_by_mistake_sells_nothing() {
    let world = world();
    let office = world.office();
    let mut book = Book::open(terms(2, 9, 0));
    let first = [queued(&office, 1).await, queued(&office, 2).await];
    book.decide(&first, USERS, at(1_000_000));
    assert!(book.standing().seats.is_sold_out());
    office.hear(&seats(1_000, 0, 99));
    office.hear(&seats_of(book.standing()));
    world.standings.lock().insert(show_id(), book.standing());
    office.verify_gates().await.unwrap();
    for user in 3..9 {
        let late = queued(&office, user).await;
        let decisions = book.decide(&[late], USERS, at(2_000_000));
        let [Decision::First(ticket)] = &decisions[..] else {
            panic!("{decisions:?}");
        };
        assert_eq!(ticket.rejection(), Some(RejectionReason::SoldOut));
    }
    assert_eq!(book.standing().seats.sold, 2);
    assert_eq!(book.audit().violations, 0);
}

/// And told that there are none, it refuses, for two seconds at most.
#[tokio::test]
async fn a_gate_that_is_closed_by_mistake_only_refuses_and_heals_within_two_seconds() {
    // Numbers before, at and after the show's own.
    for (lie, healed_by_reading) in [(1, true), (2, true), (3, false), (u64::MAX, false)] {
        let world = world();
        let office = world.office();
        let book = Book::open(terms(9, 9, 0));
        let standing = ShowStanding {
            seq: 2,
            ..book.standing()
        };
        sell_out(&world, &office, seats(0, 0, lie)).await;
        world.standings.lock().insert(show_id(), standing);
        for _ in 0..3 {
            assert!(is_refused(&office).await);
            world.pass(499_999);
        }
        assert!(world.published.lock().is_empty());
        office.verify_gates().await.unwrap();
        assert_eq!(is_refused(&office).await, !healed_by_reading);
        world.pass(500_003);
        office.verify_gates().await.unwrap();
        assert!(!is_refused(&office).await, "{lie}");
    }
}

#[tokio::test]
async fn a_gate_stays_closed_while_it_is_verified_and_opens_with_the_store_down() {
    let world = world();
    let office = world.office();
    office.verify_gates().await.unwrap();
    assert!(world.calls().is_empty());
    let mut book = Book::open(terms(1, 9, 0));
    book.decide(&[queued(&office, 1).await], USERS, at(1_000_000));
    world.standings.lock().insert(show_id(), book.standing());
    sell_out(&world, &office, seats_of(book.standing())).await;
    for _ in 0..20 {
        world.pass(500_000);
        office.verify_gates().await.unwrap();
        assert!(is_refused(&office).await);
    }
    world.break_down("read standings");
    world.pass(1_999_999);
    office.verify_gates().await.unwrap_err();
    assert!(is_refused(&office).await);
    world.pass(1);
    assert!(!is_refused(&office).await);
    // Back again, and closed as soon as it is read.
    world.unavailable.lock().clear();
    office.verify_gates().await.unwrap();
    assert!(is_refused(&office).await);
}

/// A seat came back, and nobody announced it.
#[tokio::test]
async fn a_missed_announcement_heals_with_the_next_reading() {
    let world = world();
    let office = world.office();
    let mut book = Book::open(terms(1, 9, 0));
    let winner = queued(&office, 1).await;
    book.decide(std::slice::from_ref(&winner), USERS, at(1_000_000));
    sell_out(&world, &office, seats_of(book.standing())).await;
    assert!(is_refused(&office).await);
    book.cancel(winner.ticket_id, at(2_000_000));
    world.standings.lock().insert(show_id(), book.standing());
    office.verify_gates().await.unwrap();
    assert!(!is_refused(&office).await);
}

/// The gate closes while orders are queued, then seats are freed: the queued
/// orders get them, in the sequence in which they were accepted.
#[tokio::test]
async fn accepted_orders_are_decided_one_by_one_whatever_the_gate_says() {
    let world = world();
    let office = world.office();
    let mut book = Book::open(terms(2, 9, 0));
    let winners = [queued(&office, 1).await, queued(&office, 2).await];
    let waiting = [
        queued(&office, 3).await,
        queued(&office, 4).await,
        queued(&office, 5).await,
    ];
    book.decide(&winners, USERS, at(1_000_000));
    sell_out(&world, &office, seats_of(book.standing())).await;
    assert!(is_refused(&office).await);
    // The first of them is decided while nothing is left.
    let status = |decisions: Vec<Decision>| match &decisions[..] {
        [Decision::First(ticket)] => (ticket.status, ticket.rejection()),
        other => panic!("{other:?}"),
    };
    let rejected = (Status::Rejected, Some(RejectionReason::SoldOut));
    let [third, fourth, fifth] = waiting.map(|order| [order]);
    assert_eq!(status(book.decide(&third, USERS, at(2_000_000))), rejected);
    book.cancel(winners[0].ticket_id, at(3_000_000));
    // Nobody has told the gate.
    assert!(is_refused(&office).await);
    let confirmed = (Status::Confirmed, None);
    assert_eq!(
        status(book.decide(&fourth, USERS, at(4_000_000))),
        confirmed
    );
    assert_eq!(status(book.decide(&fifth, USERS, at(5_000_000))), rejected);
    assert_eq!(book.audit().violations, 0);
}
