//! A sale in which everything is right, and each way to break it.

use super::*;
use crate::proof::audit::{AuditedRejections, AuditedShow, AuditedVerdicts};
use crate::proof::history::{Change, History, Journaled};
use crate::proof::order::PlannedOrder;
use crate::proof::ticket::States;

const STARTED_AT: i64 = 1_000_000_000;

/// A sale in which everything is right: a show with three seats and holds, one
/// without seats that the gate refuses, and an order of each kind.
struct Sale {
    plan: Vec<PlannedOrder>,
    told: Vec<Told>,
    stored: Vec<StoredTicket>,
    journal: Vec<Journaled>,
    audited: Vec<(u32, AuditedShow)>,
    contradictions: Vec<String>,
}

const fn id(order: u128) -> Uuid {
    Uuid::from_u128(order + 1)
}

fn at(second: i64) -> i64 {
    STARTED_AT + second * 1_000_000
}

fn audit(capacity: u64, sold: u64, changes: u64, [reserved, sold_out]: [u64; 2]) -> AuditedShow {
    AuditedShow {
        show_id: String::new(),
        capacity,
        available: capacity - sold,
        held: 0,
        sold,
        changes,
        verdicts: AuditedVerdicts {
            reserved,
            confirmed: 0,
            rejected: AuditedRejections {
                sold_out,
                ..AuditedRejections::default()
            },
        },
        inversions: 0,
        violations: 0,
        examples: Vec::new(),
    }
}

impl Sale {
    #[expect(clippy::too_many_lines, reason = "one sale with an order of each kind")]
    fn new() -> Self {
        let order = |user: u32, reader: Reader, intent: Intent| PlannedOrder {
            at_micros: u64::from(user) * 1_000_000,
            user,
            show: 0,
            quantity: 1,
            think_ms: 0,
            reader,
            intent,
            keyed: false,
            repeated: false,
        };
        let ticket = |order: u32, verdict: State, state: State| StoredTicket {
            id: id(u128::from(order)),
            show: 0,
            user: order,
            quantity: 1,
            verdict,
            state,
            requested_at: at(i64::from(order)),
            decided_at: at(i64::from(order)),
            decision_seq: u64::from(order) + 2,
        };
        let states = |heard: &[State]| {
            let mut states = States::default();
            heard.iter().for_each(|state| states.add(*state));
            states
        };
        let told = |order: u128, heard: &[State], change: ChangeAnswer| Told {
            sent: 0,
            answered: 1,
            heard: 2,
            ticket: Some(id(order)),
            answer: Answer::Accepted,
            states: states(heard),
            notified: states(heard),
            subscribed: true,
            change,
            sends: 1,
            ..Told::default()
        };
        use State::{Cancelled, Confirmed, Expired, Reserved, SoldOut};
        Self {
            plan: vec![
                order(0, Reader::WebSocket, Intent::Confirm),
                order(1, Reader::Poll, Intent::Cancel),
                order(2, Reader::WebSocket, Intent::Lapse),
                order(3, Reader::Poll, Intent::Confirm),
                PlannedOrder {
                    show: 1,
                    ..order(4, Reader::Absent, Intent::Confirm)
                },
            ],
            told: vec![
                told(0, &[Reserved, Confirmed], ChangeAnswer::Done),
                told(1, &[Reserved, Cancelled], ChangeAnswer::Done),
                told(2, &[Reserved, Expired], ChangeAnswer::NotAsked),
                told(3, &[SoldOut], ChangeAnswer::NotAsked),
                Told {
                    sent: 4_500_000,
                    answered: 4_600_000,
                    answer: Answer::SoldOutByGate,
                    sends: 1,
                    ..Told::default()
                },
            ],
            stored: vec![
                ticket(0, Reserved, Confirmed),
                ticket(1, Reserved, Cancelled),
                ticket(2, Reserved, Expired),
                ticket(3, SoldOut, SoldOut),
            ],
            journal: [
                (0, 1, -1, Change::TermsSet { capacity: 3 }),
                (0, 6, 4, Change::Confirmed(id(0))),
                (0, 7, 5, Change::CancelledHeld(id(1))),
                (0, 8, 6, Change::Expired(id(2))),
                (1, 1, -1, Change::TermsSet { capacity: 0 }),
            ]
            .map(|(show, seq, second, change)| Journaled {
                show,
                seq,
                at: at(second),
                change,
            })
            .to_vec(),
            audited: vec![(0, audit(3, 1, 8, [3, 1])), (1, audit(0, 0, 1, [0, 0]))],
            contradictions: Vec::new(),
        }
    }

