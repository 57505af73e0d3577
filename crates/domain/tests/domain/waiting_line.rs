//! What buyers are told of the waiting line, moment by moment.

use std::time::Duration;

use domain::event::{AcceptedOrders, Event, SettledOrders};
use domain::ids::ShowId;
use domain::order::{Lane, Lanes, Order, Quantity};
use domain::ports::PublishError;
use domain::principal::Principal;
use domain::receipt::{IdempotencyKey, ProcessId};
use domain::ticket::Ticket;
use domain::time::Timestamp;
use domain::use_cases::{LineHint, OrderRequest, PlaceOrderError, PlacedOrder, TicketView};
use domain::user::PriorityClass;
use domain::waiting_line::{LinePlace, WaitingLine};

use crate::book::{at, order, receipts, user_id};
use crate::doubles::{World, confirmed, moved_seats};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const CLASS: PriorityClass = PriorityClass::Standard;

/// Some line of four lanes, heard by a process that started at 0.
struct Listener {
    line: WaitingLine,
}

fn lane() -> Lane {
    Lanes::new(4).unwrap().get(3).unwrap()
}

impl Listener {
    fn new() -> Self {
        let lanes = Lanes::new(4).unwrap();
        let line = WaitingLine::new(lanes, Duration::from_secs(5), at(0));
        Self { line }
    }

    /// Process `process` has accepted `total` orders up to `through`.
    fn accepted(&self, process: u32, through: i64, total: u64) {
        let orders = AcceptedOrders {
            accepted_by: ProcessId::new(process),
            lane: lane(),
            class: CLASS,
            through: at(through),
            total,
        };
        self.line.hear_accepted(&orders, at(through));
    }

    /// The order of that process and place was decided.
    fn decided(&self, process: u32, place: i64, now: i64) {
        self.line
            .hear_decided(lane(), &placed(process, place), at(now));
    }

    /// All orders of that process up to there are decided, put aside or dropped.
    fn settled(&self, process: u32, through: i64, now: i64) {
        let orders = SettledOrders {
            accepted_by: ProcessId::new(process),
            lane: lane(),
            class: CLASS,
            through: at(through),
        };
        self.line.hear_settled(&orders, at(now));
    }

    fn place(&self, place: impl Into<Option<i64>>, now: i64) -> LinePlace {
        let place = place.into().map(at);
        self.line.place(lane(), CLASS, place, at(now))
    }

    fn is_stalled(&self, place: impl Into<Option<i64>>, now: i64) -> bool {
        self.place(place, now).stalled
    }

    fn ahead(&self, place: impl Into<Option<i64>>, now: i64) -> Option<u64> {
        self.place(place, now).orders_ahead
    }
}

fn placed(process: u32, place: i64) -> Order {
    Order {
        accepted_by: ProcessId::new(process),
        ..order(&receipts(), 1, 1, at(place))
    }
}

#[test]
fn the_moment_being_served_never_goes_back() {
    let listener = Listener::new();
    assert_eq!(listener.place(1, 2).now_serving_at, None);
    for (process, place, serving) in [(1, 50, 50), (2, 40, 50), (1, 60, 60), (1, 50, 60)] {
        listener.decided(process, place, 100);
        assert_eq!(listener.place(1, 200).now_serving_at, Some(at(serving)));
    }
    // A dead letter that was put back keeps its place and says nothing.
    let redriven = Order {
        redriven: true,
        ..placed(1, 90)
    };
    listener.line.hear_decided(lane(), &redriven, at(100));
    assert_eq!(listener.place(1, 200).now_serving_at, Some(at(60)));
    // Another lane and class is another line.
    let high = listener
        .line
        .place(lane(), PriorityClass::High, None, at(200));
    assert_eq!(high, LinePlace::default());
    let other = Lanes::new(4).unwrap().get(0).unwrap();
    let other = listener.line.place(other, CLASS, None, at(200));
    assert_eq!(other.now_serving_at, None);
    // A lane that this process does not have.
    let unknown = Lanes::new(5).unwrap().get(4).unwrap();
    let unknown = listener.line.place(unknown, CLASS, Some(at(1)), at(HOUR));
    assert_eq!(unknown, LinePlace::default());
}

