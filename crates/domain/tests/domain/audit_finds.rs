//! Histories with one planted fault each: the audit finds it, by its name.

use domain::audit::Violation;
use domain::journal::{Change, HistoryEntry, SeatsFrom};
use domain::show::{Capacity, SalesWindow, SeatCounts, ShowChange, ShowStanding};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};

use crate::book::{Book, at, audit, order, receipts, terms, user_id};

const SECOND: i64 = 1_000_000;

/// A show of 3 seats, 2 per user, held for 10 s. Steps by index, `seq` one more:
/// 0 terms, 1 to 3 reserved by users 0, 1, 2, 4 sold out, 5 limit exceeded,
/// 6 the ticket of step 1 confirmed, 7 that of step 2 cancelled, 8 that of step 3 expired,
/// 9 terms (closing), 10 sales closed.
fn sale() -> (Vec<HistoryEntry>, ShowStanding) {
    let mut book = Book::open(terms(3, 2, 10));
    let receipts = receipts();
    let mut place = 0;
    let mut decide = |book: &mut Book, user, seats, now| {
        place += 1;
        let order = order(&receipts, user, seats, at(place));
        book.decide(std::slice::from_ref(&order), 5, at(now));
        order.ticket_id
    };
    let first = decide(&mut book, 0, 1, SECOND);
    let second = decide(&mut book, 1, 1, SECOND);
    decide(&mut book, 2, 1, SECOND);
    decide(&mut book, 3, 1, SECOND);
    decide(&mut book, 0, 2, SECOND);
    book.confirm(first, at(2 * SECOND));
    book.cancel(second, at(3 * SECOND));
    assert_eq!(book.sweep(at(11 * SECOND)), 1);
    let closing = ShowChange {
        sales_close_at: Some(Some(at(6))),
        ..ShowChange::default()
    };
    book.change_terms(&closing, at(12 * SECOND)).unwrap();
    decide(&mut book, 4, 1, 13 * SECOND);
    let sale = (book.history(), book.standing());
    assert_eq!(sale.0.len(), 11);
    sale
}

fn found(history: Vec<HistoryEntry>, standing: &ShowStanding) -> Vec<Violation> {
    let audit = audit(history, standing);
    assert_eq!(audit.violations, audit.examples.len() as u64);
    audit.examples
}

