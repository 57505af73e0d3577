//! Random histories, followed step by step by a model that knows nothing of
//! the rule's code: it recounts everything from the list of its tickets.

use std::num::NonZeroU32;

use domain::order::Order;
use domain::rule::{Decision, Refusal, TermsRefused, Transition};
use domain::show::{Capacity, HoldSeconds, ShowChange};
use domain::ticket::{RejectionReason, Status, Verdict};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::book::{Book, at, order, receipts, terms, user_id};

const SECOND: i64 = 1_000_000;
/// Users 0 to 3 exist, user 4 does not.
const USERS: u64 = 4;

#[derive(Debug, Clone)]
enum Step {
    /// New orders; the first may be in the batch twice.
    Order(Vec<NewOrder>, bool),
    /// Delivers an earlier order again, possibly in one batch with a new one.
    Replay(prop::sample::Index, Option<NewOrder>),
    /// An earlier order's id with another quantity.
    Conflict(prop::sample::Index),
    Confirm(prop::sample::Index),
    Cancel(prop::sample::Index),
    Sweep,
    Wait(i64),
    /// To just before, at, or just after the end of the hold that ends next.
    WaitForHold(i64),
    Change(NewTerms),
}

#[derive(Debug, Clone, Copy)]
struct NewOrder {
    user: u64,
    seats: u32,
    /// Whether it was accepted before the sale closed.
    in_time: bool,
}

#[derive(Debug, Clone, Copy)]
struct NewTerms {
    capacity: Option<u32>,
    max_per_user: Option<u32>,
    hold_seconds: Option<u32>,
}

