//! Shows: the audit of each, beside its tickets or, where nobody has read those, their number;
//! and beside the replay of its changes.

use std::collections::{HashMap, HashSet};

use crate::proof::audit::{AuditedShow, AuditedVerdicts};
use crate::proof::evidence::{Evidence, Read};
use crate::proof::findings::{Findings, Kind};
use crate::proof::history::History;
use crate::proof::ticket::{State, StoredTicket};
use crate::proof::told::Answer;

/// Of every show what can be wrong with it.
pub(super) fn check(found: &mut Findings, evidence: &Evidence<'_>) {
    let Evidence {
        plan,
        told,
        stored,
        audited,
        shows,
        ..
    } = evidence;
    let mut by_show: HashMap<u32, Vec<&StoredTicket>> = HashMap::new();
    for ticket in *stored {
        by_show.entry(ticket.show).or_default().push(ticket);
    }
    let mut accepted: HashMap<u32, u64> = HashMap::new();
    let orders = plan.iter().zip(told.iter());
    for (order, _) in orders.filter(|(_, told)| told.answer == Answer::Accepted) {
        *accepted.entry(order.show).or_default() += 1;
    }
    let known: HashSet<u32> = audited.iter().map(|(show, _)| *show).collect();
    for missing in shows.iter().filter(|show| !known.contains(show)) {
        found.add(Kind::Audit, || {
            format!("the audit does not know show {missing}")
        });
    }
    for (show, audit) in *audited {
        check_audit(found, evidence, *show, audit);
        if evidence.read == Read::None {
            let accepted = accepted.get(show).copied().unwrap_or_default();
            check_counts(found, *show, audit, accepted);
        } else {
            let tickets = by_show.remove(show).unwrap_or_default();
            check_verdicts(found, evidence, *show, audit, &tickets);
            check_refusals(found, audit, &tickets);
        }
    }
}

/// What the audit says of a show by itself.
fn check_audit(found: &mut Findings, evidence: &Evidence<'_>, show: u32, audit: &AuditedShow) {
    found.add_many(Kind::Inversions, audit.inversions, || {
        format!("show {show}: {}", example(audit, "accepted later"))
    });
    let others = audit.violations.saturating_sub(audit.inversions);
    found.add_many(Kind::Audit, others, || {
        format!("show {show}: {}", example(audit, ""))
    });
    let taken = audit.held + audit.sold;
    if taken > audit.capacity {
        found.add_many(Kind::Oversold, taken - audit.capacity, || {
            format!("show {show}: {taken} of {} seats", audit.capacity)
        });
    }
    if audit.available + taken != audit.capacity {
        found.add(Kind::Audit, || {
            format!("show {show}: its seats do not add up: {audit:?}")
        });
    }
    if evidence.hold_seconds > 0 && audit.held > 0 {
        found.add_many(Kind::HoldsNotEnded, audit.held, || {
            format!("show {show}: {} seats are still held", audit.held)
        });
    }
}

/// Of a show whose tickets nobody has read: every accepted order was decided, and
/// nothing else happened than that.
fn check_counts(found: &mut Findings, show: u32, audit: &AuditedShow, accepted: u64) {
    let decided = audit.verdicts.total();
    let words = || format!("show {show}: {accepted} orders were accepted, {decided} decided");
    found.add_many(Kind::Lost, accepted.saturating_sub(decided), words);
    found.add_many(Kind::Duplicated, decided.saturating_sub(accepted), words);
    if audit.changes != decided + 1 {
        found.add(Kind::Audit, || {
            format!(
                "show {show}: {} changes after {decided} decisions",
                audit.changes
            )
        });
    }
    let refused = audit.verdicts.rejected.sold_out;
    if audit.available > 0 {
        found.add_many(Kind::Undersold, refused, || {
            format!(
                "show {show}: {refused} orders were sold out, and {} seats are left",
                audit.available
            )
        });
    }
}