fn ticket(history: &mut [HistoryEntry], step: usize) -> &mut Ticket {
    match &mut history[step] {
        HistoryEntry::Decided(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn change(history: &mut [HistoryEntry], step: usize) -> &mut Change {
    match &mut history[step] {
        HistoryEntry::Changed(entry) => &mut entry.change,
        other => panic!("{other:?}"),
    }
}

/// What the audit finds after `plant`.
fn after(plant: impl FnOnce(&mut Vec<HistoryEntry>, &mut ShowStanding)) -> Vec<Violation> {
    let (mut history, mut standing) = sale();
    plant(&mut history, &mut standing);
    found(history, &standing)
}

/// These and nothing else; tickets are compared with the ledger in no particular sequence.
macro_rules! assert_finds {
    ($found:expr, $($violation:pat),+ $(,)?) => {{
        let found = $found;
        $(assert!(found.iter().any(|one| matches!(one, $violation)), "{found:#?}");)+
        assert_eq!(found.len(), [$(stringify!($violation)),+].len(), "{found:#?}");
    }};
}

#[test]
fn nothing_in_a_clean_history() {
    assert_eq!(after(|_, _| {}), []);
}

#[test]
fn a_missing_change() {
    assert_finds!(
        after(|history, _| drop(history.remove(4))),
        Violation::SeqGap {
            expected: 5,
            found: 6
        }
    );
}

#[test]
fn a_missing_end() {
    assert_finds!(
        after(|history, _| drop(history.pop())),
        Violation::SeqGap {
            expected: 11,
            found: 10
        }
    );
}

#[test]
fn a_show_without_terms() {
    let only_an_order = after(|history, standing| {
        *history = vec![history.swap_remove(4)];
        ticket(history, 0).decision_seq = Some(1);
        standing.seq = 1;
        standing.seats = SeatCounts::default();
    });
    assert_finds!(
        only_an_order,
        Violation::NoTerms { seq: 1 },
        Violation::TermsDiffer
    );
}

#[test]
fn a_seat_sold_twice() {
    let oversold = after(|history, _| {
        let seats_for_all = ticket(history, 1).verdict;
        let refused = ticket(history, 4);
        refused.verdict = seats_for_all;
        refused.status = Status::Reserved;
    });
    assert_finds!(
        oversold,
        Violation::Overdrawn {
            seq: 5,
            counter: "available",
            wanted: 1,
            had: 0
        },
        Violation::CountersDiffer { .. },
    );
}

#[test]
fn a_capacity_below_what_is_sold() {
    let shrunk = after(|history, standing| {
        standing.show.terms.capacity = Capacity::new(0).unwrap();
        *change(history, 9) = Change::TermsSet(standing.show.terms.clone());
    });
    assert_finds!(shrunk, Violation::CapacityBelowCommitted { seq: 10 });
}

#[test]
fn a_rejection_for_want_of_seats_that_there_were() {
    let undersold = after(|history, _| {
        ticket(history, 10).verdict = Verdict::Rejected(RejectionReason::SoldOut);
    });
    assert_finds!(undersold, Violation::WronglySoldOut { available: 2, .. });
}

#[test]
fn a_limit_that_was_not_applied() {
    let greedy = after(|history, _| {
        for step in [2, 3] {
            ticket(history, step).order.user_id = user_id(0);
        }
    });
    assert_finds!(
        greedy,
        Violation::LimitBroken {
            live: 3,
            max: 2,
            ..
        }
    );
}

#[test]
fn a_limit_that_was_not_reached() {
    let limited = after(|history, _| {
        ticket(history, 4).verdict = Verdict::Rejected(RejectionReason::LimitExceeded);
    });
    assert_finds!(
        limited,
        Violation::WronglyLimited {
            live: 1,
            max: 2,
            ..
        }
    );
}

#[test]
fn a_sales_window_that_was_ignored_either_way() {
    let refused = after(|history, _| {
        ticket(history, 4).verdict = Verdict::Rejected(RejectionReason::SalesClosed);
    });
    assert_finds!(refused, Violation::WindowIgnored { .. });
    let sold = after(|history, standing| {
        standing.seats.available -= 1;
        standing.seats.held += 1;
        let late = ticket(history, 10);
        late.status = Status::Reserved;
        late.verdict = Verdict::Reserved {
            hold_expires_at: late.decided_at.plus_seconds(10),
        };
    });
    assert_finds!(sold, Violation::WindowIgnored { .. });
}

#[test]
fn a_hold_of_the_wrong_length_or_missing() {
    let longer = after(|history, _| {
        ticket(history, 1).verdict = Verdict::Reserved {
            hold_expires_at: at(SECOND).plus_seconds(11),
        };
    });
    assert_finds!(longer, Violation::WrongHold { .. });
    let none = after(|history, _| ticket(history, 1).verdict = Verdict::Confirmed);
    assert_finds!(
        none,
        Violation::WrongHold { .. },
        Violation::ImpossibleChange {
            seq: 7,
            status: "confirmed",
            ..
        }
    );
}

#[test]
fn a_reason_that_the_history_contradicts() {
    let impossible = after(|history, _| {
        ticket(history, 4).verdict = Verdict::Rejected(RejectionReason::ShowNotFound);
    });
    assert_finds!(
        impossible,
        Violation::ImpossibleReason {
            reason: RejectionReason::ShowNotFound,
            ..
        }
    );
}

#[test]
fn a_ticket_decided_twice() {
    let twice = after(|history, _| {
        let id = ticket(history, 4).order.ticket_id;
        ticket(history, 5).order.ticket_id = id;
    });
    assert_finds!(twice, Violation::DecidedTwice { .. });
}

#[test]
fn a_change_that_does_not_follow() {
    let from_sold = after(|history, _| {
        let Change::Cancelled(id, _) = *change(history, 7) else {
            panic!("not a cancellation");
        };
        *change(history, 7) = Change::Cancelled(id, SeatsFrom::Sold);
    });
    assert_finds!(
        from_sold,
        Violation::ImpossibleChange {
            seq: 8,
            status: "reserved",
            ..
        },
        Violation::CountersDiffer { .. },
    );
    let rejected = after(|history, _| {
        let id = ticket(history, 4).order.ticket_id;
        *change(history, 6) = Change::Confirmed(id);
    });
    assert_finds!(
        rejected,
        Violation::ImpossibleChange {
            seq: 7,
            status: "rejected",
            ..
        },
        Violation::CountersDiffer { .. },
    );
}

#[test]
fn both_sides_of_the_end_of_a_hold() {
    let set_time = |step: usize, seconds: i64, micros: i64| {
        after(|history, _| match &mut history[step] {
            HistoryEntry::Changed(entry) => entry.at = at(seconds * SECOND + micros),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(set_time(6, 11, -1), []);
    assert_finds!(set_time(6, 11, 0), Violation::HoldBoundary { seq: 7, .. });
    assert_finds!(set_time(7, 11, 0), Violation::HoldBoundary { seq: 8, .. });
    assert_finds!(set_time(8, 11, -1), Violation::HoldBoundary { seq: 9, .. });
}

#[test]
fn an_order_that_was_overtaken() {
    let inverted = after(|history, _| {
        let early = ticket(history, 2).order.requested_at;
        let late = std::mem::replace(&mut ticket(history, 3).order.requested_at, early);
        ticket(history, 2).order.requested_at = late;
    });
    assert!(
        matches!(inverted[..], [Violation::Inversion { .. }]),
        "{inverted:?}"
    );
    let redriven = after(|history, _| {
        let early = ticket(history, 2).order.requested_at;
        let late = std::mem::replace(&mut ticket(history, 3).order.requested_at, early);
        ticket(history, 2).order.requested_at = late;
        ticket(history, 3).order.redriven = true;
    });
    assert_eq!(redriven, []);
}

#[test]
fn counters_that_no_history_leads_to() {
    let one_more = after(|_, standing| {
        standing.seats.sold += 1;
        standing.seats.available -= 1;
    });
    assert!(
        matches!(one_more[..], [Violation::CountersDiffer { .. }]),
        "{one_more:?}"
    );
}

#[test]
fn terms_that_nobody_set() {
    let other = after(|_, standing| standing.show.terms.window = SalesWindow::default());
    assert_eq!(other, [Violation::TermsDiffer]);
}

#[test]
fn a_stored_status_that_its_history_does_not_lead_to() {
    let lost = after(|history, _| ticket(history, 1).status = Status::Cancelled);
    assert_finds!(
        lost,
        Violation::StatusDiffers {
            stored: "cancelled",
            replayed: "confirmed",
            ..
        }
    );
    let stale = after(|history, _| ticket(history, 1).version = 1);
    assert_finds!(stale, Violation::StatusDiffers { .. });
}

/// The history goes on while it is read: what is newer than the standing is no fault.
#[test]
fn no_fault_in_what_happened_after_the_standing_was_read() {
    let (mut history, standing) = sale();
    let newer = ticket(&mut history, 1);
    newer.status = Status::Cancelled;
    newer.version = 3;
    assert_eq!(found(history, &standing), []);
}

/// What happened after the standing was read is none of this audit's business.
#[test]
fn the_audit_ends_where_the_standing_was_read() {
    let mut book = Book::open(terms(3, 2, 10));
    let receipts = receipts();
    let first = order(&receipts, 0, 1, at(1));
    let id = first.ticket_id;
    book.decide(&[first], 5, at(SECOND));
    let standing = book.standing();
    book.confirm(id, at(2 * SECOND));
    book.decide(&[order(&receipts, 1, 2, at(2))], 5, at(2 * SECOND));
    let audit = audit(book.history(), &standing);
    assert_eq!(audit.violations, 0, "{:?}", audit.examples);
    assert_eq!((audit.changes, audit.verdicts.total()), (2, 1));
}

#[test]
fn every_fault_is_counted_though_not_every_one_is_told() {
    let (mut history, mut standing) = sale();
    let closed = ticket(&mut history, 10).clone();
    for seq in 12..42 {
        // Decided again, and undersold.
        let mut again = closed.clone();
        again.verdict = Verdict::Rejected(RejectionReason::SoldOut);
        again.order.redriven = true;
        again.decision_seq = Some(seq);
        history.push(HistoryEntry::Decided(again));
        standing.seq = seq;
    }
    let audit = audit(history, &standing);
    assert_eq!(audit.violations, 60);
    assert!((1..60).contains(&audit.examples.len()));
}

/// Longer than the audit reads at a time.
#[test]
fn a_long_history_is_read_to_its_end() {
    const ORDERS: u32 = 20_500;
    let mut book = Book::open(terms(ORDERS - 100, ORDERS, 0));
    let receipts = receipts();
    let orders: Vec<_> = (1..=i64::from(ORDERS))
        .map(|place| order(&receipts, 0, 1, at(place)))
        .collect();
    book.decide(&orders, 1, at(SECOND));
    let audit = book.audit();
    assert_eq!(audit.violations, 0, "{:?}", audit.examples);
    assert_eq!(audit.changes, u64::from(ORDERS) + 1);
    assert_eq!(audit.verdicts.confirmed, u64::from(ORDERS) - 100);
    assert_eq!(audit.verdicts.rejected_for(RejectionReason::SoldOut), 100);
}

#[test]
fn what_was_replayed_is_summed_up() {
    let (mut history, standing) = sale();
    let earliest = ticket(&mut history, 1).order.requested_at;
    ticket(&mut history, 2).order.requested_at = earliest;
    let audit = audit(history, &standing);
    assert_eq!(audit.show_id, standing.show.id);
    assert_eq!((audit.capacity, audit.seats), (3, standing.seats));
    assert_eq!(
        (audit.changes, audit.inversions, audit.violations),
        (11, 1, 1)
    );
    let verdicts = audit.verdicts;
    assert_eq!(
        (verdicts.reserved, verdicts.confirmed, verdicts.total()),
        (3, 0, 6)
    );
    for reason in [
        RejectionReason::SoldOut,
        RejectionReason::LimitExceeded,
        RejectionReason::SalesClosed,
    ] {
        assert_eq!(verdicts.rejected_for(reason), 1, "{reason:?}");
    }
}