fn new_order() -> impl Strategy<Value = NewOrder> {
    (0..=USERS, 1..=3_u32, prop::bool::weighted(0.9)).prop_map(|(user, seats, in_time)| NewOrder {
        user,
        seats,
        in_time,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (prop::collection::vec(new_order(), 1..6), prop::bool::weighted(0.2))
            .prop_map(|(orders, twice)| Step::Order(orders, twice)),
        2 => (index(), prop::option::of(new_order())).prop_map(|(i, n)| Step::Replay(i, n)),
        1 => index().prop_map(Step::Conflict),
        4 => index().prop_map(Step::Confirm),
        3 => index().prop_map(Step::Cancel),
        1 => Just(Step::Sweep),
        2 => (0..7 * SECOND).prop_map(Step::Wait),
        2 => (-1..=1_i64).prop_map(Step::WaitForHold),
        2 => (
            prop::option::of(0..25_u32),
            prop::option::of(1..8_u32),
            prop::option::of(0..6_u32),
        )
            .prop_map(|(capacity, max_per_user, hold_seconds)| Step::Change(NewTerms {
                capacity,
                max_per_user,
                hold_seconds,
            })),
    ]
}

#[derive(Debug, Clone)]
struct ModelTicket {
    order: Order,
    user: u64,
    seats: u32,
    status: Status,
    reason: Option<RejectionReason>,
    /// In µs; kept after the hold is over.
    expires: Option<i64>,
}

struct Model {
    now: i64,
    capacity: u32,
    max_per_user: u32,
    hold_seconds: u32,
    closes: i64,
    tickets: Vec<ModelTicket>,
    steps: u64,
}

impl Model {
    fn sum(&self, wanted: impl Fn(&ModelTicket) -> bool) -> u32 {
        let counted = self.tickets.iter().filter(|ticket| wanted(ticket));
        counted.map(|ticket| ticket.seats).sum()
    }

    fn held(&self) -> u32 {
        self.sum(|ticket| ticket.status == Status::Reserved)
    }

    fn sold(&self) -> u32 {
        self.sum(|ticket| ticket.status == Status::Confirmed)
    }

    fn expire(&mut self) -> usize {
        let now = self.now;
        let due = self.tickets.iter_mut().filter(|ticket| {
            ticket.status == Status::Reserved && ticket.expires.is_some_and(|end| end <= now)
        });
        let mut count = 0;
        for ticket in due {
            ticket.status = Status::Expired;
            count += 1;
        }
        self.steps += count as u64;
        count
    }

    fn decide(&mut self, order: Order, new: NewOrder) -> &ModelTicket {
        let live = self.sum(|ticket| {
            ticket.user == new.user && matches!(ticket.status, Status::Reserved | Status::Confirmed)
        });
        let left = self.capacity - self.held() - self.sold();
        let reason = if new.user >= USERS {
            Some(RejectionReason::UserNotFound)
        } else if order.requested_at.as_micros() >= self.closes {
            Some(RejectionReason::SalesClosed)
        } else if live + new.seats > self.max_per_user {
            Some(RejectionReason::LimitExceeded)
        } else if new.seats > left {
            Some(RejectionReason::SoldOut)
        } else {
            None
        };
        let is_held = reason.is_none() && self.hold_seconds > 0;
        let hold = i64::from(self.hold_seconds) * SECOND;
        self.tickets.push(ModelTicket {
            order,
            user: new.user,
            seats: new.seats,
            status: match reason {
                Some(_) => Status::Rejected,
                None if is_held => Status::Reserved,
                None => Status::Confirmed,
            },
            reason,
            expires: is_held.then_some(self.now + hold),
        });
        self.steps += 1;
        &self.tickets[self.tickets.len() - 1]
    }

    fn is_over(&self, ticket: usize) -> bool {
        self.tickets[ticket]
            .expires
            .is_some_and(|end| end <= self.now)
    }

    /// What confirming must answer, after doing it.
    fn confirm(&mut self, ticket: usize) -> Expected {
        match self.tickets[ticket].status {
            Status::Reserved if !self.is_over(ticket) => self.changed(ticket, Status::Confirmed),
            Status::Reserved | Status::Expired => Expected::Refused(Refusal::HoldExpired),
            Status::Confirmed => Expected::AlreadyDone,
            Status::Cancelled | Status::Rejected => Expected::Refused(Refusal::NotReserved),
        }
    }

    fn cancel(&mut self, ticket: usize) -> Expected {
        match self.tickets[ticket].status {
            Status::Reserved if self.is_over(ticket) => Expected::Refused(Refusal::HoldExpired),
            Status::Reserved | Status::Confirmed => self.changed(ticket, Status::Cancelled),
            Status::Cancelled => Expected::AlreadyDone,
            Status::Expired => Expected::Refused(Refusal::HoldExpired),
            Status::Rejected => Expected::Refused(Refusal::Rejected),
        }
    }

    fn changed(&mut self, ticket: usize, status: Status) -> Expected {
        self.tickets[ticket].status = status;
        self.steps += 1;
        Expected::Done
    }
}

#[derive(Debug, PartialEq)]
enum Expected {
    Done,
    AlreadyDone,
    Refused(Refusal),
}

impl From<Transition> for Expected {
    fn from(transition: Transition) -> Self {
        match transition {
            Transition::Done(_) => Self::Done,
            Transition::AlreadyDone => Self::AlreadyDone,
            Transition::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Checks a first decision against what the model says.
fn same(decision: &Decision, expected: &ModelTicket) -> TestCaseResult {
    let Decision::First(ticket) = decision else {
        return Err(TestCaseError::fail(format!("not first: {decision:?}")));
    };
    prop_assert_eq!(&ticket.order, &expected.order);
    prop_assert_eq!(ticket.status, expected.status);
    prop_assert_eq!(ticket.rejection(), expected.reason);
    let expires = ticket.hold_expires_at().map(|end| end.as_micros());
    prop_assert_eq!(expires, expected.expires);
    Ok(())
}

fn run(steps: Vec<Step>) -> TestCaseResult {
    let receipts = receipts();
    let mut model = Model {
        now: 100 * SECOND,
        capacity: 12,
        max_per_user: 5,
        hold_seconds: 3,
        closes: 1_000 * SECOND,
        tickets: Vec::new(),
        steps: 2,
    };
    let mut book = Book::open(terms(12, 5, 3));
    let closing = ShowChange {
        sales_close_at: Some(Some(at(model.closes))),
        ..ShowChange::default()
    };
    book.change_terms(&closing, at(0)).unwrap();
    // Places grow, those of late orders beyond the closing too.
    let mut place = 0;
    let mut accept = |new: NewOrder, closes: i64| {
        place += 1;
        let requested_at = if new.in_time { place } else { closes + place };
        // Redriven, so that a late order may stand before one in time.
        let order = order(&receipts, new.user, new.seats, at(requested_at));
        Order {
            redriven: true,
            ..order
        }
    };
    for step in steps {
        let now = at(model.now);
        let count = model.tickets.len();
        match step {
            Step::Order(new_orders, twice) => {
                let mut orders: Vec<_> = new_orders
                    .iter()
                    .map(|new| accept(*new, model.closes))
                    .collect();
                orders.extend(orders.first().filter(|_| twice).cloned());
                let decisions = book.decide(&orders, USERS, now);
                model.expire();
                prop_assert_eq!(decisions.len(), orders.len());
                if twice {
                    let first = decisions[0].ticket().clone();
                    prop_assert_eq!(decisions.last(), Some(&Decision::Replayed(first)));
                }
                for ((new, order), decision) in new_orders.iter().zip(orders).zip(&decisions) {
                    same(decision, model.decide(order, *new))?;
                }
            }
            Step::Replay(which, new) if count > 0 => {
                let again = which.index(count);
                let first = model.tickets[again].order.clone();
                let new = new.map(|new| (new, accept(new, model.closes)));
                // The same id twice in one batch, around another order.
                let mut batch = vec![first.clone()];
                batch.extend(new.as_ref().map(|(_, order)| order.clone()));
                batch.push(first);
                let decisions = book.decide(&batch, USERS, now);
                model.expire();
                for decision in [&decisions[0], &decisions[decisions.len() - 1]] {
                    let Decision::Replayed(ticket) = decision else {
                        return Err(TestCaseError::fail(format!("decided again: {decision:?}")));
                    };
                    prop_assert_eq!(ticket.status, model.tickets[again].status);
                }
                if let Some((new, order)) = new {
                    same(&decisions[1], model.decide(order, new))?;
                }
            }
            Step::Conflict(which) if count > 0 => {
                let first = model.tickets[which.index(count)].order.clone();
                let other = order(&receipts, 0, first.quantity.seats() + 1, first.requested_at);
                let copy = Order {
                    ticket_id: first.ticket_id,
                    user_id: first.user_id.clone(),
                    ..other
                };
                let decisions = book.decide(&[copy], USERS, now);
                model.expire();
                let Decision::Conflict(ticket) = &decisions[0] else {
                    return Err(TestCaseError::fail(format!("no conflict: {decisions:?}")));
                };
                prop_assert_eq!(&ticket.order, &first);
            }
            Step::Confirm(which) if count > 0 => {
                let ticket = which.index(count);
                let id = model.tickets[ticket].order.ticket_id;
                let outcome = Expected::from(book.confirm(id, now));
                prop_assert_eq!(outcome, model.confirm(ticket));
            }
            Step::Cancel(which) if count > 0 => {
                let ticket = which.index(count);
                let id = model.tickets[ticket].order.ticket_id;
                let outcome = Expected::from(book.cancel(id, now));
                prop_assert_eq!(outcome, model.cancel(ticket));
            }
            Step::Sweep => prop_assert_eq!(book.sweep(now), model.expire()),
            Step::Wait(micros) => model.now += micros,
            Step::WaitForHold(beside) => {
                let held = model
                    .tickets
                    .iter()
                    .filter(|t| t.status == Status::Reserved);
                let next = held.filter_map(|ticket| ticket.expires).min();
                model.now = model.now.max(next.unwrap_or(model.now) + beside);
            }
            Step::Change(new) => change(&mut book, &mut model, new)?,
            Step::Replay(..) | Step::Conflict(_) | Step::Confirm(_) | Step::Cancel(_) => {}
        }
        let seats = book.ledger.seats();
        prop_assert_eq!((seats.held, seats.sold), (model.held(), model.sold()));
        prop_assert_eq!(seats.total(), u64::from(model.capacity));
        prop_assert_eq!(book.ledger.seq(), model.steps);
    }
    for ticket in &model.tickets {
        let stored = &book.tickets[&ticket.order.ticket_id];
        prop_assert_eq!(stored.status, ticket.status);
        // The verdict is what it was at first, whatever happened since.
        match stored.verdict {
            Verdict::Rejected(reason) => prop_assert_eq!(Some(reason), ticket.reason),
            Verdict::Reserved { hold_expires_at } => {
                prop_assert_eq!(Some(hold_expires_at.as_micros()), ticket.expires);
            }
            Verdict::Confirmed => {
                prop_assert_eq!((ticket.reason, ticket.expires), (None, None));
            }
        }
    }
    let audit = book.audit();
    prop_assert_eq!(audit.violations, 0, "{:?}", audit.examples);
    prop_assert_eq!(audit.verdicts.total(), model.tickets.len() as u64);
    Ok(())
}

fn change(book: &mut Book, model: &mut Model, new: NewTerms) -> TestCaseResult {
    let change = ShowChange {
        capacity: new.capacity.map(|seats| Capacity::new(seats).unwrap()),
        max_per_user: new.max_per_user.and_then(NonZeroU32::new),
        hold: new.hold_seconds.map(|hold| HoldSeconds::new(hold).unwrap()),
        ..ShowChange::default()
    };
    let (held, sold) = (model.held(), model.sold());
    let changes = new.capacity.is_some_and(|it| it != model.capacity)
        || new.max_per_user.is_some_and(|it| it != model.max_per_user)
        || new.hold_seconds.is_some_and(|it| it != model.hold_seconds);
    let outcome = book.change_terms(&change, at(model.now));
    if new.capacity.is_some_and(|capacity| capacity < held + sold) {
        prop_assert_eq!(outcome, Err(TermsRefused::BelowHeldAndSold { held, sold }));
        return Ok(());
    }
    prop_assert_eq!(outcome, Ok(changes));
    model.steps += u64::from(changes);
    model.capacity = new.capacity.unwrap_or(model.capacity);
    model.max_per_user = new.max_per_user.unwrap_or(model.max_per_user);
    model.hold_seconds = new.hold_seconds.unwrap_or(model.hold_seconds);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        // A failing sequence is printed whole; it belongs into a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_history_is_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        run(steps)?;
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
