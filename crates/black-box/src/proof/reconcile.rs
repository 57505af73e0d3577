//! Finds every difference between what clients were told and what happened.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::audit::{AuditedShow, AuditedVerdicts};
use super::history::History;
use super::order::{Intent, PlannedOrder, Reader};
use super::ticket::{State, StoredTicket};
use super::told::{Answer, ChangeAnswer, NEVER, Told};

/// Examples that are kept of each kind.
const MAX_EXAMPLES: usize = 5;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Accepted, and never decided.
    Lost,
    /// One order, several tickets; or one ticket, several orders.
    Duplicated,
    /// More seats given than there are.
    Oversold,
    /// Seats refused that there were.
    Undersold,
    /// A later order decided before an earlier one.
    Inversions,
    /// A reader never heard what happened to its ticket.
    NotNotified,
    /// Two answers, or an answer and the store, cannot both be true.
    Contradictions,
    /// Holds that did not end in their time.
    HoldsNotEnded,
    /// Anything else that the audit or the replay found.
    Audit,
}

impl Kind {
    /// All of them, in the sequence of reports.
    pub const ALL: [Self; 9] = [
        Self::Lost,
        Self::Duplicated,
        Self::Oversold,
        Self::Undersold,
        Self::Inversions,
        Self::NotNotified,
        Self::Contradictions,
        Self::HoldsNotEnded,
        Self::Audit,
    ];

    /// The field's name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Oversold => "oversold",
            Self::Undersold => "undersold",
            Self::Inversions => "inversions",
            Self::NotNotified => "not_notified",
            Self::Contradictions => "contradictions",
            Self::HoldsNotEnded => "holds_not_ended",
            Self::Audit => "audit",
        }
    }
}

/// What was found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    counts: BTreeMap<Kind, u64>,
    examples: BTreeMap<Kind, Vec<String>>,
}

impl Findings {
    fn add(&mut self, kind: Kind, example: impl FnOnce() -> String) {
        self.add_many(kind, 1, example);
    }

    fn add_many(&mut self, kind: Kind, count: u64, example: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        *self.counts.entry(kind).or_default() += count;
        let examples = self.examples.entry(kind).or_default();
        if examples.len() < MAX_EXAMPLES {
            examples.push(example());
        }
    }

    /// How often.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The first of each kind, in words.
    pub fn examples(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.examples
            .iter()
            .flat_map(|(kind, examples)| examples.iter().map(|example| (*kind, example.as_str())))
    }
}

/// Which of the decided tickets were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// All that there are.
    All,
    /// Those that clients can name.
    Named,
    /// None: the audit's counts are all that is known of them.
    None,
}

/// All that is known after a sale.
pub struct Evidence<'a> {
    /// Every order, by its number.
    pub plan: &'a [PlannedOrder],
    /// What the client of each was told.
    pub told: &'a [Told],
    /// Answers that could not be true, as they came: how many, and the first of them.
    pub contradictions: (u64, &'a [String]),
    /// Decided tickets.
    pub stored: &'a [StoredTicket],
    /// Which tickets these are.
    pub read: Read,
    /// The replay of every change, where the store can be read.
    pub history: Option<&'a History>,
    /// The audit of the run's shows, by number.
    pub audited: &'a [(u32, AuditedShow)],
    /// Shows of the sale.
    pub shows: &'a [u32],
    /// Time to confirm.
    pub hold_seconds: u32,
    /// The start, in µs since 1970.
    pub started_at: i64,
}

