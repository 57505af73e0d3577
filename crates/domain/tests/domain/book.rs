//! One show's ledger for tests: it loads, calls the rule and saves, as an
//! adapter does, and keeps what the audit needs.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use domain::audit::{ShowAudit, audit_show};
use domain::author::Author;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::{HistoryEntry, JournalEntry};
use domain::order::{Lanes, NewOrder, Order, Quantity};
use domain::ports::{
    ChangeShowError, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionReport,
};
use domain::receipt::{ProcessId, Receipts, TicketId};
use domain::rule::{
    BatchShow, BatchState, Decision, ShowAfter, ShowLedger, TermsRefused, TicketChange,
    TicketsState, TransitionKind, TransitionOutcome, TransitionRequest, change_tickets,
    decide_batch, expire_holds,
};
use domain::show::{
    Capacity, HoldSeconds, SalesWindow, Show, ShowChange, ShowStanding, Terms, Title,
};
use domain::ticket::Ticket;
use domain::time::Timestamp;
use domain::user::PriorityClass;

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

pub(crate) fn show_id() -> ShowId {
    ShowId::new("show").unwrap()
}

pub(crate) fn user_id(number: u64) -> UserId {
    UserId::from(number)
}

pub(crate) fn terms(capacity: u32, max_per_user: u32, hold_seconds: u32) -> Terms {
    Terms {
        capacity: Capacity::new(capacity).unwrap(),
        max_per_user: NonZeroU32::new(max_per_user).unwrap(),
        hold: HoldSeconds::new(hold_seconds).unwrap(),
        window: SalesWindow::default(),
    }
}

pub(crate) fn receipts() -> Receipts {
    Receipts::new(["a secret of the tests"], ProcessId::new(1)).unwrap()
}

/// An order of the show with an id of its own.
pub(crate) fn order(receipts: &Receipts, user: u64, seats: u32, requested_at: Timestamp) -> Order {
    let lane = Lanes::new(1).unwrap().get(0).unwrap();
    let class = PriorityClass::Standard;
    let user_id = user_id(user);
    NewOrder {
        ticket_id: receipts.issue(at(0), lane, class, &user_id),
        show_id: show_id(),
        user_id,
        quantity: Quantity::new(seats).unwrap(),
        class,
        trace: None,
    }
    .accepted(requested_at, receipts.process())
}

pub(crate) struct Book {
    pub(crate) ledger: ShowLedger,
    pub(crate) tickets: BTreeMap<TicketId, Ticket>,
    pub(crate) steps: Vec<Step>,
}

/// A decision by its ticket, or anything else.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Decided(TicketId),
    Changed(JournalEntry),
}

impl Book {
    pub(crate) fn open(terms: Terms) -> Self {
        let (ledger, entry) = ShowLedger::open(show_id(), terms, at(0));
        Self {
            ledger,
            tickets: BTreeMap::new(),
            steps: vec![Step::Changed(entry)],
        }
    }

    /// Orders of users below `users`; others do not exist.
    pub(crate) fn decide(&mut self, orders: &[Order], users: u64, now: Timestamp) -> Vec<Decision> {
        let mut live_seats: HashMap<_, _> = (0..users).map(|user| (user_id(user), 0)).collect();
        for ticket in self.tickets.values().filter(|t| t.status.is_live()) {
            *live_seats.get_mut(&ticket.order.user_id).unwrap() += ticket.order.quantity.seats();
        }
        let show = BatchShow {
            ledger: self.ledger.clone(),
            live_seats,
            due_holds: self.due(now),
        };
        let known = orders.iter().filter_map(|order| {
            let ticket = self.tickets.get(&order.ticket_id)?;
            Some((order.ticket_id, ticket.clone()))
        });
        let state = BatchState {
            shows: BTreeMap::from([(show_id(), show)]),
            known: known.collect(),
        };
        let outcome = decide_batch(state, orders, now).unwrap();
        for change in outcome.released {
            self.save(change);
        }
        for decision in &outcome.decisions {
            if let Decision::First(ticket) = decision {
                let id = ticket.order.ticket_id;
                let before = self.tickets.insert(id, ticket.clone());
                assert_eq!(before, None, "a first verdict for the second time");
                self.steps.push(Step::Decided(id));
            }
        }
        self.keep(outcome.shows);
        outcome.decisions
    }

    pub(crate) fn confirm(&mut self, id: TicketId, now: Timestamp) -> TransitionOutcome {
        self.change(id, TransitionKind::Confirm, now)
    }

    pub(crate) fn cancel(&mut self, id: TicketId, now: Timestamp) -> TransitionOutcome {
        self.change(id, TransitionKind::Cancel, now)
    }