/// Also the last of all, after which nothing is decided.
#[test]
fn an_order_that_was_put_aside_waits_until_it_is_redriven() {
    let listener = Listener::new();
    listener.accepted(1, 0, 0);
    listener.accepted(1, 10, 2);
    listener.decided(1, 5, 20);
    let waits = || listener.line.undecided_for(lane(), CLASS, at(HOUR));
    assert!(waits().is_some());
    let redriven = |process| Order {
        redriven: true,
        ..placed(process, 10)
    };
    listener.line.hear_decided(lane(), &redriven(2), at(SECOND));
    assert!(waits().is_some());
    listener.line.hear_decided(lane(), &redriven(1), at(SECOND));
    assert_eq!(waits(), None);
    assert_eq!(listener.ahead(None, HOUR), Some(0));
}

/// The age is the order's, also where others are decided meanwhile.
#[test]
fn what_waits_is_told_in_orders_and_by_the_age_of_the_oldest() {
    let listener = Listener::new();
    let waiting = |seconds: i64| {
        let now = at(seconds * SECOND);
        let waiting = listener.line.waiting(lane(), CLASS, now);
        (waiting.orders, waiting.oldest_for.as_secs())
    };
    assert_eq!(waiting(1), (Some(0), 0));
    listener.accepted(1, 0, 0);
    listener.accepted(1, SECOND, 3);
    assert_eq!(waiting(5), (Some(3), 4));
    listener.accepted(1, 3 * SECOND, 5);
    listener.decided(1, SECOND, 6 * SECOND);
    assert_eq!(waiting(8), (Some(2), 5));
    listener.decided(1, 3 * SECOND, 9 * SECOND);
    assert_eq!(waiting(10), (Some(0), 0));
    // How many orders of this one wait is not known.
    listener.decided(2, 9 * SECOND, 10 * SECOND);
    assert_eq!(waiting(11), (None, 0));
}

/// A repeated order that comes last: its ticket has the place of the first attempt.
#[test]
fn a_line_of_settled_orders_waits_for_nothing() {
    let listener = Listener::new();
    listener.accepted(1, 0, 0);
    listener.accepted(1, 10, 3);
    listener.decided(1, 5, 20);
    let waits = || listener.line.undecided_for(lane(), CLASS, at(HOUR));
    assert!(waits().is_some());
    listener.settled(2, 10, SECOND);
    assert!(waits().is_some(), "those are of another process");
    listener.settled(1, 10, SECOND);
    assert_eq!(waits(), None);
    assert_eq!(listener.ahead(None, HOUR), Some(0));
    assert_eq!(listener.place(10, HOUR).now_serving_at, Some(at(10)));
    // An order that comes later does wait.
    listener.accepted(1, 2 * SECOND, 4);
    listener.settled(1, 10, 3 * SECOND);
    assert!(waits().is_some());
}

#[test]
fn an_order_alone_has_nobody_ahead() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    listener.accepted(1, HOUR, 1);
    assert_eq!(listener.ahead(HOUR, HOUR + SECOND), Some(0));
    listener.accepted(1, HOUR + 60_000, 2);
    assert_eq!(listener.ahead(HOUR + 60_000, HOUR + SECOND), Some(1));
    assert_eq!(listener.ahead(None, HOUR + SECOND), Some(2));
    listener.decided(1, HOUR, HOUR + SECOND);
    assert_eq!(listener.ahead(HOUR + 60_000, HOUR + SECOND), Some(0));
    listener.decided(1, HOUR + 60_000, HOUR + SECOND);
    assert_eq!(listener.ahead(None, HOUR + SECOND), Some(0));
}

