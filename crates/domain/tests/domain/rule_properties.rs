//! Random histories of one show, followed step by step by the model.

use std::collections::HashMap;

use domain::ids::ShowId;
use domain::order::{Order, Quantity};
use domain::receipt::{ProcessId, Receipts, TicketId};
use domain::rule::Decision;
use domain::ticket::{RejectionReason, Verdict};
use domain::user::PriorityClass;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

use crate::book::{Book, at, order, receipts, terms, user_id};
use crate::model::{Expected, Model, ModelTerms, ModelTicket, NewTerms, SECOND, USERS};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// New orders, and perhaps a second one with the first's id.
    Order(Vec<NewOrder>, Option<Again>),
    /// An earlier order's id once more, possibly before and after a new order.
    Again(Index, Again, Option<NewOrder>),
    Confirm(Index),
    Cancel(Index),
    Sweep,
    /// In µs; the clock may go back.
    Wait(i64),
    /// To just before, at, or just after the end of the hold that ends next.
    WaitForHold(i64),
    /// The ends of the sales window are relative to the newest place.
    Change(NewTerms),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct NewOrder {
    user: u64,
    seats: u32,
    class: PriorityClass,
    process: u32,
    redriven: bool,
}

/// How a known id comes once more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Again {
    Redelivered,
    /// The same body at another place of the queue.
    Republished,
    OtherQuantity,
    OtherUser,
    OtherShow,
}

impl Again {
    fn is_conflict(self) -> bool {
        match self {
            Self::Redelivered | Self::Republished => false,
            Self::OtherQuantity | Self::OtherUser | Self::OtherShow => true,
        }
    }

    fn of(self, first: &Order) -> Order {
        let mut order = first.clone();
        match self {
            Self::Redelivered => {}
            Self::Republished => {
                order.requested_at = order.requested_at.plus_seconds(1);
                order.accepted_by = ProcessId::new(9);
                order.class = PriorityClass::High;
            }
            Self::OtherQuantity => {
                order.quantity = Quantity::new(order.quantity.seats() + 1).unwrap();
            }
            Self::OtherUser => order.user_id = user_id(USERS + 1),
            Self::OtherShow => order.show_id = ShowId::new("other").unwrap(),
        }
        order
    }
}

fn again() -> impl Strategy<Value = Again> {
    prop_oneof![
        3 => Just(Again::Redelivered),
        1 => Just(Again::Republished),
        1 => Just(Again::OtherQuantity),
        1 => Just(Again::OtherUser),
        1 => Just(Again::OtherShow),
    ]
}

fn new_order() -> impl Strategy<Value = NewOrder> {
    (
        0..=USERS,
        1..=3_u32,
        prop::sample::select(&PriorityClass::ALL[..]),
        0..2_u32,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(user, seats, class, process, redriven)| NewOrder {
            user,
            seats,
            class,
            process,
            redriven,
        })
}

fn new_terms() -> impl Strategy<Value = NewTerms> {
    let end = |places| prop::option::weighted(0.25, prop::option::weighted(0.6, places));
    (
        prop::option::of(0..25_u32),
        prop::option::of(1..8_u32),
        prop::option::of(prop_oneof![Just(0), 1..6_u32]),
        end(-20..6_i64),
        end(-6..20_i64),
    )
        .prop_map(
            |(capacity, max_per_user, hold_seconds, opens, closes)| NewTerms {
                capacity,
                max_per_user,
                hold_seconds,
                opens,
                closes,
            },
        )
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<Index>;
    let orders = prop::collection::vec(new_order(), 1..8);
    let step = prop_oneof![
        6 => (orders, prop::option::weighted(0.3, again())).prop_map(|(o, a)| Step::Order(o, a)),
        3 => (index(), again(), prop::option::of(new_order()))
            .prop_map(|(i, a, n)| Step::Again(i, a, n)),
        4 => index().prop_map(Step::Confirm),
        3 => index().prop_map(Step::Cancel),
        1 => Just(Step::Sweep),
        2 => (-SECOND..7 * SECOND).prop_map(Step::Wait),
        2 => (-1..=1_i64).prop_map(Step::WaitForHold),
        3 => new_terms().prop_map(Step::Change),
    ];
    prop::collection::vec(step, 1..60)
}

