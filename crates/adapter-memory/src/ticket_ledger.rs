//! The ledger: loads from the books, asks the rule, saves.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use async_trait::async_trait;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::{HistoryEntry, JournalEntry};
use domain::order::Order;
use domain::ports::{
    ChangeShowError, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionKind,
    TransitionOutcome, TransitionReport, TransitionRequest,
};
use domain::receipt::TicketId;
use domain::rule::{Decision, Refusal, ShowLedger, Transition, decide_batch};
use domain::show::{Show, ShowChange, ShowSeats, ShowStanding};
use domain::ticket::Ticket;
use domain::time::Timestamp;
use parking_lot::RwLockUpgradableReadGuard;

use crate::MemoryStore;
use crate::books::Books;

#[async_trait]
impl TicketLedger for MemoryStore {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        // Held until the end: the claim cannot move in between.
        let claims = self.claims.read();
        if claim.is_some_and(|claim| !claims.is_current(claim)) {
            return Err(LedgerError::ClaimLost);
        }
        let books = self.books.upgradable_read();
        let now = self.clock.now();
        let state = {
            let users = self.users.read();
            books.load_batch(orders, |user| users.contains_key(user), now)
        };
        let outcome = decide_batch(state, orders, now);
        let mut books = RwLockUpgradableReadGuard::upgrade(books);
        let mut released = Vec::with_capacity(outcome.released.len());
        for (ticket, entry) in outcome.released {
            books.change_ticket(ticket.clone(), entry);
            released.push(ticket);
        }
        for decision in &outcome.decisions {
            if let Decision::First(ticket) = decision {
                books.add_ticket(ticket.clone());
            }
        }
        let shows = outcome.shows.iter().map(ShowLedger::announcement).collect();
        for ledger in outcome.shows {
            books.set_ledger(ledger);
        }
        Ok(DecideReport {
            decisions: outcome.decisions,
            released,
            shows,
        })
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let books = self.books.upgradable_read();
        let mut changes = Changes::new(&books, self.clock.now());
        let outcomes = requests
            .iter()
            .map(|request| changes.transition(*request))
            .collect();
        let changed = changes.changed;
        let shows = save(&mut RwLockUpgradableReadGuard::upgrade(books), changed);
        Ok(TransitionReport { outcomes, shows })
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        let books = self.books.upgradable_read();
        let now = self.clock.now();
        let mut due: Vec<_> = books
            .shows_after(Bound::Unbounded)
            .flat_map(|book| book.due_holds(now).take(limit))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        let mut changes = Changes::new(&books, now);
        let outcomes = due
            .into_iter()
            .filter_map(|(_, id)| changes.expire(id))
            .map(TransitionOutcome::Changed)
            .collect();
        let changed = changes.changed;
        let shows = save(&mut RwLockUpgradableReadGuard::upgrade(books), changed);
        Ok(TransitionReport { outcomes, shows })
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
    ) -> Result<ShowStanding, ChangeShowError> {
        let books = self.books.upgradable_read();
        let book = books.show(id).ok_or(ChangeShowError::NotFound)?;
        let mut ledger = book.ledger.clone();
        let entry = ledger.change_terms(change, self.clock.now())?;
        let show = Show {
            id: id.clone(),
            title: change.title.as_ref().unwrap_or(&book.show.title).clone(),
            terms: ledger.terms().clone(),
        };
        let standing = ShowStanding {
            show: show.clone(),
            seats: ledger.seats(),
            seq: ledger.seq(),
        };
        RwLockUpgradableReadGuard::upgrade(books).set_show(show, ledger, entry);
        Ok(standing)
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        let books = self.books.read();
        let tickets = ids.iter().filter_map(|id| books.ticket(*id));
        Ok(tickets.cloned().collect())
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        let books = self.books.read();
        let tickets = books.tickets_of(user, page.after).take(page.limit);
        Ok(tickets.cloned().collect())
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let books = self.books.read();
        Ok(books.history(show, after_seq).take(limit).collect())
    }
}

/// Changes of decided tickets that were made together and are not saved yet.
struct Changes<'a> {
    books: &'a Books,
    now: Timestamp,
    /// Tickets as they are by now.
    tickets: HashMap<TicketId, Ticket>,
    changed: Changed,
}

#[derive(Default)]
struct Changed {
    /// The counters of the shows concerned, changed or not.
    ledgers: BTreeMap<ShowId, ShowLedger>,
    /// In the sequence they were made in.
    tickets: Vec<(Ticket, JournalEntry)>,
}

impl<'a> Changes<'a> {
    fn new(books: &'a Books, now: Timestamp) -> Self {
        Self {
            books,
            now,
            tickets: HashMap::new(),
            changed: Changed::default(),
        }
    }

    fn ticket(&self, id: TicketId) -> Option<Ticket> {
        self.tickets
            .get(&id)
            .or_else(|| self.books.ticket(id))
            .cloned()
    }

    fn ledger(&mut self, show: &ShowId) -> Option<&mut ShowLedger> {
        if !self.changed.ledgers.contains_key(show) {
            let ledger = self.books.show(show)?.ledger.clone();
            self.changed.ledgers.insert(show.clone(), ledger);
        }
        self.changed.ledgers.get_mut(show)
    }

    fn keep(&mut self, ticket: &Ticket, entry: JournalEntry) {
        self.tickets.insert(ticket.order.ticket_id, ticket.clone());
        self.changed.tickets.push((ticket.clone(), entry));
    }

    fn transition(&mut self, request: TransitionRequest) -> TransitionOutcome {
        let Some(mut ticket) = self.ticket(request.ticket_id) else {
            return TransitionOutcome::NotDecided;
        };
        let now = self.now;
        let transition = match (request.kind, self.ledger(&ticket.order.show_id)) {
            (TransitionKind::Confirm, Some(ledger)) => ledger.confirm(&mut ticket, now),
            (TransitionKind::Cancel, Some(ledger)) => ledger.cancel(&mut ticket, now),
            // There was no show to decide about, so the ticket was rejected.
            (TransitionKind::Confirm, None) => Transition::Refused(Refusal::NotReserved),
            (TransitionKind::Cancel, None) => Transition::Refused(Refusal::Rejected),
        };
        match transition {
            Transition::Done(entry) => {
                self.keep(&ticket, entry);
                TransitionOutcome::Changed(ticket)
            }
            Transition::AlreadyDone => TransitionOutcome::Unchanged(ticket),
            Transition::Refused(refusal) => TransitionOutcome::Refused(ticket, refusal),
        }
    }

    fn expire(&mut self, id: TicketId) -> Option<Ticket> {
        let mut ticket = self.ticket(id)?;
        let now = self.now;
        let entry = self
            .ledger(&ticket.order.show_id)?
            .expire(&mut ticket, now)?;
        self.keep(&ticket, entry);
        Some(ticket)
    }
}

/// Saves what changed and returns the shows that did.
fn save(books: &mut Books, changed: Changed) -> Vec<ShowSeats> {
    let mut shows = Vec::new();
    for (ticket, entry) in changed.tickets {
        books.change_ticket(ticket, entry);
    }
    for (id, ledger) in changed.ledgers {
        if books.show(&id).map(|book| book.ledger.seq()) != Some(ledger.seq()) {
            shows.push(ledger.announcement());
            books.set_ledger(ledger);
        }
    }
    shows
}