/// Other processes may have accepted orders before it that were not announced yet.
#[test]
fn nothing_is_told_of_an_order_before_the_counts_have_settled() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    listener.accepted(1, SECOND, 5);
    assert_eq!(listener.ahead(SECOND, SECOND + 499_999), None);
    assert_eq!(listener.ahead(SECOND, SECOND + 500_000), Some(4));
    // Nor of one that says it comes from the future.
    assert_eq!(listener.ahead(SECOND + 9, SECOND), None);
}

/// A process that has just started does not know how many of the orders that it
/// hears of were decided before.
#[test]
fn a_late_listener_waits_until_it_knows_where_the_line_is() {
    let listener = Listener::new();
    assert_eq!(listener.ahead(SECOND, 2 * SECOND), None);
    listener.accepted(1, SECOND, 5_000);
    listener.accepted(1, SECOND + 100_000, 5_100);
    assert_eq!(listener.ahead(SECOND + 100_000, 2 * SECOND), None);
    listener.decided(1, SECOND - 500_000, 2 * SECOND);
    assert_eq!(listener.ahead(SECOND + 100_000, 2 * SECOND), None);
    listener.decided(1, SECOND + 50_000, 2 * SECOND);
    assert_eq!(listener.ahead(SECOND + 100_000, 2 * SECOND), Some(49));
}

/// It died, and nobody knows how many of its orders are among those that wait.
#[test]
fn orders_of_a_process_that_announces_nothing_leave_it_open() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    listener.accepted(1, SECOND, 1_000);
    listener.decided(2, 500_000, 2 * SECOND);
    assert_eq!(listener.ahead(SECOND, 3 * SECOND), None);
    assert_eq!(listener.ahead(None, 3 * SECOND), None);
    // None of its orders for two seconds: there are no more.
    assert!(listener.ahead(SECOND, 4 * SECOND).is_some());
}

/// The last decisions of a process were missed; the line moves on without it.
#[test]
fn those_who_are_gone_are_not_counted_for_long() {
    let listener = Listener::new();
    for process in [1, 2] {
        listener.accepted(process, 10, 0);
        listener.accepted(process, SECOND, 1_000);
    }
    listener.accepted(1, 9 * SECOND, 2_000);
    assert_eq!(listener.ahead(9 * SECOND, 10 * SECOND), Some(2_999));
    listener.decided(1, SECOND, 10 * SECOND);
    assert_eq!(listener.ahead(9 * SECOND, 10 * SECOND), Some(1_999));
    listener.decided(1, 9 * SECOND - 50_000, 12 * SECOND);
    let ahead = listener.ahead(9 * SECOND, 12 * SECOND).unwrap();
    assert_eq!(ahead, 499);
}

#[test]
fn a_repeated_or_later_event_of_a_decided_order_changes_nothing() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    listener.accepted(1, SECOND, 1_000);
    for place in 0..100 {
        listener.decided(
            1,
            SECOND - 100_000 + place,
            SECOND - 100_000 + 10_000 * (place + 1),
        );
    }
    let before = listener.place(SECOND, 2 * SECOND);
    // 100 decided at one in 10 ms.
    assert_eq!(before.orders_ahead, Some(999));
    assert_eq!(before.wait_ms, Some(9_990));
    for place in 0..100 {
        listener.decided(1, SECOND - 100_000 + place, 2 * SECOND);
    }
    assert_eq!(listener.place(SECOND, 2 * SECOND), before);
}

/// The rate is the worker's, not that at which orders happened to come.
#[test]
fn a_quiet_line_does_not_make_a_slow_worker() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    for number in 1..=5 {
        listener.accepted(1, number * SECOND, number.unsigned_abs());
        listener.decided(1, number * SECOND, number * SECOND + 2_000);
    }
    listener.accepted(1, 6 * SECOND, 1_005);
    let place = listener.place(6 * SECOND, 6 * SECOND + 500_000);
    assert_eq!(
        (place.orders_ahead, place.wait_ms),
        (Some(999), Some(1_998))
    );
    // Long ago says nothing.
    let place = listener.place(6 * SECOND, 20 * SECOND);
    assert_eq!((place.orders_ahead, place.wait_ms), (Some(999), None));
}