    fn found(&self) -> Findings {
        let history = History::replay(&self.stored, &self.journal);
        reconcile(&Evidence {
            plan: &self.plan,
            told: &self.told,
            contradictions: (self.contradictions.len() as u64, &self.contradictions),
            stored: &self.stored,
            read: Read::All,
            history: Some(&history),
            audited: &self.audited,
            shows: &[0, 1],
            hold_seconds: 5,
            started_at: STARTED_AT,
        })
    }
}

/// Breaks the sale and expects a finding of the kind.
fn finds(kind: Kind, breaks: impl FnOnce(&mut Sale)) -> Vec<String> {
    let mut sale = Sale::new();
    breaks(&mut sale);
    let found = sale.found();
    assert!(found.count(kind) > 0, "no {kind:?} in {found:#?}");
    let of_kind = found.examples().filter(|(found, _)| *found == kind);
    of_kind.map(|(_, example)| example.to_owned()).collect()
}

#[test]
fn a_sale_in_which_everything_is_right_has_no_findings() {
    let found = Sale::new().found();
    assert_eq!(found, Findings::default());
}

#[test]
fn an_accepted_order_without_a_verdict_is_lost() {
    let found = finds(Kind::Lost, |sale| {
        sale.stored.pop();
    });
    assert_eq!(found, [format!("order 3: ticket {} has no verdict", id(3))]);
}

#[test]
fn one_id_for_two_orders_is_a_duplicate() {
    finds(Kind::Duplicated, |sale| {
        sale.told[3].ticket = sale.told[1].ticket
    });
}

#[test]
fn a_ticket_that_nobody_placed_is_a_duplicate() {
    let more = StoredTicket {
        id: id(9),
        decision_seq: 9,
        ..Sale::new().stored[3]
    };
    finds(Kind::Duplicated, |sale| sale.stored.push(more));
}

#[test]
fn an_order_without_an_answer_may_have_one_ticket_and_no_more() {
    let mut sale = Sale::new();
    let mut unanswered = sale.plan[3];
    unanswered.reader = Reader::Absent;
    sale.plan.push(unanswered);
    sale.told.push(Told {
        uncertain: true,
        answer: Answer::Unanswered,
        sends: 1,
        ..Told::default()
    });
    assert_eq!(sale.found().total(), 0, "it may not exist");
    let decided = |number: u128, seq: u64, sale: &Sale| StoredTicket {
        id: id(number),
        decision_seq: seq,
        decided_at: at(4),
        ..sale.stored[3]
    };
    // It comes before the seats are given back.
    for entry in &mut sale.journal {
        entry.seq += u64::from(entry.seq >= 6);
    }
    sale.stored.push(decided(9, 6, &sale));
    sale.audited[0].1.changes += 1;
    sale.audited[0].1.verdicts.rejected.sold_out += 1;
    assert_eq!(sale.found(), Findings::default(), "it may exist");
    sale.stored.push(decided(10, 10, &sale));
    assert_eq!(sale.found().count(Kind::Duplicated), 1, "but once only");
}

#[test]
fn more_seats_than_there_are_is_oversold() {
    finds(Kind::Oversold, |sale| {
        sale.journal[0].change = Change::TermsSet { capacity: 2 };
    });
    finds(Kind::Oversold, |sale| sale.audited[0].1.capacity = 0);
    finds(Kind::Oversold, |sale| sale.stored[0].quantity = 5);
}

#[test]
fn a_seat_that_was_refused_and_there_is_undersold() {
    let found = finds(Kind::Undersold, |sale| {
        sale.journal[0].change = Change::TermsSet { capacity: 4 };
    });
    assert!(found[0].contains("sold out for 1 seats while 1 were available"));
    let found = finds(Kind::Undersold, |sale| {
        sale.journal[4].change = Change::TermsSet { capacity: 1 };
    });
    assert!(found[0].contains("the gate refused it although show 1 had seats"));
}

#[test]
fn seats_that_are_left_although_none_came_back_are_undersold() {
    let mut sale = Sale::new();
    for ticket in &mut sale.stored[1..3] {
        ticket.state = State::Confirmed;
    }
    sale.audited[0].1.available = 1;
    assert!(sale.found().count(Kind::Undersold) > 0);
}

#[test]
fn what_the_audit_says_is_found() {
    let found = finds(Kind::Inversions, |sale| {
        let show = &mut sale.audited[0].1;
        (show.inversions, show.violations) = (1, 1);
        show.examples =
            vec!["ticket x: decided after an order that process 1 accepted later".to_owned()];
    });
    assert_eq!(
        found,
        ["show 0: ticket x: decided after an order that process 1 accepted later"]
    );
    finds(Kind::Audit, |sale| sale.audited[0].1.violations = 1);
    finds(Kind::Audit, |sale| {
        sale.audited.pop();
    });
    finds(Kind::Audit, |sale| sale.audited[0].1.changes = 9);
    finds(Kind::Audit, |sale| sale.journal[1].seq = 9);
    finds(Kind::Audit, |sale| sale.audited[0].1.sold = 2);
}

