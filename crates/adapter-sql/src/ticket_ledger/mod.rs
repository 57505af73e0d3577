//! The ledger. Every change goes through [`locked::Locked`]; what changes is
//! said by [`domain::rule`].

mod attempts;
mod expiring;
pub(crate) mod holder;
mod locked;
mod reading;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

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
use domain::rule::{
    self, BatchShow, BatchState, TicketsState, TransitionOutcome, TransitionRequest,
    change_tickets, decide_batch, make_room,
};
use domain::show::{ShowChange, ShowSeats, ShowStanding};
use domain::ticket::Ticket;

use self::attempts::until_free;
use self::locked::{LiveSeats, Locked, tickets, tickets_or_why_not};
use self::reading::{history, list};
use crate::by_show::ByShow;
use crate::connections::Connections;
use crate::database::{CHANGE_LIMIT, Database};
use crate::engine::Engine;
use crate::error::{Fault, cause, ledger_error};
use crate::look_ups::Found;
use crate::row::show_ledger;
use crate::statements::{SqlSession, UserStatements};
use crate::store::SqlStore;

/// Requests to confirm or cancel in one transaction.
const MAX_TRANSITIONS: usize = 1_000;
/// Due holds that a deciding transaction releases whether or not it needs their seats.
const MAX_DUE_HOLDS: usize = 1_000;

/// For everybody.
pub(crate) async fn find_all<E: Engine>(
    connections: Arc<Connections<E>>,
    ids: Vec<TicketId>,
) -> Result<Vec<Found<Ticket>>, E::Error> {
    let finding = async |session: &mut E::Session| tickets_or_why_not::<E>(session, &ids).await;
    Ok(each(&ids, &connections.run(finding).await?))
}

/// For those who confirm and cancel: what is not found is nowhere.
pub(crate) async fn find_to_change<E: Engine>(
    connections: Arc<Connections<E>>,
    ids: Vec<TicketId>,
) -> Result<Vec<Found<Ticket>>, E::Error> {
    let finding = async |session: &mut E::Session| {
        let found = tickets_or_why_not::<E>(session, &ids).await?;
        if ids.iter().any(|id| !found.contains_key(id)) {
            // A primary that was demoted knows nothing of later decisions.
            session.ensure_it_takes_changes().await?;
        }
        Ok(found)
    };
    Ok(each(&ids, &connections.run(finding).await?))
}

fn each(ids: &[TicketId], found: &HashMap<TicketId, Result<Ticket, Fault>>) -> Vec<Found<Ticket>> {
    let one = |id: &TicketId| found.get(id).cloned().transpose();
    ids.iter().map(one).collect()
}

/// One transaction at a time for each show costs nothing: it would wait for the show's lock
/// anyway.
pub(crate) fn transitions<E: Engine>(
    db: Arc<Database<E>>,
) -> ByShow<TransitionRequest, (TransitionOutcome, Option<ShowSeats>), E::Error> {
    let shows_at_once = db.shows_at_once();
    let run = move |show: ShowId, requests: Vec<TransitionRequest>| {
        let db = Arc::clone(&db);
        async move {
            let attempt = async || {
                let locked = Locked::shows(&db, &[&show]).await?;
                change_all(locked, &requests).await
            };
            let report = until_free(attempt).await?;
            let seats = report.shows.first();
            let outcomes = report.outcomes.into_iter();
            let with_seats = outcomes.map(|outcome| match outcome {
                TransitionOutcome::Changed(_) => (outcome, seats.cloned()),
                TransitionOutcome::Unchanged(_)
                | TransitionOutcome::Refused(..)
                | TransitionOutcome::NotDecided
                | TransitionOutcome::NotTheirs => (outcome, None),
            });
            Ok(with_seats.collect())
        }
    };
    ByShow::new(MAX_TRANSITIONS, shows_at_once, CHANGE_LIMIT, run)
}

