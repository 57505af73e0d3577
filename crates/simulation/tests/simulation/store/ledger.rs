//! The ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::author::Author;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::order::Order;
use domain::ports::{
    ChangeShowError, Clock, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionReport,
};
use domain::receipt::TicketId;
use domain::rule::{
    self, Decision, Refusal, TicketsState, TransitionOutcome, TransitionRequest, change_tickets,
    decide_batch, expire_holds,
};
use domain::show::{ShowChange, ShowStanding};
use domain::ticket::Ticket;

use super::tables::{Step, Tables};
use super::transaction::{NotSaved, Transaction, Writes};
use super::{Down, SimStore, unavailable};
use crate::mistake::Mistake;
use crate::plan::POISON;

#[async_trait]
impl TicketLedger for SimStore {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        let world = self.world();
        let mut result = self.decide_once(orders, claim).await;
        if world.has(Mistake::NewIdAfterALostAnswer)
            && matches!(result, Err(LedgerError::Unavailable(_)))
        {
            let now = self.node.now();
            let renamed = |order: &Order| {
                let lane = world.plan.lanes.of(&order.show_id);
                let issued = self.receipts.issue(now, lane, order.class, &order.user_id);
                Order {
                    ticket_id: issued,
                    ..order.clone()
                }
            };
            let renamed: Vec<_> = orders.iter().map(renamed).collect();
            result = self.decide_once(&renamed, claim).await;
        }
        if world.has(Mistake::ReplaysNotAnnounced)
            && let Ok(report) = &mut result
        {
            let is_first = |decision: &Decision| matches!(decision, Decision::First(_));
            report.decisions.retain(is_first);
        }
        result
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let ids: Vec<_> = requests.iter().map(|request| request.ticket_id).collect();
        let (transaction, state) = self.load_tickets(&ids).await.map_err(unavailable)?;
        let outcome = change_tickets(state, requests, transaction.now)?;
        for outcome in &outcome.outcomes {
            if let TransitionOutcome::Refused(ticket, Refusal::HoldExpired) = outcome
                && let Some(hold_expires_at) = ticket.hold_expires_at()
            {
                self.world().check(
                    self.node.now() >= hold_expires_at,
                    format_args!("{ticket:?} is refused before the end of its hold"),
                );
            }
        }
        let writes = Writes::from(outcome.changes());
        transaction.commit(writes).await.map_err(unavailable)?;
        Ok(outcome.into())
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        let now = self.node.now();
        let find_due = |tables: &Tables| {
            let shows = tables.shows.keys();
            let mut due: Vec<_> = shows.flat_map(|show| tables.due_holds(show, now)).collect();
            due.sort_by_key(|ticket| (ticket.hold_expires_at(), ticket.order.ticket_id));
            due.truncate(limit);
            due.iter().map(|ticket| ticket.order.ticket_id).collect()
        };
        let due: Vec<_> = self
            .read("store: looks for due holds", find_due)
            .await
            .map_err(unavailable)?;
        if due.is_empty() {
            return Ok(TransitionReport {
                outcomes: Vec::new(),
                shows: Vec::new(),
            });
        }
        let (transaction, mut state) = self.load_tickets(&due).await.map_err(unavailable)?;
        let due = due.iter().filter_map(|id| state.tickets.remove(id));
        let outcome = expire_holds(state.shows, due.collect(), transaction.now)?;
        let writes = Writes::from(outcome.changes());
        transaction.commit(writes).await.map_err(unavailable)?;
        Ok(outcome.into())
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        _: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        let unavailable = |down: Down| ChangeShowError::Unavailable(down.into());
        let shows = BTreeSet::from([id.clone()]);
        let transaction = self.begin(&shows, true).await.map_err(unavailable)?;
        let (show, ledger) = {
            let tables = self.world().tables.lock();
            let row = tables.shows.get(id).ok_or(ChangeShowError::NotFound)?;
            (row.show.clone(), row.ledger())
        };
        let saved = rule::change_show(show, ledger, change, transaction.now)?;
        let standing = saved.standing();
        let writes = Writes {
            ledgers: vec![saved.ledger],
            show: Some((saved.show, saved.entry)),
            ..Writes::default()
        };
        transaction.commit(writes).await.map_err(unavailable)?;
        Ok(standing)
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        let find = |tables: &Tables| {
            let found = ids.iter().filter_map(|id| tables.ticket(*id));
            found.cloned().collect()
        };
        self.read("store: looks for tickets", find)
            .await
            .map_err(unavailable)
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        let place = |ticket: &Ticket| (ticket.order.requested_at, ticket.order.ticket_id);
        let list = |tables: &Tables| {
            let tickets = tables.tickets.values().map(|row| &row.ticket);
            let mut tickets: Vec<_> = tickets
                .filter(|ticket| ticket.order.user_id == *user)
                .filter(|ticket| page.after.is_none_or(|after| place(ticket) < after))
                .cloned()
                .collect();
            tickets.sort_by_key(|ticket| std::cmp::Reverse(place(ticket)));
            tickets.truncate(page.limit);
            tickets
        };
        self.read("store: lists tickets", list)
            .await
            .map_err(unavailable)
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let read = |tables: &Tables| {
            let Some(row) = tables.shows.get(show) else {
                return Vec::new();
            };
            let steps = row.history.iter().filter(|(seq, _)| *seq > after_seq);
            let steps = steps.take(limit).filter_map(|(_, step)| match step {
                Step::Decided(id) => tables.ticket(*id).cloned().map(HistoryEntry::Decided),
                Step::Changed(entry) => Some(HistoryEntry::Changed(entry.clone())),
            });
            steps.collect()
        };
        self.read("store: reads a history", read)
            .await
            .map_err(unavailable)
    }
}