/// Both sides of the comparison, and what the rule must not forget.
struct Sale {
    receipts: Receipts,
    /// In µs; grows with every order.
    place: i64,
    book: Book,
    model: Model,
    verdicts: HashMap<TicketId, Verdict>,
}

impl Sale {
    fn open() -> Self {
        Self {
            receipts: receipts(),
            place: 50 * SECOND,
            book: Book::open(terms(12, 5, 3)),
            model: Model {
                now: 100 * SECOND,
                terms: ModelTerms {
                    capacity: 12,
                    max_per_user: 5,
                    hold_seconds: 3,
                    opens: None,
                    closes: None,
                },
                tickets: Vec::new(),
                seq: 1,
            },
            verdicts: HashMap::new(),
        }
    }

    /// Places grow within a class and process only; a redriven order has lost its own.
    fn accept(&mut self, new: NewOrder) -> Order {
        self.place += 1;
        let behind = i64::from(5 * new.process)
            + if new.class == PriorityClass::High {
                3
            } else {
                0
            }
            + if new.redriven { 20 } else { 0 };
        let place = at(self.place - behind);
        Order {
            class: new.class,
            accepted_by: ProcessId::new(new.process),
            redriven: new.redriven,
            ..order(&self.receipts, new.user, new.seats, place)
        }
    }

    fn take(&mut self, step: Step) -> TestCaseResult {
        let now = at(self.model.now);
        let count = self.model.tickets.len();
        match step {
            Step::Order(new, again) => {
                let orders: Vec<_> = new.into_iter().map(|new| self.accept(new)).collect();
                let mut batch = orders.clone();
                batch.extend(again.map(|again| again.of(&orders[0])));
                let decisions = self.book.decide(&batch, USERS, now);
                prop_assert_eq!(decisions.len(), batch.len());
                self.model.expire();
                for (order, decision) in orders.into_iter().zip(&decisions) {
                    self.check_first(decision, order)?;
                }
                if let Some(again) = again {
                    let first = &decisions[0];
                    check_again(&decisions[decisions.len() - 1], again, first)?;
                }
            }
            Step::Again(which, again, new) if count > 0 => {
                let first = self.model.tickets[which.index(count)].order.clone();
                let copy = again.of(&first);
                let new = new.map(|new| self.accept(new));
                let mut batch = vec![copy.clone()];
                batch.extend(new.clone());
                batch.push(copy);
                let decisions = self.book.decide(&batch, USERS, now);
                prop_assert_eq!(decisions.len(), batch.len());
                self.model.expire();
                let stored = Decision::First(self.book.tickets[&first.ticket_id].clone());
                prop_assert_eq!(&stored.ticket().order, &first);
                check_again(&decisions[0], again, &stored)?;
                check_again(&decisions[decisions.len() - 1], again, &stored)?;
                if let Some(new) = new {
                    self.check_first(&decisions[1], new)?;
                }
            }
            Step::Confirm(which) if count > 0 => {
                let ticket = which.index(count);
                let id = self.model.tickets[ticket].order.ticket_id;
                let outcome = Expected::from(self.book.confirm(id, now));
                prop_assert_eq!(outcome, self.model.confirm(ticket));
            }
            Step::Cancel(which) if count > 0 => {
                let ticket = which.index(count);
                let id = self.model.tickets[ticket].order.ticket_id;
                let outcome = Expected::from(self.book.cancel(id, now));
                prop_assert_eq!(outcome, self.model.cancel(ticket));
            }
            Step::Again(..) | Step::Confirm(_) | Step::Cancel(_) => {}
            Step::Sweep => prop_assert_eq!(self.book.sweep(now), self.model.expire()),
            Step::Wait(micros) => self.model.now += micros,
            Step::WaitForHold(beside) => {
                if let Some(end) = self.model.next_hold_end() {
                    self.model.now = end + beside;
                }
            }
            Step::Change(new) => {
                let place = |end: Option<i64>| end.map(|end| self.place + end);
                let new = NewTerms {
                    opens: new.opens.map(place),
                    closes: new.closes.map(place),
                    ..new
                };
                let outcome = self.book.change_terms(&new.to_change(), now);
                prop_assert_eq!(outcome, self.model.change_terms(new));
            }
        }
        Ok(())
    }