#[test]
fn an_order_just_placed_in_a_line_idle_for_an_hour_is_not_stalled() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    listener.accepted(1, SECOND, 7);
    listener.decided(1, SECOND, SECOND + 5_000);
    // Nobody waits.
    assert!(!listener.is_stalled(None, HOUR));
    // With and without its place, announced or not yet.
    assert!(!listener.is_stalled(HOUR, HOUR + 1));
    listener.accepted(1, HOUR, 8);
    assert!(!listener.is_stalled(None, HOUR + 1));
    assert!(!listener.is_stalled(None, HOUR + 5 * SECOND - 1));
    assert!(!listener.is_stalled(HOUR, HOUR + 5 * SECOND - 1));
    // Until it really is.
    assert!(listener.is_stalled(None, HOUR + 5 * SECOND));
    assert!(listener.is_stalled(HOUR, HOUR + 5 * SECOND));
}

#[test]
fn a_dead_worker_is_told_and_so_is_its_successor() {
    let listener = Listener::new();
    listener.accepted(1, 10, 0);
    listener.accepted(1, SECOND, 1_000);
    listener.decided(1, SECOND - 90_000, 2 * SECOND);
    for place in [Some(SECOND), None] {
        assert!(!listener.is_stalled(place, 7 * SECOND - 1));
        assert!(listener.is_stalled(place, 7 * SECOND));
        // Orders go on coming: that is no progress.
        listener.accepted(1, 7 * SECOND, 1_500);
        assert!(listener.is_stalled(place, 8 * SECOND));
    }
    listener.decided(1, SECOND - 80_000, 9 * SECOND);
    assert!(!listener.is_stalled(SECOND, 9 * SECOND));
    assert!(!listener.is_stalled(None, 9 * SECOND));
    // A clock that was set back has no opinion.
    assert!(!listener.is_stalled(SECOND, SECOND / 2));
}

/// A process that does not listen hears no progress.
#[test]
fn silence_counts_from_when_it_could_be_heard() {
    let lanes = Lanes::new(4).unwrap();
    let line = WaitingLine::new(lanes, Duration::from_secs(5), at(HOUR));
    let stalled = |now| line.place(lane(), CLASS, Some(at(SECOND)), at(now)).stalled;
    assert!(!stalled(HOUR + 5 * SECOND - 1));
    assert!(stalled(HOUR + 5 * SECOND));
    line.note_missed_events(at(HOUR + 20 * SECOND));
    assert!(!stalled(HOUR + 25 * SECOND - 1));
    assert!(stalled(HOUR + 25 * SECOND));
    // Nor is a clock waited for that was ahead when the listening began.
    assert!(!stalled(HOUR / 2));
    assert!(!stalled(HOUR / 2 + 5 * SECOND - 1));
    assert!(stalled(HOUR / 2 + 5 * SECOND));
}

fn request(key: Option<&str>) -> OrderRequest {
    OrderRequest {
        show_id: ShowId::new("a").unwrap(),
        user_id: user_id(1),
        quantity: Quantity::ONE,
        key: key.map(|key| IdempotencyKey::new(key.as_bytes()).unwrap()),
        trace: None,
    }
}