impl SimStore {
    async fn decide_once(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        let world = self.world();
        let shows = orders.iter().map(|order| order.show_id.clone()).collect();
        let locks = !world.has(Mistake::DecidesWithoutLock);
        let mut transaction = self.begin(&shows, locks).await.map_err(unavailable)?;
        let now = transaction.now;
        let state = world.tables.lock().load_batch(world, orders, now);
        transaction
            .statement("store: has loaded")
            .await
            .map_err(unavailable)?;
        let outcome = decide_batch(state, orders, now)?;
        let writes = Writes {
            claim,
            ..Writes::from(outcome.changes())
        };
        let mut decided = writes.decided.iter();
        if !world.tables.lock().poison_is_cured
            && decided.any(|ticket| ticket.order.user_id.as_str() == POISON)
        {
            return Err(LedgerError::Unprocessable(
                "the simulated store cannot take it".into(),
            ));
        }
        let report = DecideReport::from(outcome);
        if world.has(Mistake::AnnouncesBeforeCommit) {
            let early = &mut world.broker.lock().told_early;
            early.extend(report.decisions.iter().map(Decision::ticket).cloned());
        }
        match transaction.commit_under_claim(writes).await {
            Ok(()) => Ok(report),
            Err(NotSaved::ClaimLost) => Err(LedgerError::ClaimLost),
            Err(NotSaved::Down) => Err(unavailable(Down)),
        }
    }

    /// Reads, under the locks of their shows, what the rule needs to change tickets.
    async fn load_tickets(
        &self,
        ids: &[TicketId],
    ) -> Result<(Transaction<'_>, TicketsState), Down> {
        let early = self.node.now();
        let find_shows = |tables: &Tables| -> BTreeSet<ShowId> {
            let tickets = ids.iter().filter_map(|id| tables.ticket(*id));
            tickets.map(|ticket| ticket.order.show_id.clone()).collect()
        };
        // A ticket never changes its show.
        let shows = self.read("store: looks for shows", find_shows).await?;
        let mut transaction = self.begin(&shows, true).await?;
        if self.world().has(Mistake::ClockReadBeforeTheLock) {
            transaction.now = early;
        }
        let state = {
            let tables = self.world().tables.lock();
            let ledger = |id: &ShowId| Some((id.clone(), tables.shows.get(id)?.ledger()));
            // What was not decided then has no lock.
            let tickets = ids.iter().filter_map(|id| tables.ticket(*id));
            let locked = tickets.filter(|ticket| shows.contains(&ticket.order.show_id));
            TicketsState {
                tickets: locked
                    .map(|ticket| (ticket.order.ticket_id, ticket.clone()))
                    .collect(),
                shows: shows.iter().filter_map(ledger).collect(),
            }
        };
        transaction.statement("store: has loaded").await?;
        Ok((transaction, state))
    }
}
