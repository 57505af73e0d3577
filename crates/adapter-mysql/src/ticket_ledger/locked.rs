//! A transaction that holds the locks of some shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::receipt::TicketId;
use domain::rule::{Changes, ShowLedger, ShowSaved, TicketChange};
use domain::show::ShowStanding;
use domain::ticket::{Status, Ticket};
use domain::time::Timestamp;
use sqlx::mysql::MySqlConnection;
use sqlx::{Executor, FromRow, Row};

use super::sql::{self, Hold, padded, placeholders, repeated};
use crate::connections::Lease;
use crate::database::{Database, SERVER_MICROS};
use crate::error::StoreError;
use crate::row::{
    SHOW_COLUMNS, ShowRow, TICKET_COLUMNS, TicketRow, show_ledger, status_code, ticket_id,
};

/// The one way to change a show: lock, then read the clock, then everything
/// else. Dropped without a commit, it takes its connection with it, and the
/// server undoes what was done.
pub(super) struct Locked {
    lease: Lease,
    /// The shows that exist among those asked for.
    pub(super) shows: BTreeMap<ShowId, ShowStanding>,
    /// Read after the last lock was held.
    pub(super) now: Timestamp,
}

/// What becomes of a show that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfLocked {
    Wait,
    Skip,
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

impl Locked {
    /// Locks the shows of `ids`, which are sorted and distinct, in this sequence.
    pub(super) async fn shows(db: &Database, ids: &[&ShowId]) -> Result<Self, StoreError> {
        Self::lock(db, begin(db).await?, ids, IfLocked::Wait).await
    }

    /// The same, leaving out those that somebody else has locked.
    pub(super) async fn free_shows(db: &Database, ids: &[&ShowId]) -> Result<Self, StoreError> {
        Self::lock(db, begin(db).await?, ids, IfLocked::Skip).await
    }

    /// Locks the shows of these tickets. A ticket never changes its show.
    pub(super) async fn shows_of(db: &Database, ids: &[TicketId]) -> Result<Self, StoreError> {
        let mut lease = begin(db).await?;
        let found = tickets(lease.connection(), ids).await?;
        let shows: BTreeSet<_> = found.values().map(|ticket| &ticket.order.show_id).collect();
        let shows: Vec<_> = shows.into_iter().collect();
        Self::lock(db, lease, &shows, IfLocked::Wait).await
    }

    async fn lock(
        db: &Database,
        mut lease: Lease,
        ids: &[&ShowId],
        if_locked: IfLocked,
    ) -> Result<Self, StoreError> {
        let mut shows = BTreeMap::new();
        if ids.is_empty() {
            let now = db.clock.now();
            return Ok(Self { lease, shows, now });
        }
        let ids = padded(ids);
        let waiting = match if_locked {
            IfLocked::Wait => "",
            IfLocked::Skip => "SKIP LOCKED",
        };
        // Along the primary key, whatever the optimizer thinks of a small table.
        let sql = format!(
            "SELECT {SHOW_COLUMNS}, {SERVER_MICROS} AS server_micros \
             FROM shows FORCE INDEX (PRIMARY) WHERE id IN ({}) ORDER BY id FOR UPDATE {waiting}",
            placeholders(ids.len())
        );
        let mut query = sqlx::query(&sql);
        for id in ids {
            query = query.bind(id.as_str().as_bytes());
        }
        let asked = Instant::now();
        let rows = query.fetch_all(lease.connection()).await?;
        let now = match rows.last() {
            Some(last) => db.checked_now(asked, last.try_get("server_micros")?)?,
            None => db.clock.now(),
        };
        for row in rows {
            let standing = ShowStanding::try_from(ShowRow::from_row(&row)?)?;
            shows.insert(standing.show.id.clone(), standing);
        }
        Ok(Self { lease, shows, now })
    }

    /// The counters of the locked shows, to be worked on.
    pub(super) fn ledgers(&self) -> Result<BTreeMap<ShowId, ShowLedger>, StoreError> {
        let shows = self.shows.iter();
        shows
            .map(|(id, standing)| Ok((id.clone(), show_ledger(standing)?)))
            .collect()
    }

    pub(super) fn connection(&mut self) -> &mut MySqlConnection {
        self.lease.connection()
    }

    async fn end(mut self, statement: &'static str) -> Result<(), StoreError> {
        self.connection().execute(statement).await?;
        self.lease.give_back();
        Ok(())
    }

