//! The ledger: loads from the books, asks the rule, saves.

use std::ops::Bound;

use async_trait::async_trait;
use domain::author::Author;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::order::Order;
use domain::ports::{
    ChangeShowError, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionReport,
};
use domain::receipt::TicketId;
use domain::rule::{self, TransitionRequest, change_tickets, decide_batch, expire_holds};
use domain::show::{Show, ShowChange, ShowStanding};
use domain::ticket::Ticket;
use parking_lot::RwLockUpgradableReadGuard;

use crate::MemoryStore;

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
        let outcome = decide_batch(state, orders, now)?;
        RwLockUpgradableReadGuard::upgrade(books).save(&outcome.changes());
        Ok(outcome.into())
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let books = self.books.upgradable_read();
        let ids = requests.iter().map(|request| request.ticket_id);
        let state = books.load_tickets(ids);
        let outcome = change_tickets(state, requests, self.clock.now())?;
        RwLockUpgradableReadGuard::upgrade(books).save(&outcome.changes());
        Ok(outcome.into())
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
        let state = books.load_tickets(due.iter().map(|(_, id)| *id));
        // In the sequence in which they ran out.
        let mut tickets = state.tickets;
        let due = due.iter().filter_map(|(_, id)| tickets.remove(id));
        let outcome = expire_holds(state.shows, due.collect(), now)?;
        RwLockUpgradableReadGuard::upgrade(books).save(&outcome.changes());
        Ok(outcome.into())
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        by: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        let books = self.books.upgradable_read();
        let book = books.show(id).ok_or(ChangeShowError::NotFound)?;
        let (show, ledger) = (Show::clone(&book.show), book.ledger.clone());
        let saved = rule::change_show(show, ledger, change, self.clock.now())?;
        let standing = saved.standing();
        RwLockUpgradableReadGuard::upgrade(books).save_show(saved, by);
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