    fn check_first(&mut self, decision: &Decision, order: Order) -> TestCaseResult {
        let expected: &ModelTicket = self.model.decide(order);
        let Decision::First(ticket) = decision else {
            return Err(TestCaseError::fail(format!("not first: {decision:?}")));
        };
        prop_assert_eq!(&ticket.order, &expected.order);
        prop_assert_eq!(ticket.status, expected.status);
        prop_assert_eq!(ticket.rejection(), expected.reason);
        let expires = ticket.hold_expires_at().map(|end| end.as_micros());
        prop_assert_eq!(expires, expected.expires);
        prop_assert_eq!(ticket.decision_seq, Some(self.model.seq));
        prop_assert_eq!(ticket.decided_at, at(self.model.now));
        self.verdicts.insert(ticket.order.ticket_id, ticket.verdict);
        Ok(())
    }

    /// What holds between any two steps.
    fn check(&self) -> TestCaseResult {
        let seats = self.book.ledger.seats();
        let (held, sold) = (self.model.held(), self.model.sold());
        prop_assert_eq!((seats.held, seats.sold), (held, sold));
        prop_assert_eq!(
            seats.available,
            self.model.terms.capacity - held - sold,
            "capacity = available + held + sold"
        );
        prop_assert_eq!(self.book.ledger.seq(), self.model.seq);
        prop_assert_eq!(self.book.tickets.len(), self.model.tickets.len());
        for expected in &self.model.tickets {
            let id = expected.order.ticket_id;
            let ticket = &self.book.tickets[&id];
            prop_assert_eq!(ticket.status, expected.status);
            prop_assert_eq!(ticket.verdict, self.verdicts[&id], "a verdict changed");
        }
        let audit = self.book.audit();
        prop_assert_eq!(audit.violations, 0, "{:?}", audit.examples);
        prop_assert_eq!(audit.verdicts.total(), self.model.tickets.len() as u64);
        Ok(())
    }
}

fn check_again(decision: &Decision, again: Again, first: &Decision) -> TestCaseResult {
    let ticket = first.ticket().clone();
    let expected = if again.is_conflict() {
        Decision::Conflict(ticket)
    } else {
        Decision::Replayed(ticket)
    };
    prop_assert_eq!(decision, &expected);
    Ok(())
}

/// The show as it is after the steps.
pub(crate) fn after(steps: Vec<Step>) -> Result<Book, TestCaseError> {
    let mut sale = Sale::open();
    for step in steps {
        sale.take(step)?;
    }
    Ok(sale.book)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        // A failing sequence is printed whole; it belongs into a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_history_is_what_the_model_says(steps in steps()) {
        let mut sale = Sale::open();
        for step in steps {
            sale.take(step)?;
            sale.check()?;
        }
    }
}

/// The rejected order of a user who does not exist names a user all the same.
#[test]
fn an_unknown_user_is_rejected_and_numbered() {
    let mut book = Book::open(terms(5, 5, 0));
    let receipts = receipts();
    let order = order(&receipts, USERS, 1, at(1));
    assert_eq!(order.user_id, user_id(USERS));
    let decisions = book.decide(&[order], USERS, at(2));
    assert_eq!(
        decisions[0].ticket().rejection(),
        Some(RejectionReason::UserNotFound)
    );
    assert_eq!(decisions[0].ticket().decision_seq, Some(2));
}
