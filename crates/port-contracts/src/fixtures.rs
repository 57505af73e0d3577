//! Shows, users and orders to test with.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::ids::{ShowId, UserId};
use domain::order::{NewOrder, Order, Quantity};
use domain::receipt::{ProcessId, Receipts, TicketId};
use domain::show::{Capacity, HoldSeconds, SalesWindow, SeatCounts, Show, Terms, Title};
use domain::time::Timestamp;
use domain::user::{PriorityClass, User, UserName};

use crate::set_up::LANES;

/// When tests begin: 2026-05-01T18:00:00Z.
#[must_use]
pub fn start() -> Timestamp {
    "2026-05-01T18:00:00Z".parse().unwrap()
}

/// One microsecond before `instant`.
#[must_use]
pub fn just_before(instant: Timestamp) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() - 1).unwrap()
}

/// An identifier of a show.
#[must_use]
pub fn show_id(id: &str) -> ShowId {
    ShowId::stored(id).unwrap()
}

/// An identifier of a user.
#[must_use]
pub fn user_id(id: &str) -> UserId {
    UserId::stored(id).unwrap()
}

/// A user of the class standard.
#[must_use]
pub fn user(id: &str) -> User {
    User {
        id: user_id(id),
        name: UserName::new("Buyer").unwrap(),
        priority: PriorityClass::Standard,
    }
}

/// A show of `capacity` seats that is always on sale, confirms at once and
/// allows a user 1,000 seats.
#[must_use]
pub fn show(id: &str, capacity: u32) -> Show {
    Show {
        id: show_id(id),
        title: Title::new("Show").unwrap(),
        terms: Terms {
            capacity: Capacity::new(capacity).unwrap(),
            max_per_user: NonZeroU32::new(1_000).unwrap(),
            hold: HoldSeconds::new(0).unwrap(),
            window: SalesWindow::default(),
        },
    }
}

/// Like [`show`], but its tickets are reserved for `hold_seconds` first.
#[must_use]
pub fn holding_show(id: &str, capacity: u32, hold_seconds: u32) -> Show {
    let mut show = show(id, capacity);
    show.terms.hold = HoldSeconds::new(hold_seconds).unwrap();
    show
}

/// So many seats of one order.
#[must_use]
pub fn quantity(seats: u32) -> Quantity {
    Quantity::new(seats).unwrap()
}

/// Where a show's seats are.
#[must_use]
pub fn seats(available: u32, held: u32, sold: u32) -> SeatCounts {
    SeatCounts {
        available,
        held,
        sold,
    }
}

/// Makes orders as one accepting process would: each with an id of its own, and
/// a place after the one before.
pub struct OrderSource {
    process: ProcessId,
    receipts: Receipts,
    places: AtomicU32,
}

impl OrderSource {
    /// The process with that number.
    #[must_use]
    pub fn new(process: u32) -> Self {
        let process = ProcessId::new(process);
        Self {
            process,
            receipts: Receipts::new(["a secret of the tests"], process).unwrap(),
            places: AtomicU32::new(0),
        }
    }

    /// An id that no other order has.
    #[must_use]
    pub fn ticket_id(&self) -> TicketId {
        self.issue(&user_id("1"))
    }

    fn issue(&self, user: &UserId) -> TicketId {
        let lane = LANES.get(0).unwrap();
        let class = PriorityClass::Standard;
        self.receipts.issue(start(), lane, class, user)
    }

    /// An order for one seat, not yet in the queue.
    #[must_use]
    pub fn new_order(&self, show: &str, user: &str) -> NewOrder {
        let user_id = user_id(user);
        NewOrder {
            ticket_id: self.issue(&user_id),
            show_id: show_id(show),
            user_id,
            quantity: Quantity::ONE,
            class: PriorityClass::Standard,
            trace: None,
        }
    }

    /// An order for one seat with its place, microseconds after [`start`].
    #[must_use]
    pub fn order(&self, show: &str, user: &str) -> Order {
        let place = self.places.fetch_add(1, Ordering::Relaxed);
        self.new_order(show, user)
            .accepted(start().plus_micros(place), self.process)
    }

    /// So many orders for one seat each.
    #[must_use]
    pub fn orders(&self, count: usize, show: &str, user: &str) -> Vec<Order> {
        (0..count).map(|_| self.order(show, user)).collect()
    }
}
