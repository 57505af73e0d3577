//! The ledger. Every change goes through [`locked::Locked`]; what changes is
//! said by [`domain::rule`].

mod locked;
mod reading;
pub(crate) mod sql;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::order::Order;
use domain::ports::{
    ChangeShowError, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionKind,
    TransitionOutcome, TransitionReport, TransitionRequest,
};
use domain::receipt::TicketId;
use domain::rule::{
    BatchShow, BatchState, Decision, Refusal, ShowLedger, Transition, decide_batch,
};
use domain::show::{Show, ShowChange, ShowSeats, ShowStanding};
use domain::ticket::Ticket;
use rand::RngExt;
use tokio::time::sleep;
use tracing::debug;

use self::locked::{Changes, Locked};
use crate::MySqlStore;
use crate::coalesce::Coalescer;
use crate::error::StoreError;
use crate::row::show_ledger;
use crate::store::{Database, KeptLease};

/// Tickets asked for in one query.
const MAX_LOOK_UPS: usize = 512;
/// Requests to confirm or cancel in one transaction.
const MAX_TRANSITIONS: usize = 1_000;
/// Attempts of a transaction that others get in the way of.
const ATTEMPTS: u32 = 10;

pub(crate) fn look_ups(db: Database) -> Coalescer<TicketId, Option<Ticket>> {
    let lease = Arc::new(KeptLease::new(db));
    Coalescer::new(MAX_LOOK_UPS, move |ids: Vec<TicketId>| {
        let lease = Arc::clone(&lease);
        async move {
            let found = lease
                .read(async |connection| locked::tickets(connection, &ids).await)
                .await?;
            Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
        }
    })
}

/// One transaction at a time costs nothing: a hot show's would wait for its lock anyway.
pub(crate) fn transitions(
    db: Database,
) -> Coalescer<TransitionRequest, (TransitionOutcome, Option<ShowSeats>)> {
    Coalescer::new(MAX_TRANSITIONS, move |requests| {
        let db = db.clone();
        async move {
            let attempt = || transition_all(&db, &requests);
            db.change(until_free(attempt)).await
        }
    })
}

/// Does it again while other transactions are in the way, waiting longer each time.
async fn until_free<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut failed = 0;
    loop {
        match attempt().await {
            Err(error) if error.is_contention() && failed + 1 < ATTEMPTS => {
                failed += 1;
                debug!(attempts = failed, "another transaction was in the way");
                let longest = 1 << failed.min(7);
                let wait = rand::rng().random_range(1..=longest);
                sleep(Duration::from_millis(wait)).await;
            }
            ended => return ended,
        }
    }
}

#[async_trait]
impl TicketLedger for MySqlStore {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        if orders.is_empty() {
            return Ok(DecideReport {
                decisions: Vec::new(),
                released: Vec::new(),
                shows: Vec::new(),
            });
        }
        let attempt = || decide(&self.db, orders, claim);
        Ok(self.db.change(until_free(attempt)).await?)
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let mut report = TransitionReport {
            outcomes: Vec::with_capacity(requests.len()),
            shows: Vec::new(),
        };
        let answers: Vec<_> = if let [request] = requests {
            vec![self.transitions.call(*request).await?]
        } else {
            let attempt = || transition_all(&self.db, requests);
            self.db.change(until_free(attempt)).await?
        };
        let mut shows: BTreeMap<ShowId, ShowSeats> = BTreeMap::new();
        for (outcome, seats) in answers {
            report.outcomes.push(outcome);
            shows.extend(seats.map(|seats| (seats.show_id.clone(), seats)));
        }
        report.shows = shows.into_values().collect();
        Ok(report)
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        let attempt = || expire_due(&self.db, limit);
        Ok(self.db.change(until_free(attempt)).await?)
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
    ) -> Result<ShowStanding, ChangeShowError> {
        let attempt = || change_show(&self.db, id, change);
        self.db
            .change(until_free(attempt))
            .await
            .map_err(|error| ChangeShowError::Unavailable(error.cause()))?
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        if let [id] = ids {
            return Ok(self.tickets.call(*id).await?.into_iter().collect());
        }
        let found = self.db.read(reading::find(&self.db, ids)).await?;
        Ok(found.into_values().collect())
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        let reading = reading::list_by_user(&self.db, user, page);
        Ok(self.db.read(reading).await?)
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let reading = reading::history(&self.db, show, after_seq, limit);
        Ok(self.db.read(reading).await?)
    }
}

