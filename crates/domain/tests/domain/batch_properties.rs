//! However the orders are cut into batches, and whatever other shows are in
//! them, each order gets the same verdict.

use std::collections::{BTreeMap, HashMap};

use domain::ids::ShowId;
use domain::order::{Order, Quantity};
use domain::receipt::{Receipts, TicketId};
use domain::rule::{BatchShow, BatchState, Decision, ShowAfter, ShowLedger, decide_batch};
use domain::show::Terms;
use domain::ticket::{RejectionReason, Ticket};
use domain::time::Timestamp;
use proptest::prelude::*;

use crate::book::{at, order, receipts, terms, user_id};
use crate::model::{SECOND, USERS};

/// Shows 0 to 2 exist, show 3 does not.
const SHOWS: u64 = 3;

/// A ledger of several shows.
#[derive(Debug, Clone, PartialEq)]
struct Shows {
    ledgers: BTreeMap<ShowId, ShowLedger>,
    tickets: HashMap<TicketId, Ticket>,
}

impl Shows {
    fn open(terms: Vec<Terms>) -> Self {
        let shows = (0..).map(ShowId::from).zip(terms);
        Self {
            ledgers: shows
                .map(|(id, terms)| (id.clone(), ShowLedger::open(id, terms, at(0)).0))
                .collect(),
            tickets: HashMap::new(),
        }
    }

    fn load(&self, orders: &[Order], now: Timestamp) -> BatchState {
        let mut state = BatchState::default();
        for order in orders {
            let id = &order.show_id;
            if let Some(ticket) = self.tickets.get(&order.ticket_id) {
                state.known.insert(order.ticket_id, ticket.clone());
            }
            let Some(ledger) = self.ledgers.get(id) else {
                continue;
            };
            let of_show = || self.tickets.values().filter(|t| t.order.show_id == *id);
            let live_seats = (0..USERS).map(user_id).map(|user| {
                let live = of_show().filter(|t| t.status.is_live() && t.order.user_id == user);
                let seats = live.map(|ticket| ticket.order.quantity.seats()).sum();
                (user, seats)
            });
            let mut due_holds: Vec<_> = of_show().filter(|t| t.is_due(now)).cloned().collect();
            due_holds.sort_by_key(|t| (t.hold_expires_at(), t.order.ticket_id));
            state.shows.entry(id.clone()).or_insert_with(|| BatchShow {
                ledger: ledger.clone(),
                live_seats: live_seats.collect(),
                due_holds,
            });
        }
        state
    }

    fn decide(&mut self, orders: &[Order], now: Timestamp) -> Vec<Decision> {
        let outcome = decide_batch(self.load(orders, now), orders, now).unwrap();
        let released = outcome.released.into_iter().map(|change| change.after);
        let first = outcome.decisions.iter().filter_map(|one| match one {
            Decision::First(ticket) => Some(ticket.clone()),
            Decision::Replayed(_) | Decision::Conflict(_) => None,
        });
        for ticket in released.chain(first) {
            self.tickets.insert(ticket.order.ticket_id, ticket);
        }
        for ShowAfter { ledger, .. } in outcome.shows {
            self.ledgers.insert(ledger.show_id().clone(), ledger);
        }
        outcome.decisions
    }
}

#[derive(Debug, Clone)]
struct NewOrder {
    show: u64,
    user: u64,
    seats: u32,
    /// Take the id of an earlier order.
    known: Option<prop::sample::Index>,
}

fn new_orders() -> impl Strategy<Value = Vec<NewOrder>> {
    let known = prop::option::weighted(0.2, any::<prop::sample::Index>());
    let order =
        (0..=SHOWS, 0..=USERS, 1..4_u32, known).prop_map(|(show, user, seats, known)| NewOrder {
            show,
            user,
            seats,
            known,
        });
    prop::collection::vec(order, 1..30)
}

/// Appends the orders; a known id comes with a body that may or may not be the known one.
fn accept(orders: &mut Vec<Order>, new: Vec<NewOrder>, receipts: &Receipts) {
    for (place, new) in (1..).zip(new) {
        let mut next = order(receipts, new.user, new.seats, at(place));
        next.show_id = ShowId::from(new.show);
        if let Some(known) = new.known.filter(|_| !orders.is_empty()) {
            let known = &orders[known.index(orders.len())];
            let quantity = next.quantity.min(Quantity::new(2).unwrap());
            next = Order {
                quantity,
                ..known.clone()
            };
        }
        orders.push(next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn batches_of_any_size_decide_the_same(
        shows in prop::collection::vec((0..8_u32, 1..6_u32, 0..2_u32), 3),
        earlier in new_orders(),
        later in new_orders(),
        sizes in prop::collection::vec(1..9_usize, 30),
    ) {
        let terms = shows.into_iter().map(|(seats, max, hold)| terms(seats, max, hold));
        let mut together = Shows::open(terms.collect());
        let receipts = receipts();
        let mut orders = Vec::new();
        accept(&mut orders, earlier, &receipts);
        together.decide(&orders, at(SECOND));
        let earlier = orders.len();
        accept(&mut orders, later, &receipts);
        let mut rest = &orders[earlier..];

        // By now every hold of the earlier orders is over.
        let now = at(2 * SECOND);
        let mut apart = together.clone();
        let expected = together.decide(rest, now);
        let mut decisions = Vec::new();
        for size in sizes {
            let (batch, waiting) = rest.split_at(size.min(rest.len()));
            decisions.extend(apart.decide(batch, now));
            rest = waiting;
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&decisions, &expected);
        prop_assert_eq!(&apart, &together);

        let unknown = ShowId::from(SHOWS);
        for ticket in decisions.iter().map(Decision::ticket) {
            let is_unknown = ticket.order.show_id == unknown;
            let not_found = ticket.rejection() == Some(RejectionReason::ShowNotFound);
            prop_assert_eq!(not_found, is_unknown);
            prop_assert_eq!(ticket.decision_seq.is_none(), is_unknown);
        }
    }
}