#[async_trait]
impl<E: Engine> TicketLedger for SqlStore<E> {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        if orders.is_empty() {
            return Ok(DecideReport::default());
        }
        let attempt = || decide(&self.db, orders, claim);
        until_free(attempt).await.map_err(ledger_error)
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let changing = self.transition_together(requests);
        changing.await.map_err(ledger_error)
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        let expiring = expiring::expire_due(&self.db, limit);
        expiring.await.map_err(ledger_error)
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        by: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        let attempt = || change_show(&self.db, id, change, by);
        let changed = until_free(attempt).await;
        changed.map_err(|error| ChangeShowError::Unavailable(cause(error)))?
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        if let [id] = ids {
            let found = self.tickets.find(*id).await;
            return Ok(found.map_err(ledger_error)?.into_iter().collect());
        }
        let ids = ids.to_vec();
        let finding = self.db.reading.run_to_the_end(move |session| {
            Box::pin(async move { tickets::<E>(session, &ids).await })
        });
        let found = finding.await;
        Ok(found.map_err(ledger_error)?.into_values().collect())
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        let user = user.clone();
        let listing = self.db.reading.run_to_the_end(move |session| {
            Box::pin(async move { list::<E>(session, &user, page).await })
        });
        listing.await.map_err(ledger_error)
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let show = show.clone();
        let reading = self.db.reading.run_to_the_end(move |session| {
            Box::pin(async move { history::<E>(session, &show, after_seq, limit).await })
        });
        reading.await.map_err(ledger_error)
    }
}

impl<E: Engine> SqlStore<E> {
    async fn transition_together(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, E::Error> {
        let [request] = requests else {
            let ids: Vec<_> = requests.iter().map(|request| request.ticket_id).collect();
            let attempt = async || {
                let locked = Locked::shows_of(&self.db, &ids).await?;
                change_all(locked, requests).await
            };
            return until_free(attempt).await;
        };
        // Which show to lock; a ticket never changes it.
        let found = self.changed_tickets.find(request.ticket_id).await?;
        let (outcome, seats) = match found {
            Some(ticket) => {
                let show = &ticket.order.show_id;
                self.transitions.call(show, request.clone()).await?
            }
            None => (TransitionOutcome::NotDecided, None),
        };
        Ok(TransitionReport {
            outcomes: vec![outcome],
            shows: seats.into_iter().collect(),
        })
    }
}

fn sorted<'a>(shows: impl Iterator<Item = &'a ShowId>) -> Vec<&'a ShowId> {
    shows.collect::<BTreeSet<_>>().into_iter().collect()
}

async fn decide<E: Engine>(
    db: &Database<E>,
    orders: &[Order],
    claim: Option<Claim>,
) -> Result<DecideReport, E::Error> {
    let mut locked = Locked::shows(db, &sorted(orders.iter().map(|order| &order.show_id))).await?;
    let state = load_batch(&mut locked, orders).await?;
    let outcome = decide_batch(state, orders, locked.now).map_err(Fault::from)?;
    locked.commit_under(&outcome.changes(), claim).await?;
    Ok(outcome.into())
}