    fn change(
        &mut self,
        ticket_id: TicketId,
        kind: TransitionKind,
        now: Timestamp,
    ) -> TransitionOutcome {
        let state = TicketsState {
            tickets: HashMap::from([(ticket_id, self.tickets[&ticket_id].clone())]),
            shows: self.shows(),
        };
        let request = TransitionRequest {
            ticket_id,
            kind,
            holder: None,
        };
        let outcome = change_tickets(state, &[request], now).unwrap();
        for change in outcome.changed {
            self.save(change);
        }
        self.keep(outcome.shows);
        let [outcome] = <[_; 1]>::try_from(outcome.outcomes).unwrap();
        if let TransitionOutcome::Changed(ticket)
        | TransitionOutcome::Unchanged(ticket)
        | TransitionOutcome::Refused(ticket, _) = &outcome
        {
            assert_eq!(self.tickets[&ticket_id], *ticket, "changed without a step");
        }
        outcome
    }

    pub(crate) fn sweep(&mut self, now: Timestamp) -> usize {
        let outcome = expire_holds(self.shows(), self.due(now), now).unwrap();
        for change in outcome.changed {
            self.save(change);
        }
        self.keep(outcome.shows);
        outcome.outcomes.len()
    }

    fn shows(&self) -> BTreeMap<ShowId, ShowLedger> {
        BTreeMap::from([(show_id(), self.ledger.clone())])
    }

    fn keep(&mut self, shows: Vec<ShowAfter>) {
        let [show] = <[_; 1]>::try_from(shows).unwrap();
        let is_changed = show.ledger.seq() != self.ledger.seq();
        assert_eq!(show.is_changed, is_changed, "{show:?}");
        self.ledger = show.ledger;
    }

    pub(crate) fn change_terms(
        &mut self,
        change: &ShowChange,
        now: Timestamp,
    ) -> Result<bool, TermsRefused> {
        let entry = self.ledger.change_terms(change, now)?;
        let changed = entry.is_some();
        self.steps.extend(entry.map(Step::Changed));
        Ok(changed)
    }

    fn due(&self, now: Timestamp) -> Vec<Ticket> {
        let due = self.tickets.values().filter(|ticket| ticket.is_due(now));
        due.cloned().collect()
    }

    fn save(&mut self, change: TicketChange) {
        let TicketChange {
            before,
            after,
            entry,
        } = change;
        let was = self.tickets.insert(after.order.ticket_id, after);
        assert_eq!(was, Some(before), "changed another ticket than it had");
        self.steps.push(Step::Changed(entry));
    }

    pub(crate) fn standing(&self) -> ShowStanding {
        ShowStanding {
            show: Show {
                id: show_id(),
                title: Title::new("Show").unwrap(),
                terms: self.ledger.terms().clone(),
            },
            seats: self.ledger.seats(),
            seq: self.ledger.seq(),
        }
    }

    pub(crate) fn history(&self) -> Vec<HistoryEntry> {
        let entry = |step: &Step| match step {
            Step::Decided(id) => HistoryEntry::Decided(self.tickets[id].clone()),
            Step::Changed(entry) => HistoryEntry::Changed(entry.clone()),
        };
        self.steps.iter().map(entry).collect()
    }

    pub(crate) fn audit(&self) -> ShowAudit {
        audit(self.history(), &self.standing())
    }
}

/// The audit of a history that may be forged.
pub(crate) fn audit(history: Vec<HistoryEntry>, standing: &ShowStanding) -> ShowAudit {
    let ledger = Recorded(history);
    let audit = pin!(audit_show(&ledger, standing));
    // What was recorded is there at once, so no runtime is needed.
    match audit.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(audit) => audit.unwrap(),
        Poll::Pending => panic!("the audit waits for something"),
    }
}

/// A ledger that only tells what it was given.
struct Recorded(Vec<HistoryEntry>);

#[async_trait]
impl TicketLedger for Recorded {
    async fn decide(&self, _: &[Order], _: Option<Claim>) -> Result<DecideReport, LedgerError> {
        panic!("the audit decides nothing")
    }

    async fn transition(&self, _: &[TransitionRequest]) -> Result<TransitionReport, LedgerError> {
        panic!("the audit changes nothing")
    }

    async fn expire_due(&self, _: usize) -> Result<TransitionReport, LedgerError> {
        panic!("the audit expires nothing")
    }

    async fn change_show(
        &self,
        _: &ShowId,
        _: &ShowChange,
        _: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        panic!("the audit changes nothing")
    }

    async fn find(&self, _: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        panic!("the audit reads the history only")
    }

    async fn list_by_user(&self, _: &UserId, _: TicketPage) -> Result<Vec<Ticket>, LedgerError> {
        panic!("the audit reads the history only")
    }

    async fn history(
        &self,
        _: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let after = self.0.iter().filter(|entry| entry.seq() > after_seq);
        Ok(after.take(limit).cloned().collect())
    }
}