/// What the audit counts, beside the tickets.
fn check_verdicts(
    found: &mut Findings,
    evidence: &Evidence<'_>,
    show: u32,
    audit: &AuditedShow,
    tickets: &[&StoredTicket],
) {
    let live = |state: State| -> u64 {
        let in_state = tickets.iter().filter(|ticket| ticket.state == state);
        in_state.map(|ticket| u64::from(ticket.quantity)).sum()
    };
    let (held, sold) = (live(State::Reserved), live(State::Confirmed));
    let decided = count_verdicts(tickets);
    if held + sold > audit.capacity {
        found.add_many(Kind::Oversold, held + sold - audit.capacity, || {
            format!(
                "show {show}: tickets have {} of {} seats",
                held + sold,
                audit.capacity
            )
        });
    }
    // Over HTTP, only tickets that clients can name are known.
    let is_known = evidence.read == Read::All || decided == audit.verdicts;
    if is_known && (held, sold) != (audit.held, audit.sold) {
        found.add(Kind::Audit, || {
            format!(
                "show {show}: tickets hold {held} and have {sold} seats, the audit says {} and {}",
                audit.held, audit.sold
            )
        });
    }
    if decided != audit.verdicts {
        let (ours, theirs) = (decided.total(), audit.verdicts.total());
        let kind = if theirs > ours {
            Kind::Duplicated
        } else {
            Kind::Audit
        };
        found.add_many(kind, theirs.abs_diff(ours).max(1), || {
            format!(
                "show {show}: the audit counts {theirs} decisions {:?}, the tickets are {ours} {decided:?}",
                audit.verdicts
            )
        });
    }
}

/// Where seats never came back, what is left now was there all the time.
fn check_refusals(found: &mut Findings, audit: &AuditedShow, tickets: &[&StoredTicket]) {
    let came_back = tickets
        .iter()
        .any(|ticket| matches!(ticket.state, State::Expired | State::Cancelled));
    if came_back {
        return;
    }
    for ticket in tickets {
        if ticket.verdict == State::SoldOut && u64::from(ticket.quantity) <= audit.available {
            found.add(Kind::Undersold, || {
                format!(
                    "ticket {}: sold out for {} seats, and {} are left",
                    ticket.id, ticket.quantity, audit.available
                )
            });
        }
    }
}

/// The replay of every change, beside the audit and what the gate refused.
pub(super) fn check_history(found: &mut Findings, evidence: &Evidence<'_>, history: &History) {
    let words = [
        (Kind::Audit, &history.gaps),
        (Kind::Oversold, &history.overdrawn),
        (Kind::Undersold, &history.wrongly_sold_out),
    ];
    for (kind, words) in words {
        for word in words {
            found.add(kind, || word.clone());
        }
    }
    for (show, audit) in evidence.audited {
        let end = history
            .end_of(*show)
            .map(|(seq, seats)| (seq, seats.available));
        let audited = (audit.changes, i64::try_from(audit.available).unwrap_or(-1));
        if end != Some(audited) {
            found.add(Kind::Audit, || {
                format!("show {show}: the replay ends with {end:?}, the audit with {audited:?}")
            });
        }
    }
    let instant = |micros: u64| {
        let micros = i64::try_from(micros).unwrap_or_default();
        evidence.started_at + micros
    };
    let orders = evidence.plan.iter().zip(evidence.told);
    for (number, (order, told)) in orders.enumerate() {
        let is_wrong = told.answer == Answer::SoldOutByGate
            && !history.may_be_refused(order.show, instant(told.sent), instant(told.answered));
        if is_wrong {
            found.add(Kind::Undersold, || {
                format!(
                    "order {number}: the gate refused it although show {} had seats",
                    order.show
                )
            });
        }
    }
}

/// The audit's first example with this in it, or else the first.
fn example<'a>(audit: &'a AuditedShow, with: &str) -> &'a str {
    let mut examples = audit.examples.iter();
    let found = examples.find(|example| example.contains(with));
    found
        .or_else(|| audit.examples.first())
        .map_or("", String::as_str)
}

fn count_verdicts(tickets: &[&StoredTicket]) -> AuditedVerdicts {
    let mut counts = AuditedVerdicts::default();
    for ticket in tickets {
        let count = match ticket.verdict {
            State::Reserved => &mut counts.reserved,
            State::Confirmed => &mut counts.confirmed,
            State::SoldOut => &mut counts.rejected.sold_out,
            State::LimitExceeded => &mut counts.rejected.limit_exceeded,
            State::SalesClosed => &mut counts.rejected.sales_closed,
            _ => &mut counts.rejected.user_not_found,
        };
        *count += 1;
    }
    counts
}