/// Every difference.
#[must_use]
pub fn reconcile(evidence: &Evidence<'_>) -> Findings {
    let mut proof = Proof {
        evidence,
        found: Findings::default(),
        by_id: evidence
            .stored
            .iter()
            .map(|ticket| (ticket.id, ticket))
            .collect(),
    };
    let (count, words) = evidence.contradictions;
    for word in words.iter().take(MAX_EXAMPLES) {
        proof.found.add(Kind::Contradictions, || word.clone());
    }
    let rest = count.saturating_sub(words.len().min(MAX_EXAMPLES) as u64);
    proof
        .found
        .add_many(Kind::Contradictions, rest, || "and more answers".to_owned());
    proof.match_orders_and_tickets();
    for (order, told) in evidence.told.iter().enumerate() {
        proof.check_order(order, told);
    }
    proof.check_shows();
    if let Some(history) = evidence.history {
        proof.check_history(history);
    }
    proof.found
}

struct Proof<'a> {
    evidence: &'a Evidence<'a>,
    found: Findings,
    by_id: HashMap<Uuid, &'a StoredTicket>,
}

impl Proof<'_> {
    /// Every ticket is that of one order, and every order has at most one.
    fn match_orders_and_tickets(&mut self) {
        let Evidence {
            plan, told, stored, ..
        } = self.evidence;
        let mut named: HashMap<Uuid, usize> = HashMap::with_capacity(told.len());
        for (order, told) in told.iter().enumerate() {
            let Some(id) = told.ticket else { continue };
            if let Some(other) = named.insert(id, order) {
                self.found.add(Kind::Duplicated, || {
                    format!("orders {other} and {order} were given one id, {id}")
                });
            }
        }
        if stored.len() != self.by_id.len() {
            let more = (stored.len() - self.by_id.len()) as u64;
            self.found.add_many(Kind::Duplicated, more, || {
                "ids that are stored twice".to_owned()
            });
        }
        // Orders of which no client knows whether they exist, by what they ask for.
        let mut doubtful: HashMap<(u32, u32, u32), u64> = HashMap::new();
        for (order, told) in plan.iter().zip(told.iter()) {
            if told.uncertain && told.ticket.is_none() {
                let wanted = (order.user, order.show, order.quantity);
                *doubtful.entry(wanted).or_default() += 1;
            }
        }
        for ticket in stored
            .iter()
            .filter(|ticket| !named.contains_key(&ticket.id))
        {
            let wanted = (ticket.user, ticket.show, ticket.quantity);
            match doubtful.get_mut(&wanted) {
                Some(left) if *left > 0 => *left -= 1,
                _ => self.found.add(Kind::Duplicated, || {
                    format!("ticket {} was decided, and no client placed it", ticket.id)
                }),
            }
        }
    }

    fn check_order(&mut self, order: usize, told: &Told) {
        let planned = &self.evidence.plan[order];
        let Some(id) = told.ticket else {
            return;
        };
        let Some(ticket) = self.by_id.get(&id).copied() else {
            if told.answer == Answer::Accepted && self.evidence.read != Read::None {
                self.found.add(Kind::Lost, || {
                    format!("order {order}: ticket {id} has no verdict")
                });
            }
            return;
        };
        let mut contradicts = |what: String| {
            self.found.add(Kind::Contradictions, || {
                format!("order {order}, ticket {id}: {what}")
            });
        };
        let wanted = (planned.user, planned.show, planned.quantity);
        if (ticket.user, ticket.show, ticket.quantity) != wanted {
            contradicts("the ticket is that of another order".to_owned());
        }
        for state in told.states.iter() {
            if !ticket.may_have_been(state) {
                contradicts(format!(
                    "the client heard {state:?}, the store says {:?}, then {:?}",
                    ticket.verdict, ticket.state
                ));
            }
        }
        if let Some(what) = contradicting_change(planned.intent, told.change, ticket) {
            contradicts(what);
        }
        let is_missed = match planned.reader {
            Reader::WebSocket => told.subscribed && !told.notified.has(ticket.state),
            Reader::Poll => told.answer == Answer::Accepted && told.heard == NEVER,
            Reader::Absent => false,
        };
        if is_missed {
            self.found.add(Kind::NotNotified, || {
                format!(
                    "order {order}: its reader never heard that {id} is {:?}",
                    ticket.state
                )
            });
        }
    }

    fn check_shows(&mut self) {
        let Evidence {
            plan,
            told,
            stored,
            audited,
            shows,
            ..
        } = self.evidence;
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
            self.found.add(Kind::Audit, || {
                format!("the audit does not know show {missing}")
            });
        }
        for (show, audit) in *audited {
            self.check_audit(*show, audit);
            if self.evidence.read == Read::None {
                let accepted = accepted.get(show).copied().unwrap_or_default();
                self.check_counts(*show, audit, accepted);
            } else {
                let tickets = by_show.remove(show).unwrap_or_default();
                self.check_verdicts(*show, audit, &tickets);
                self.check_refusals(audit, &tickets);
            }
        }
    }

    /// What the audit says of a show by itself.
    fn check_audit(&mut self, show: u32, audit: &AuditedShow) {
        let found = &mut self.found;
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
        if self.evidence.hold_seconds > 0 && audit.held > 0 {
            found.add_many(Kind::HoldsNotEnded, audit.held, || {
                format!("show {show}: {} seats are still held", audit.held)
            });
        }
    }

    /// Of a show whose tickets nobody has read: every accepted order was decided, and
    /// nothing else happened than that.
    fn check_counts(&mut self, show: u32, audit: &AuditedShow, accepted: u64) {
        let found = &mut self.found;
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
    fn check_verdicts(&mut self, show: u32, audit: &AuditedShow, tickets: &[&StoredTicket]) {
        let found = &mut self.found;
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
        let is_known = self.evidence.read == Read::All || decided == audit.verdicts;
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
    fn check_refusals(&mut self, audit: &AuditedShow, tickets: &[&StoredTicket]) {
        let came_back = tickets
            .iter()
            .any(|ticket| matches!(ticket.state, State::Expired | State::Cancelled));
        if came_back {
            return;
        }
        for ticket in tickets {
            if ticket.verdict == State::SoldOut && u64::from(ticket.quantity) <= audit.available {
                self.found.add(Kind::Undersold, || {
                    format!(
                        "ticket {}: sold out for {} seats, and {} are left",
                        ticket.id, ticket.quantity, audit.available
                    )
                });
            }
        }
    }

    fn check_history(&mut self, history: &History) {
        let found = &mut self.found;
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
        for (show, audit) in self.evidence.audited {
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
            self.evidence.started_at + micros
        };
        let orders = self.evidence.plan.iter().zip(self.evidence.told);
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

/// What is wrong between what a buyer asked of a hold, what it was told, and
/// what the store says.
fn contradicting_change(
    intent: Intent,
    change: ChangeAnswer,
    ticket: &StoredTicket,
) -> Option<String> {
    let wanted = match intent {
        Intent::Confirm => State::Confirmed,
        Intent::Cancel => State::Cancelled,
        Intent::Lapse => State::Expired,
    };
    let was_held = ticket.verdict == State::Reserved;
    let state = ticket.state;
    let is_right = match change {
        // Nobody but the buyer of the ticket changes it.
        ChangeAnswer::NotAsked => {
            !was_held || !matches!(state, State::Confirmed | State::Cancelled)
        }
        ChangeAnswer::Unknown => {
            !was_held || [wanted, State::Reserved, State::Expired].contains(&state)
        }
        ChangeAnswer::Done => state == wanted,
        ChangeAnswer::HoldExpired => was_held && matches!(state, State::Expired | State::Reserved),
        // A ticket that was heard of as reserved can only be refused for its end.
        ChangeAnswer::Refused => false,
    };
    (!is_right).then(|| format!("{intent:?} was answered {change:?}, and the ticket is {state:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::audit::AuditedRejections;
    use crate::proof::history::{Change, Journaled};
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

    fn audit(
        capacity: u64,
        sold: u64,
        changes: u64,
        [reserved, sold_out]: [u64; 2],
    ) -> AuditedShow {
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
}
