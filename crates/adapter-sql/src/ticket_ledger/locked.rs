//! A transaction that holds the locks of some shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use domain::author::Author;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::receipt::TicketId;
use domain::rule::{Changes, ShowLedger, ShowSaved, TicketChange};
use domain::show::ShowStanding;
use domain::ticket::{Status, Ticket};
use domain::time::Timestamp;

use crate::authors::author;
use crate::connections::Lease;
use crate::database::Database;
use crate::engine::Engine;
use crate::error::Fault;
use crate::row::{show_ledger, ticket_id};
use crate::statements::{
    Hold, HoldStatements, IfLocked, ShowStatements, SqlSession, TicketStatements,
};

/// The one way to change a show: lock, then read the clock, then everything
/// else. Dropped without a commit, it takes its connection with it, and the
/// server undoes what was done.
pub(super) struct Locked<E: Engine> {
    lease: Lease<E>,
    /// The shows that exist among those asked for.
    pub(super) shows: BTreeMap<ShowId, ShowStanding>,
    /// Read after the last lock was held.
    pub(super) now: Timestamp,
}

/// Holds that are over.
#[derive(Default)]
pub(super) struct DueHolds {
    pub(super) tickets: Vec<TicketId>,
    /// What is no ticket's id.
    pub(super) of_no_ticket: Vec<Vec<u8>>,
}

impl DueHolds {
    pub(super) const fn count(&self) -> usize {
        self.tickets.len() + self.of_no_ticket.len()
    }
}

/// Live seats by show and user.
pub(super) type LiveSeats = HashMap<(Vec<u8>, Vec<u8>), u32>;

impl<E: Engine> Locked<E> {
    /// Locks the shows of `ids`, which are sorted and distinct, in this sequence.
    pub(super) async fn shows(db: &Database<E>, ids: &[&ShowId]) -> Result<Self, E::Error> {
        Self::lock(db, begin(db).await?, ids, IfLocked::Wait).await
    }

    /// The same, leaving out those that somebody else has locked.
    pub(super) async fn free_shows(db: &Database<E>, ids: &[&ShowId]) -> Result<Self, E::Error> {
        Self::lock(db, begin(db).await?, ids, IfLocked::Skip).await
    }

    /// Locks the shows of these tickets. A ticket never changes its show.
    pub(super) async fn shows_of(db: &Database<E>, ids: &[TicketId]) -> Result<Self, E::Error> {
        let mut lease = begin(db).await?;
        let found = tickets::<E>(lease.session(), ids).await?;
        let shows: BTreeSet<_> = found.values().map(|ticket| &ticket.order.show_id).collect();
        let shows: Vec<_> = shows.into_iter().collect();
        Self::lock(db, lease, &shows, IfLocked::Wait).await
    }

    async fn lock(
        db: &Database<E>,
        mut lease: Lease<E>,
        ids: &[&ShowId],
        if_locked: IfLocked,
    ) -> Result<Self, E::Error> {
        let mut shows = BTreeMap::new();
        if ids.is_empty() {
            let now = db.clock.now();
            return Ok(Self { lease, shows, now });
        }
        let asked = Instant::now();
        let locked = lease.session().lock_shows(ids, if_locked).await?;
        let now = db.checked_now(asked, locked.server_micros)?;
        for row in locked.rows {
            let standing = ShowStanding::try_from(row)?;
            shows.insert(standing.show.id.clone(), standing);
        }
        Ok(Self { lease, shows, now })
    }

    /// The counters of the locked shows, to be worked on.
    pub(super) fn ledgers(&self) -> Result<BTreeMap<ShowId, ShowLedger>, E::Error> {
        let shows = self.shows.iter();
        shows
            .map(|(id, standing)| Ok((id.clone(), show_ledger(standing)?)))
            .collect()
    }

    pub(super) fn session(&mut self) -> &mut E::Session {
        self.lease.session()
    }

    /// Ends it without a change.
    pub(super) async fn roll_back(mut self) -> Result<(), E::Error> {
        self.session().roll_back().await?;
        self.lease.give_back();
        Ok(())
    }

    async fn end(mut self) -> Result<(), E::Error> {
        self.session().commit().await?;
        self.lease.give_back();
        Ok(())
    }

    pub(super) async fn tickets(
        &mut self,
        ids: &[TicketId],
    ) -> Result<HashMap<TicketId, Ticket>, E::Error> {
        tickets::<E>(self.session(), ids).await
    }

    /// Up to `limit` holds of these shows that are over, the longest first.
    pub(super) async fn due_holds(
        &mut self,
        shows: &[ShowId],
        limit: usize,
    ) -> Result<DueHolds, E::Error> {
        let mut due = DueHolds::default();
        if shows.is_empty() || limit == 0 {
            return Ok(due);
        }
        let now = self.now;
        for id in self.session().due_holds(shows, now, limit).await? {
            match ticket_id("holds", &id) {
                Ok(id) => due.tickets.push(id),
                Err(_) => due.of_no_ticket.push(id),
            }
        }
        Ok(due)
    }

    /// Holds of these users on seats of a show that are over.
    pub(super) async fn due_holds_of(
        &mut self,
        show: &ShowId,
        users: &[&UserId],
    ) -> Result<Vec<TicketId>, E::Error> {
        let now = self.now;
        let due = self.session().due_holds_of(show, users, now).await?;
        let due = due.iter().map(|id| Ok(ticket_id("tickets", id)?));
        due.collect()
    }