fn sorted<'a>(shows: impl Iterator<Item = &'a ShowId>) -> Vec<&'a ShowId> {
    shows.collect::<BTreeSet<_>>().into_iter().collect()
}

async fn decide(
    db: &Database,
    orders: &[Order],
    claim: Option<Claim>,
) -> Result<DecideReport, StoreError> {
    let mut locked = Locked::shows(db, &sorted(orders.iter().map(|order| &order.show_id))).await?;
    let state = load_batch(&mut locked, orders).await?;
    let due: HashMap<TicketId, Ticket> = state
        .shows
        .values()
        .flat_map(|show| &show.due_holds)
        .map(|ticket| (ticket.order.ticket_id, ticket.clone()))
        .collect();
    let outcome = decide_batch(state, orders, locked.now);
    let mut changes = Changes::default();
    for (ticket, entry) in &outcome.released {
        if let Some(before) = due.get(&ticket.order.ticket_id) {
            changes.change(before, ticket, entry.clone());
        }
    }
    for decision in &outcome.decisions {
        if let Decision::First(ticket) = decision {
            changes.decide(ticket);
        }
    }
    for ledger in &outcome.shows {
        changes.show(ledger);
    }
    locked.commit_under(changes, claim).await?;
    Ok(outcome.into())
}

/// Reads, under the locks, all that the rule needs.
async fn load_batch(locked: &mut Locked, orders: &[Order]) -> Result<BatchState, StoreError> {
    let ids: Vec<_> = orders.iter().map(|order| order.ticket_id).collect();
    let known = locked.tickets(&ids).await?;
    let due = locked.due_holds().await?;
    let users: HashSet<&UserId> = orders.iter().map(|order| &order.user_id).collect();
    let users: Vec<&UserId> = users.into_iter().collect();
    let existing: HashSet<Vec<u8>> = locked.existing(&users).await?.into_iter().collect();
    let pairs: HashSet<(&ShowId, &UserId)> = orders
        .iter()
        .filter(|order| locked.shows.contains_key(&order.show_id))
        .filter(|order| existing.contains(order.user_id.as_str().as_bytes()))
        .map(|order| (&order.show_id, &order.user_id))
        .collect();
    let pairs: Vec<_> = pairs.into_iter().collect();
    let live = locked.live_seats(&pairs).await?;
    let mut shows = BTreeMap::new();
    for (id, standing) in &locked.shows {
        let show = BatchShow {
            ledger: show_ledger(standing)?,
            live_seats: HashMap::new(),
            due_holds: Vec::new(),
        };
        shows.insert(id.clone(), show);
    }
    for (show, user) in pairs {
        let key = (show.as_str().into(), user.as_str().into());
        if let Some(batch_show) = shows.get_mut(show) {
            let seats = live.get(&key).copied().unwrap_or_default();
            batch_show.live_seats.insert(user.clone(), seats);
        }
    }
    for ticket in due {
        if let Some(show) = shows.get_mut(&ticket.order.show_id) {
            show.due_holds.push(ticket);
        }
    }
    Ok(BatchState { shows, known })
}

/// Tickets and counters as they become, one request after the other.
struct Working {
    now: domain::time::Timestamp,
    tickets: HashMap<TicketId, Ticket>,
    ledgers: BTreeMap<ShowId, ShowLedger>,
}

impl Working {
    /// Locks the shows of the tickets with these ids and reads both.
    async fn load(db: &Database, ids: &[TicketId]) -> Result<(Locked, Self), StoreError> {
        // Which shows to lock. A ticket never changes its show.
        let unlocked = reading::find(db, ids).await?;
        let shows = sorted(unlocked.values().map(|ticket| &ticket.order.show_id));
        let mut locked = Locked::shows(db, &shows).await?;
        let known: Vec<_> = unlocked.keys().copied().collect();
        let tickets = locked.tickets(&known).await?;
        let mut ledgers = BTreeMap::new();
        for (id, standing) in &locked.shows {
            ledgers.insert(id.clone(), show_ledger(standing)?);
        }
        let now = locked.now;
        Ok((
            locked,
            Self {
                now,
                tickets,
                ledgers,
            },
        ))
    }