#[test]
fn more_decisions_than_tickets_are_duplicates() {
    finds(Kind::Duplicated, |sale| {
        sale.audited[0].1.verdicts.rejected.sold_out += 1;
    });
}

#[test]
fn a_reader_who_heard_nothing_is_found() {
    finds(Kind::NotNotified, |sale| {
        sale.told[0].notified = States::default()
    });
    let mut verdict_only = States::default();
    verdict_only.add(State::Reserved);
    finds(Kind::NotNotified, |sale| {
        sale.told[2].notified = verdict_only
    });
    finds(Kind::NotNotified, |sale| sale.told[3].heard = NEVER);
}

#[test]
fn a_reader_that_never_subscribed_expects_nothing() {
    let mut sale = Sale::new();
    sale.told[0].notified = States::default();
    sale.told[0].subscribed = false;
    assert_eq!(sale.found().total(), 0);
}

#[test]
fn a_state_that_the_ticket_never_had_is_a_contradiction() {
    finds(Kind::Contradictions, |sale| {
        sale.told[3].states.add(State::Reserved)
    });
    finds(Kind::Contradictions, |sale| {
        sale.told[0].states.add(State::Expired)
    });
}

#[test]
fn an_answer_to_a_change_that_is_not_true_is_a_contradiction() {
    let confirmed = finds(Kind::Contradictions, |sale| {
        sale.stored[0].state = State::Expired
    });
    assert!(
        confirmed
            .iter()
            .any(|found| found.contains("Confirm was answered Done"))
    );
    finds(Kind::Contradictions, |sale| {
        sale.told[0].change = ChangeAnswer::HoldExpired
    });
    finds(Kind::Contradictions, |sale| {
        sale.told[0].change = ChangeAnswer::Refused
    });
    finds(Kind::Contradictions, |sale| {
        sale.told[0].change = ChangeAnswer::NotAsked
    });
    finds(Kind::Contradictions, |sale| {
        sale.told[1].change = ChangeAnswer::NotAsked
    });
}

#[test]
fn a_change_without_an_answer_may_have_happened_or_not() {
    let mut sale = Sale::new();
    sale.told[0].change = ChangeAnswer::Unknown;
    sale.told[1].change = ChangeAnswer::Unknown;
    assert_eq!(sale.found().total(), 0);
}

#[test]
fn another_order_under_the_same_id_is_a_contradiction() {
    finds(Kind::Contradictions, |sale| sale.stored[3].user = 7);
    finds(Kind::Contradictions, |sale| sale.stored[3].quantity = 2);
}

#[test]
fn what_clients_noticed_themselves_counts() {
    let found = finds(Kind::Contradictions, |sale| {
        sale.contradictions = (0..8)
            .map(|number| format!("order {number}: two ids"))
            .collect();
    });
    assert_eq!(found.len(), MAX_EXAMPLES);
}

#[test]
fn without_tickets_counts_tell_what_is_lost_duplicated_and_undersold() {
    let counted = |breaks: fn(&mut AuditedShow)| {
        let mut sale = Sale::new();
        sale.audited[0].1.changes = 5;
        breaks(&mut sale.audited[0].1);
        reconcile(&Evidence {
            plan: &sale.plan,
            told: &sale.told,
            contradictions: (0, &[]),
            stored: &[],
            read: Read::None,
            history: None,
            audited: &sale.audited,
            shows: &[0, 1],
            hold_seconds: 0,
            started_at: STARTED_AT,
        })
    };
    let seatless = |audit: &mut AuditedShow| (audit.capacity, audit.available) = (1, 0);
    assert_eq!(counted(seatless), Findings::default());
    let lost = counted(|audit| {
        audit.verdicts.reserved -= 1;
        audit.changes -= 1;
    });
    assert_eq!(lost.count(Kind::Lost), 1);
    let twice = counted(|audit| {
        audit.verdicts.reserved += 2;
        audit.changes += 2;
    });
    assert_eq!(twice.count(Kind::Duplicated), 2);
    assert_eq!(counted(|audit| audit.changes += 1).count(Kind::Audit), 1);
    assert_eq!(counted(|_| {}).count(Kind::Undersold), 1);
}

#[test]
fn holds_that_go_on_are_found() {
    finds(Kind::HoldsNotEnded, |sale| sale.audited[0].1.held = 1);
}