/// Reads, under the locks, all that the rule needs.
async fn load_batch<E: Engine>(
    locked: &mut Locked<E>,
    orders: &[Order],
) -> Result<BatchState, E::Error> {
    let ids: Vec<_> = orders.iter().map(|order| order.ticket_id).collect();
    let known = locked.tickets(&ids).await?;
    let users: HashSet<&UserId> = orders.iter().map(|order| &order.user_id).collect();
    let users: Vec<&UserId> = users.into_iter().collect();
    let existing = locked.session().existing_users(&users).await?;
    let existing: HashSet<Vec<u8>> = existing.into_iter().collect();
    let pairs: HashSet<(&ShowId, &UserId)> = orders
        .iter()
        .filter(|order| locked.shows.contains_key(&order.show_id))
        .filter(|order| existing.contains(order.user_id.as_str().as_bytes()))
        .map(|order| (&order.show_id, &order.user_id))
        .collect();
    let pairs: Vec<_> = pairs.into_iter().collect();
    let live = locked.live_seats(&pairs).await?;
    let due = due_holds(locked, orders, &pairs, &live).await?;
    let mut shows = BTreeMap::new();
    for (id, ledger) in locked.ledgers()? {
        let show = BatchShow {
            ledger,
            live_seats: HashMap::new(),
            due_holds: Vec::new(),
        };
        shows.insert(id, show);
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

/// The due holds that the rule asks for. Usually these are all there are. After an outage there
/// may be a hundred thousand; sweeping releases those that are left out.
async fn due_holds<E: Engine>(
    locked: &mut Locked<E>,
    orders: &[Order],
    pairs: &[(&ShowId, &UserId)],
    live: &LiveSeats,
) -> Result<Vec<Ticket>, E::Error> {
    let shows: Vec<ShowId> = locked.shows.keys().cloned().collect();
    let all = locked.due_holds(&shows, MAX_DUE_HOLDS).await?;
    if all.count() < MAX_DUE_HOLDS {
        return locked.reserved(&all.tickets).await;
    }
    let mut needed = BTreeMap::new();
    for show in &shows {
        // Who has no live seats has no hold.
        let users = pairs.iter().filter(|(of, user)| {
            let key = (of.as_str().into(), user.as_str().into());
            *of == show && live.get(&key).is_some_and(|seats| *seats > 0)
        });
        let users: Vec<&UserId> = users.map(|(_, user)| *user).collect();
        let theirs = locked.due_holds_of(show, &users).await?;
        let mut due = locked.reserved(&theirs).await?;
        due.extend(room_for(locked, show, orders).await?);
        let place = |ticket: &Ticket| (ticket.hold_expires_at(), ticket.order.ticket_id);
        needed.extend(due.into_iter().map(|ticket| (place(&ticket), ticket)));
    }
    Ok(needed.into_values().collect())
}

/// The longest due holds of a show that make room for the orders. Some may be of tickets that
/// release nothing, so that it may take more of them.
async fn room_for<E: Engine>(
    locked: &mut Locked<E>,
    show: &ShowId,
    orders: &[Order],
) -> Result<Vec<Ticket>, E::Error> {
    let mut limit = orders.len();
    loop {
        let due = locked.due_holds(std::slice::from_ref(show), limit).await?;
        let reserved = locked.reserved(&due.tickets).await?;
        if due.count() < limit || make_room(&reserved, show, orders, locked.now) {
            return Ok(reserved);
        }
        limit = limit.saturating_mul(2);
    }
}

/// Reads the tickets, whose shows are locked.
async fn load_tickets<E: Engine>(
    locked: &mut Locked<E>,
    ids: &[TicketId],
) -> Result<TicketsState, E::Error> {
    let tickets = locked.tickets(ids).await?;
    if ids.iter().any(|id| !tickets.contains_key(id)) {
        locked.session().ensure_it_takes_changes().await?;
    }
    Ok(TicketsState {
        tickets,
        shows: locked.ledgers()?,
    })
}

async fn change_all<E: Engine>(
    mut locked: Locked<E>,
    requests: &[TransitionRequest],
) -> Result<TransitionReport, E::Error> {
    let ids: Vec<_> = requests.iter().map(|request| request.ticket_id).collect();
    let state = load_tickets(&mut locked, &ids).await?;
    let outcome = change_tickets(state, requests, locked.now).map_err(Fault::from)?;
    locked.commit(&outcome.changes()).await?;
    Ok(outcome.into())
}

async fn change_show<E: Engine>(
    db: &Database<E>,
    id: &ShowId,
    change: &ShowChange,
    by: Option<&Author>,
) -> Result<Result<ShowStanding, ChangeShowError>, E::Error> {
    let locked = Locked::shows(db, &[id]).await?;
    let Some(standing) = locked.shows.get(id) else {
        locked.roll_back().await?;
        return Ok(Err(ChangeShowError::NotFound));
    };
    let (show, ledger) = (standing.show.clone(), show_ledger(standing)?);
    match rule::change_show(show, ledger, change, locked.now) {
        Ok(saved) => {
            locked.commit_show(&saved, by).await?;
            Ok(Ok(saved.standing()))
        }
        Err(refused) => {
            locked.roll_back().await?;
            Ok(Err(refused.into()))
        }
    }
}