fn announced(world: &World) -> Vec<(i64, u64)> {
    let announced = std::mem::take(&mut *world.announced.lock());
    let told = announced.into_iter().map(|event| match event {
        Event::Accepted(it) => (it.through.as_micros(), it.total),
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[tokio::test]
async fn what_was_accepted_is_announced_once_it_changed() {
    let world = World::new();
    let office = world.office();
    office.announce_accepted().await.unwrap();
    assert!(world.calls().is_empty());
    office
        .place_order(&Principal::agent(), request(None))
        .await
        .unwrap();
    // If it is queued, its place is another one. Decided there it would count as waiting for ever.
    *world.publish_error.lock() = Some(PublishError::OutcomeUnknown);
    let unknown = office
        .place_order(&Principal::agent(), request(Some("k")))
        .await
        .unwrap_err();
    assert!(matches!(unknown, PlaceOrderError::OutcomeUnknown(_)));
    // This one is not.
    *world.publish_error.lock() = Some(PublishError::Full { capacity: 3 });
    office
        .place_order(&Principal::agent(), request(None))
        .await
        .unwrap_err();
    world.break_down("announce");
    office.announce_accepted().await.unwrap_err();
    world.unavailable.lock().clear();
    office.announce_accepted().await.unwrap();
    assert_eq!(announced(&world), [(999_999, 0), (1_000_000, 1)]);
    office.announce_accepted().await.unwrap();
    assert_eq!(announced(&world), []);
    office
        .place_order(&Principal::agent(), request(None))
        .await
        .unwrap();
    office.announce_accepted().await.unwrap();
    assert_eq!(announced(&world), [(1_000_001, 2)]);
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one line from its first order to its last"
)]
async fn a_ticket_tells_its_place_and_a_keyed_one_when_the_show_is_named() {
    let world = World::new();
    let office = world.office();
    let place = async |id, hint: LineHint| match office
        .read_ticket(&Principal::agent(), id, &hint)
        .await
        .unwrap()
    {
        TicketView::Processing { place, .. } => place,
        TicketView::Decided(ticket) => panic!("{ticket:?}"),
    };
    let queued = async |key| match office
        .place_order(&Principal::agent(), request(key))
        .await
        .unwrap()
    {
        PlacedOrder::Queued(order) => order,
        PlacedOrder::Replayed(ticket) => panic!("{ticket:?}"),
    };
    let (plain, keyed) = (queued(None).await, queued(Some("k")).await);
    // The orders before it, of another process.
    let lane = world.parts().lanes.of(&plain.show_id);
    let accepted = |through: Timestamp, total| {
        Event::Accepted(AcceptedOrders {
            accepted_by: ProcessId::new(9),
            lane,
            class: plain.class,
            through,
            total,
        })
    };
    for event in [
        accepted(at(1), 0),
        accepted(at(500_000), 30),
        accepted(at(1_400_000), 40),
        Event::Show(moved_seats()),
    ] {
        office.hear(&event);
    }
    world.pass(600_000);
    let hint = LineHint {
        show_id: Some(plain.show_id.clone()),
        ..LineHint::default()
    };
    // Asked for at 1.0 s: the ten of 1.3 to 1.4 s came later. A hint changes nothing.
    for hint in [LineHint::default(), hint.clone()] {
        let place = place(plain.ticket_id, hint).await.unwrap();
        assert_eq!(place.orders_ahead, Some(30));
    }
    assert_eq!(place(keyed.ticket_id, LineHint::default()).await, None);
    let last = place(keyed.ticket_id, hint.clone()).await.unwrap();
    assert_eq!(last.orders_ahead, Some(40));
    let exact = LineHint {
        requested_at: Some(at(1_000_000)),
        ..hint.clone()
    };
    let told = place(keyed.ticket_id, exact).await.unwrap();
    assert_eq!(told.orders_ahead, Some(30));
    let high = LineHint {
        class: Some(PriorityClass::High),
        ..hint
    };
    let told = place(keyed.ticket_id, high).await.unwrap();
    assert_eq!(told.orders_ahead, None);
    // Any version of a ticket proves that its order was decided.
    let decided = Order {
        accepted_by: ProcessId::new(9),
        show_id: plain.show_id.clone(),
        requested_at: at(500_000),
        ..plain.clone()
    };
    office.hear(&Event::Ticket(Ticket {
        version: 3,
        ..confirmed(&decided)
    }));
    let told = place(plain.ticket_id, LineHint::default()).await.unwrap();
    assert_eq!(told.now_serving_at, Some(at(500_000)));
    assert_eq!(told.orders_ahead, Some(0));
    // Nothing for five seconds, but nothing was heard either.
    world.pass(5_000_000);
    assert!(
        place(plain.ticket_id, LineHint::default())
            .await
            .unwrap()
            .stalled
    );
    office.note_missed_events();
    assert!(
        !place(plain.ticket_id, LineHint::default())
            .await
            .unwrap()
            .stalled
    );
}