    /// Ends it without a change.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    pub(super) async fn tickets(
        &mut self,
        ids: &[TicketId],
    ) -> Result<HashMap<TicketId, Ticket>, StoreError> {
        tickets(self.connection(), ids).await
    }

    /// Up to `limit` holds of these shows that are over, the longest first.
    pub(super) async fn due_holds(
        &mut self,
        shows: &[ShowId],
        limit: usize,
    ) -> Result<DueHolds, StoreError> {
        let mut due = DueHolds::default();
        if shows.is_empty() || limit == 0 {
            return Ok(due);
        }
        let shows = padded(shows);
        let sql = format!(
            "SELECT ticket_id FROM holds WHERE show_id IN ({}) AND expires_at <= ? \
             ORDER BY expires_at, ticket_id LIMIT ?",
            placeholders(shows.len())
        );
        let mut query = sqlx::query_as::<_, (Vec<u8>,)>(&sql);
        for show in shows {
            query = query.bind(show.as_str().as_bytes());
        }
        let rows = query
            .bind(self.now.as_micros())
            .bind(u64::try_from(limit).unwrap_or(u64::MAX))
            .fetch_all(self.lease.connection())
            .await?;
        for (id,) in rows {
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
    ) -> Result<Vec<TicketId>, StoreError> {
        let mut due = Vec::new();
        for users in users.chunks(1_024) {
            let users = padded(users);
            let sql = format!(
                "SELECT id FROM tickets FORCE INDEX (tickets_of_user) \
                 WHERE user_id IN ({}) AND show_id = ? AND status = ? AND hold_expires_at <= ?",
                placeholders(users.len())
            );
            let mut query = sqlx::query_as::<_, (Vec<u8>,)>(&sql);
            for user in users {
                query = query.bind(user.as_str().as_bytes());
            }
            let rows = query
                .bind(show.as_str().as_bytes())
                .bind(status_code(Status::Reserved))
                .bind(self.now.as_micros())
                .fetch_all(self.lease.connection())
                .await?;
            for (id,) in rows {
                due.push(ticket_id("tickets", &id)?);
            }
        }
        Ok(due)
    }

    /// Those of the tickets that are reserved, the longest first. One that cannot be read keeps
    /// its seats: nobody knows how many they are.
    pub(super) async fn reserved(&mut self, ids: &[TicketId]) -> Result<Vec<Ticket>, StoreError> {
        let found = tickets_or_why_not(self.connection(), ids).await?;
        let mut reserved: Vec<_> = found
            .into_values()
            .filter_map(Result::ok)
            .filter(|ticket| ticket.hold_expires_at().is_some())
            .collect();
        reserved.sort_unstable_by_key(|ticket| (ticket.hold_expires_at(), ticket.order.ticket_id));
        Ok(reserved)
    }

    /// Which of the users exist.
    pub(super) async fn existing(&mut self, users: &[&UserId]) -> Result<Vec<Vec<u8>>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let users = padded(users);
        let sql = format!(
            "SELECT id FROM users WHERE id IN ({})",
            placeholders(users.len())
        );
        let mut query = sqlx::query_as::<_, (Vec<u8>,)>(&sql);
        for user in users {
            query = query.bind(user.as_str().as_bytes());
        }
        let rows = query.fetch_all(self.connection()).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Live seats of users in shows; a pair that is missing has none.
    pub(super) async fn live_seats(
        &mut self,
        pairs: &[(&ShowId, &UserId)],
    ) -> Result<LiveSeats, StoreError> {
        /// From so many users on, a show has a statement of its own.
        const MANY: usize = 16;

        let mut by_show: BTreeMap<&ShowId, Vec<&UserId>> = BTreeMap::new();
        for (show, user) in pairs {
            by_show.entry(show).or_default().push(user);
        }
        let mut rows: Vec<(Vec<u8>, Vec<u8>, i32)> = Vec::with_capacity(pairs.len());
        let mut few = Vec::new();
        for (show, users) in by_show {
            if users.len() < MANY {
                few.extend(users.into_iter().map(|user| (show, user)));
                continue;
            }
            let users = padded(&users);
            let sql = format!(
                "SELECT show_id, user_id, seats FROM live_seats \
                 WHERE show_id = ? AND user_id IN ({})",
                placeholders(users.len())
            );
            let mut query = sqlx::query_as(&sql).bind(show.as_str().as_bytes());
            for user in users {
                query = query.bind(user.as_str().as_bytes());
            }
            rows.extend(query.fetch_all(self.connection()).await?);
        }
        if !few.is_empty() {
            // MariaDB compares each row that it finds with half of such a list.
            let few = padded(&few);
            let sql = format!(
                "SELECT show_id, user_id, seats FROM live_seats WHERE (show_id, user_id) IN ({})",
                repeated("(?,?)", few.len())
            );
            let mut query = sqlx::query_as(&sql);
            for (show, user) in few {
                query = query
                    .bind(show.as_str().as_bytes())
                    .bind(user.as_str().as_bytes());
            }
            rows.extend(query.fetch_all(self.connection()).await?);
        }
        rows.into_iter()
            .map(|(show, user, seats)| {
                let seats = u32::try_from(seats).map_err(|_| StoreError::Corrupt {
                    table: "live_seats",
                    what: format!("{seats} seats"),
                })?;
                Ok(((show, user), seats))
            })
            .collect()
    }

    /// Removes holds that hold nothing: of tickets that are not reserved, or not there.
    pub(super) async fn remove_holds(&mut self, ids: &[Vec<u8>]) -> Result<(), StoreError> {
        sql::delete_holds(self.connection(), ids).await
    }

    /// Saves everything and commits.
    pub(super) async fn commit(self, changes: &Changes<'_>) -> Result<(), StoreError> {
        self.commit_under(changes, None).await
    }

    /// The same, if no other claim followed. A batch that changes no show decides nothing
    /// that another could have decided otherwise: verdicts that were there already, and orders
    /// of shows that do not exist.
    pub(super) async fn commit_under(
        mut self,
        changes: &Changes<'_>,
        claim: Option<Claim>,
    ) -> Result<(), StoreError> {
        let connection = self.lease.connection();
        sql::insert_tickets(connection, &changes.decided).await?;
        for (state, ids) in updated(changes.changed) {
            sql::update_tickets(connection, state, &ids).await?;
        }
        let ended = changes.changed.iter().map(|change| &change.before);
        let ended = ended.filter(|before| before.hold_expires_at().is_some());
        let ended: Vec<_> = ended
            .map(|ticket| ticket.order.ticket_id.to_bytes().to_vec())
            .collect();
        sql::delete_holds(connection, &ended).await?;
        let holds = changes.decided.iter().filter_map(|ticket| hold(ticket));
        sql::insert_holds(connection, &holds.collect::<Vec<_>>()).await?;
        sql::add_live_seats(connection, changes.live_seats()).await?;
        let journal = changes.changed.iter().map(|change| &change.entry);
        sql::insert_journal(connection, &journal.collect::<Vec<_>>()).await?;
        for ledger in &changes.shows {
            sql::update_counters(connection, ledger, claim).await?;
        }
        self.end("COMMIT").await
    }

    /// Saves a show's new title and terms and commits.
    pub(super) async fn commit_show(mut self, saved: &ShowSaved) -> Result<(), StoreError> {
        let connection = self.lease.connection();
        sql::update_show(connection, saved).await?;
        sql::insert_journal(connection, &saved.entry.iter().collect::<Vec<_>>()).await?;
        self.end("COMMIT").await
    }
}