    fn transition(
        &mut self,
        request: TransitionRequest,
        changes: &mut Changes<'_>,
    ) -> TransitionOutcome {
        let Some(before) = self.tickets.get(&request.ticket_id) else {
            return TransitionOutcome::NotDecided;
        };
        let mut ticket = before.clone();
        let ledger = self.ledgers.get_mut(&ticket.order.show_id);
        let transition = match (request.kind, ledger) {
            (TransitionKind::Confirm, Some(ledger)) => ledger.confirm(&mut ticket, self.now),
            (TransitionKind::Cancel, Some(ledger)) => ledger.cancel(&mut ticket, self.now),
            // There was no show to decide about, so the ticket was rejected.
            (TransitionKind::Confirm, None) => Transition::Refused(Refusal::NotReserved),
            (TransitionKind::Cancel, None) => Transition::Refused(Refusal::Rejected),
        };
        match transition {
            Transition::Done(entry) => {
                changes.change(before, &ticket, entry);
                self.tickets.insert(request.ticket_id, ticket.clone());
                TransitionOutcome::Changed(ticket)
            }
            Transition::AlreadyDone => TransitionOutcome::Unchanged(ticket),
            Transition::Refused(refusal) => TransitionOutcome::Refused(ticket, refusal),
        }
    }
}

/// One outcome per request, with the seats of its show if the ticket changed.
async fn transition_all(
    db: &Database,
    requests: &[TransitionRequest],
) -> Result<Vec<(TransitionOutcome, Option<ShowSeats>)>, StoreError> {
    let ids: Vec<_> = requests.iter().map(|request| request.ticket_id).collect();
    let (locked, mut working) = Working::load(db, &ids).await?;
    let mut changes = Changes::default();
    let outcomes: Vec<_> = requests
        .iter()
        .map(|request| working.transition(*request, &mut changes))
        .collect();
    let ledgers = working.ledgers;
    for ledger in ledgers.values() {
        changes.show(ledger);
    }
    locked.commit(changes).await?;
    Ok(outcomes
        .into_iter()
        .map(|outcome| {
            let seats = match &outcome {
                TransitionOutcome::Changed(ticket) => ledgers
                    .get(&ticket.order.show_id)
                    .map(ShowLedger::announcement),
                TransitionOutcome::Unchanged(_)
                | TransitionOutcome::Refused(..)
                | TransitionOutcome::NotDecided => None,
            };
            (outcome, seats)
        })
        .collect())
}

async fn expire_due(db: &Database, limit: usize) -> Result<TransitionReport, StoreError> {
    let due = reading::due_holds(db, db.clock.now(), limit).await?;
    if due.is_empty() {
        return Ok(TransitionReport {
            outcomes: Vec::new(),
            shows: Vec::new(),
        });
    }
    let (locked, mut working) = Working::load(db, &due).await?;
    let mut changes = Changes::default();
    let mut outcomes = Vec::new();
    let mut changed = BTreeSet::new();
    for id in due {
        let Some(before) = working.tickets.get(&id) else {
            continue;
        };
        let mut ticket = before.clone();
        let ledger = working.ledgers.get_mut(&ticket.order.show_id);
        let Some(entry) = ledger.and_then(|ledger| ledger.expire(&mut ticket, working.now)) else {
            continue;
        };
        changes.change(before, &ticket, entry);
        changed.insert(ticket.order.show_id.clone());
        outcomes.push(TransitionOutcome::Changed(ticket));
    }
    for ledger in working.ledgers.values() {
        changes.show(ledger);
    }
    locked.commit(changes).await?;
    let shows = changed.iter().filter_map(|show| working.ledgers.get(show));
    Ok(TransitionReport {
        outcomes,
        shows: shows.map(ShowLedger::announcement).collect(),
    })
}

async fn change_show(
    db: &Database,
    id: &ShowId,
    change: &ShowChange,
) -> Result<Result<ShowStanding, ChangeShowError>, StoreError> {
    let locked = Locked::shows(db, &[id]).await?;
    let Some(standing) = locked.shows.get(id) else {
        locked.roll_back().await?;
        return Ok(Err(ChangeShowError::NotFound));
    };
    let mut ledger = show_ledger(standing)?;
    let entry = match ledger.change_terms(change, locked.now) {
        Ok(entry) => entry,
        Err(refused) => {
            locked.roll_back().await?;
            return Ok(Err(refused.into()));
        }
    };
    let show = Show {
        id: id.clone(),
        title: change
            .title
            .as_ref()
            .unwrap_or(&standing.show.title)
            .clone(),
        terms: ledger.terms().clone(),
    };
    locked.commit_show(&show, &ledger, entry).await?;
    Ok(Ok(ShowStanding {
        show,
        seats: ledger.seats(),
        seq: ledger.seq(),
    }))
}