    /// Those of the tickets that are reserved, the longest first. One that cannot be read keeps
    /// its seats: nobody knows how many they are.
    pub(super) async fn reserved(&mut self, ids: &[TicketId]) -> Result<Vec<Ticket>, E::Error> {
        let found = tickets_or_why_not::<E>(self.session(), ids).await?;
        let mut reserved: Vec<_> = found
            .into_values()
            .filter_map(Result::ok)
            .filter(|ticket| ticket.hold_expires_at().is_some())
            .collect();
        reserved.sort_unstable_by_key(|ticket| (ticket.hold_expires_at(), ticket.order.ticket_id));
        Ok(reserved)
    }

    /// Live seats of users in shows; a pair that is missing has none.
    pub(super) async fn live_seats(
        &mut self,
        pairs: &[(&ShowId, &UserId)],
    ) -> Result<LiveSeats, E::Error> {
        let mut users: BTreeMap<&ShowId, Vec<&UserId>> = BTreeMap::new();
        for (show, user) in pairs {
            users.entry(show).or_default().push(user);
        }
        let rows = self.session().live_seats(&users).await?.into_iter();
        rows.map(|(show, user, seats)| {
            let corrupt = |_| Fault::corrupt("live_seats", format_args!("{seats} seats"));
            let seats = u32::try_from(seats).map_err(corrupt)?;
            Ok(((show, user), seats))
        })
        .collect()
    }

    /// Saves everything and commits.
    pub(super) async fn commit(self, changes: &Changes<'_>) -> Result<(), E::Error> {
        self.commit_under(changes, None).await
    }

    /// The same, if no other claim followed. A batch that changes no show decides nothing
    /// that another could have decided otherwise: verdicts that were there already, and orders
    /// of shows that do not exist.
    pub(super) async fn commit_under(
        mut self,
        changes: &Changes<'_>,
        claim: Option<Claim>,
    ) -> Result<(), E::Error> {
        let session = self.lease.session();
        session.insert_tickets(&changes.decided).await?;
        for ((status, version), ids) in updated(changes.changed) {
            session.update_tickets(status, version, &ids).await?;
        }
        let ended = changes.changed.iter().map(|change| &change.before);
        let ended = ended.filter(|before| before.hold_expires_at().is_some());
        let ended: Vec<_> = ended
            .map(|ticket| ticket.order.ticket_id.to_bytes().to_vec())
            .collect();
        session.delete_holds(&ended).await?;
        let holds = changes.decided.iter().filter_map(|ticket| hold(ticket));
        let holds: Vec<_> = holds.collect();
        session.insert_holds(&holds).await?;
        self.add_live_seats(changes.live_seats()).await?;
        let session = self.lease.session();
        let journal = changes.changed.iter().map(|change| &change.entry);
        let journal: Vec<_> = journal.collect();
        session.insert_journal(&journal, None).await?;
        for ledger in &changes.shows {
            if !session.update_counters(ledger, claim).await? {
                return Err(Fault::ClaimLost.into());
            }
        }
        self.end().await
    }

    /// Adds to the live seats of users, or takes away.
    pub(super) async fn add_live_seats(
        &mut self,
        changes: HashMap<(&ShowId, &UserId), i64>,
    ) -> Result<(), E::Error> {
        let changes = changes.into_iter().filter(|(_, seats)| *seats != 0);
        let mut changes: Vec<_> = changes.collect();
        // By key, as every writer does: no two of them wait for each other.
        changes.sort_unstable();
        self.session().add_live_seats(&changes).await
    }

    /// Saves a show's new title and terms and commits.
    pub(super) async fn commit_show(
        mut self,
        saved: &ShowSaved,
        by: Option<&Author>,
    ) -> Result<(), E::Error> {
        let entry: Vec<_> = saved.entry.iter().collect();
        let session = self.lease.session();
        session.update_show(saved).await?;
        if saved.entry.is_some() {
            let author = author::<E>(session, by).await?;
            session.insert_journal(&entry, author).await?;
        }
        self.end().await
    }
}

async fn begin<E: Engine>(db: &Database<E>) -> Result<Lease<E>, E::Error> {
    let mut lease = db.changing.lease().await?;
    lease.session().begin().await?;
    Ok(lease)
}

/// Tickets by id.
pub(super) async fn tickets<E: Engine>(
    session: &mut E::Session,
    ids: &[TicketId],
) -> Result<HashMap<TicketId, Ticket>, E::Error> {
    let found = tickets_or_why_not::<E>(session, ids).await?;
    let found = found.into_iter();
    found.map(|(id, ticket)| Ok((id, ticket?))).collect()
}

/// The same, each with why it cannot be read.
pub(super) async fn tickets_or_why_not<E: Engine>(
    session: &mut E::Session,
    ids: &[TicketId],
) -> Result<HashMap<TicketId, Result<Ticket, Fault>>, E::Error> {
    let mut found = HashMap::with_capacity(ids.len());
    for row in session.tickets(ids).await? {
        found.insert(ticket_id("tickets", &row.id)?, Ticket::try_from(row));
    }
    Ok(found)
}

fn hold(ticket: &Ticket) -> Option<Hold<'_>> {
    let order = &ticket.order;
    Some((order.ticket_id, &order.show_id, ticket.hold_expires_at()?))
}

/// Changed tickets by what they become in the end, so that each state is one statement.
fn updated(changes: &[TicketChange]) -> HashMap<(Status, u32), Vec<TicketId>> {
    let after = changes.iter().map(|change| &change.after);
    let last: HashMap<_, _> = after
        .map(|ticket| (ticket.order.ticket_id, (ticket.status, ticket.version)))
        .collect();
    let mut by_state: HashMap<_, Vec<_>> = HashMap::new();
    for (id, state) in last {
        by_state.entry(state).or_default().push(id);
    }
    by_state
}