async fn begin(db: &Database) -> Result<Lease, StoreError> {
    let mut lease = db.lease_changing().await?;
    lease.connection().execute("START TRANSACTION").await?;
    Ok(lease)
}

/// Tickets by id.
pub(super) async fn tickets(
    connection: &mut MySqlConnection,
    ids: &[TicketId],
) -> Result<HashMap<TicketId, Ticket>, StoreError> {
    let found = tickets_or_why_not(connection, ids).await?;
    let found = found.into_iter();
    found.map(|(id, ticket)| Ok((id, ticket?))).collect()
}

/// The same, each with why it cannot be read.
pub(super) async fn tickets_or_why_not(
    connection: &mut MySqlConnection,
    ids: &[TicketId],
) -> Result<HashMap<TicketId, Result<Ticket, StoreError>>, StoreError> {
    let mut found = HashMap::with_capacity(ids.len());
    // Bounded, because a padded list of many could outgrow the protocol.
    for ids in ids.chunks(4_096) {
        let ids = padded(ids);
        let sql = format!(
            "SELECT {TICKET_COLUMNS} FROM tickets WHERE id IN ({})",
            placeholders(ids.len())
        );
        let mut query = sqlx::query_as::<_, TicketRow>(&sql);
        for id in ids {
            query = query.bind(id.to_bytes().to_vec());
        }
        for row in query.fetch_all(&mut *connection).await? {
            found.insert(ticket_id("tickets", &row.id)?, Ticket::try_from(row));
        }
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
