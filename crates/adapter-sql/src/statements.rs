//! The statements that a database brings. None of them decides anything: they lock, load and save
//! what they are told to. They run in the transaction of their session, if one has begun.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::author::Author;
use domain::claims::{Claim, Presence};
use domain::ids::{ShowId, UserId};
use domain::journal::JournalEntry;
use domain::order::Lane;
use domain::ports::UserMark;
use domain::receipt::{ProcessId, TicketId};
use domain::rule::{ShowLedger, ShowSaved};
use domain::ticket::{Status, Ticket};
use domain::time::Timestamp;
use domain::user::{User, UserChange};

use crate::error::SqlError;
use crate::row::{
    ChangedUserRow, JournalRow, ShowRow, TermsRow, TicketRow, UserAuthorsRow, UserRow, WorkerRow,
};

/// A session and its transactions: READ COMMITTED, and a statement outside of one commits by
/// itself.
#[async_trait]
pub trait SqlSession: Send + 'static {
    /// See [`crate::Engine::Error`].
    type Error: SqlError;

    /// When its server was last seen to be the one to use.
    fn examined(&self) -> Instant;

    /// Begins a transaction that will write.
    async fn begin(&mut self) -> Result<(), Self::Error>;

    /// Ends it, with all its changes.
    async fn commit(&mut self) -> Result<(), Self::Error>;

    /// Ends it without a change.
    async fn roll_back(&mut self) -> Result<(), Self::Error>;

    /// Fails unless the server takes changes: what was not found on one that does not may be
    /// somewhere else.
    async fn ensure_it_takes_changes(&mut self) -> Result<(), Self::Error>;

    /// Microseconds since 1970 by the server's clock, if that is not this process's. Fails if
    /// shows cannot be read.
    async fn server_time(&mut self) -> Result<Option<i64>, Self::Error>;

    /// Changes a row that nothing else uses, making it if it is gone.
    async fn write_check(&mut self) -> Result<(), Self::Error>;

    /// Ids of the deployment: one, if the database is in order.
    async fn deployments(&mut self) -> Result<Vec<u32>, Self::Error>;
}

/// What becomes of a show that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfLocked {
    /// It is waited for.
    Wait,
    /// It is left out. A database that locks as a whole has none to leave out.
    Skip,
}

/// Shows that are locked until the transaction ends.
#[derive(Debug)]
pub struct LockedShows {
    /// Those that exist.
    pub rows: Vec<ShowRow>,
    /// Like [`SqlSession::server_time`], read after the last lock was held.
    pub server_micros: Option<i64>,
}

/// Shows and their counters.
#[async_trait]
pub trait ShowStatements: SqlSession {
    /// Locks shows in this sequence, and reads them; `ids` are sorted and distinct.
    async fn lock_shows(
        &mut self,
        ids: &[&ShowId],
        if_locked: IfLocked,
    ) -> Result<LockedShows, Self::Error>;

    /// Waits for no lock.
    async fn shows(&mut self, ids: &[ShowId]) -> Result<Vec<ShowRow>, Self::Error>;

    /// By id in byte order.
    async fn shows_after(
        &mut self,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<ShowRow>, Self::Error>;

    /// The number of a show's last change.
    async fn show_seq(&mut self, id: &ShowId) -> Result<Option<u64>, Self::Error>;

    /// A new show.
    async fn insert_show(&mut self, saved: &ShowSaved) -> Result<(), Self::Error>;

    /// New title, terms and counters of a show that is locked.
    async fn update_show(&mut self, saved: &ShowSaved) -> Result<(), Self::Error>;

    /// New counters of a show that is locked. Returns `false`, having changed nothing, if there
    /// is a claim and another one of its lane followed. The claim's number is read as it is
    /// committed by now, without a lock.
    async fn update_counters(
        &mut self,
        ledger: &ShowLedger,
        claim: Option<Claim>,
    ) -> Result<bool, Self::Error>;
}

/// Tickets and the journal.
#[async_trait]
pub trait TicketStatements: SqlSession {
    /// In any sequence.
    async fn tickets(&mut self, ids: &[TicketId]) -> Result<Vec<TicketRow>, Self::Error>;

    /// A user's, newest first by `requested_at`, then by id, behind such a place.
    async fn tickets_of_user(
        &mut self,
        user: &UserId,
        after: Option<&(i64, Vec<u8>)>,
        limit: usize,
    ) -> Result<Vec<TicketRow>, Self::Error>;

    /// Those that were decided with the numbers `after + 1` to `until` of a show.
    async fn decisions(
        &mut self,
        show: &ShowId,
        after: u64,
        until: u64,
    ) -> Result<Vec<TicketRow>, Self::Error>;

    /// New ones.
    async fn insert_tickets(&mut self, tickets: &[&Ticket]) -> Result<(), Self::Error>;

    /// Gives these the same status and version.
    async fn update_tickets(
        &mut self,
        status: Status,
        version: u32,
        ids: &[TicketId],
    ) -> Result<(), Self::Error>;

    /// Show and id of some of a user's tickets, as they are stored.
    async fn some_tickets_of(
        &mut self,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Self::Error>;

    /// Changes the holder of those of the tickets that are a user's. Returns how many these are,
    /// and how many live seats they have.
    async fn update_holder(
        &mut self,
        ids: &[Vec<u8>],
        user: &UserId,
        to: &UserId,
    ) -> Result<(u64, i64), Self::Error>;

    /// New entries of the journal, with the number of their author.
    async fn insert_journal(
        &mut self,
        entries: &[&JournalEntry],
        author: Option<u64>,
    ) -> Result<(), Self::Error>;

    /// Like [`Self::decisions`], of the journal.
    async fn journal(
        &mut self,
        show: &ShowId,
        after: u64,
        until: u64,
    ) -> Result<Vec<JournalRow>, Self::Error>;

    /// Those of the journal that set terms of a show, from a number on, in sequence.
    async fn terms_after(
        &mut self,
        show: &ShowId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TermsRow>, Self::Error>;
}

/// Those who change shows and users.
#[async_trait]
pub trait AuthorStatements: SqlSession {
    /// Their number, which they get now if they have none.
    async fn author(&mut self, author: &Author) -> Result<u64, Self::Error>;

    /// Gives one another name, whatever the numbers. Returns whether there was one.
    async fn rename_author(&mut self, from: &Author, to: &Author) -> Result<bool, Self::Error>;
}

/// A ticket's hold on seats of a show until an instant.
pub type Hold<'a> = (TicketId, &'a ShowId, Timestamp);

/// Live seats of a user in a show, as they are stored.
pub type LiveSeatsRow = (Vec<u8>, Vec<u8>, i32);

/// Seats that are more or fewer for a user of a show.
pub type SeatsChange<'a> = ((&'a ShowId, &'a UserId), i64);

/// Holds, and the live seats of users. Ids of holds are as they are stored, because some may be of
/// no ticket or show.
#[async_trait]
pub trait HoldStatements: SqlSession {
    /// Shows with holds that are over by then, the longest first.
    async fn shows_with_due_holds(
        &mut self,
        now: Timestamp,
        limit: u64,
    ) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Tickets of these shows whose holds are over by then, the longest first.
    async fn due_holds(
        &mut self,
        shows: &[ShowId],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Reserved tickets of these users for a show whose holds are over by then.
    async fn due_holds_of(
        &mut self,
        show: &ShowId,
        users: &[&UserId],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// New ones.
    async fn insert_holds(&mut self, holds: &[Hold<'_>]) -> Result<(), Self::Error>;

    /// Of these tickets.
    async fn delete_holds(&mut self, tickets: &[Vec<u8>]) -> Result<(), Self::Error>;

    /// All of these shows, of which there is at least one.
    async fn delete_holds_of_shows(&mut self, shows: &[Vec<u8>]) -> Result<(), Self::Error>;

    /// Live seats by show and user; a pair that is missing has none.
    async fn live_seats(
        &mut self,
        users: &BTreeMap<&ShowId, Vec<&UserId>>,
    ) -> Result<Vec<LiveSeatsRow>, Self::Error>;

    /// Adds to live seats, or takes away, in this sequence.
    async fn add_live_seats(&mut self, changes: &[SeatsChange<'_>]) -> Result<(), Self::Error>;

    /// Removes the row of a user who has no live seats in a show.
    async fn delete_no_live_seats(
        &mut self,
        show: &ShowId,
        user: &UserId,
    ) -> Result<(), Self::Error>;
}

/// The statements about users.
#[async_trait]
pub trait UserStatements: SqlSession {
    /// Ids of those who exist, as they are stored.
    async fn existing_users(&mut self, ids: &[&UserId]) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// In any sequence.
    async fn users(&mut self, ids: &[UserId]) -> Result<Vec<UserRow>, Self::Error>;

    /// By id in byte order.
    async fn users_after(
        &mut self,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<UserRow>, Self::Error>;

    /// Who created and who changed a user.
    async fn user_authors(&mut self, id: &UserId) -> Result<Option<UserAuthorsRow>, Self::Error>;

    /// A new one, with the number of its author.
    async fn insert_user(&mut self, user: &User, author: Option<u64>) -> Result<(), Self::Error>;

    /// Writes only what is named, so that concurrent changes of different fields both last, and
    /// the number of the author.
    async fn update_user(
        &mut self,
        id: &UserId,
        change: &UserChange,
        author: Option<u64>,
    ) -> Result<(), Self::Error>;

    /// Whether there was one.
    async fn delete_user(&mut self, id: &UserId) -> Result<bool, Self::Error>;

    /// Notes that a user is being erased, with an alias, unless that is noted already. Returns the
    /// alias that is noted.
    async fn begin_erasure(&mut self, id: &UserId, alias: &UserId) -> Result<Vec<u8>, Self::Error>;

    /// That user is erased.
    async fn end_erasure(&mut self, id: &UserId) -> Result<(), Self::Error>;

    /// So long ago by the server's clock, as changes of users are dated.
    async fn time_before(&mut self, age: Duration) -> Result<String, Self::Error>;

    /// By the time of their last change, then by id, behind a place or all.
    async fn users_changed_after(
        &mut self,
        place: Option<&UserMark>,
        limit: usize,
    ) -> Result<Vec<ChangedUserRow>, Self::Error>;
}

/// Workers and their claims of lanes, without a transaction.
#[async_trait]
pub trait ClaimStatements: SqlSession {
    /// All workers.
    async fn workers(&mut self) -> Result<Vec<WorkerRow>, Self::Error>;

    /// Lane, owner and number of all claims that there have been.
    async fn claims(&mut self) -> Result<Vec<(u8, Option<u32>, u64)>, Self::Error>;

    /// Writes what a worker says of itself, one beat on.
    async fn beat(&mut self, presence: &Presence) -> Result<(), Self::Error>;

    /// Whether a lane had the number `seen`; then the worker has it, with the next number.
    async fn take_lane(
        &mut self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<bool, Self::Error>;

    /// A row that somebody has deleted, if it is gone, with a number behind any that there can
    /// have been.
    async fn insert_lane(&mut self, lane: Lane) -> Result<(), Self::Error>;

    /// Nobody has the lane then, if this is still its claim.
    async fn free_lane(&mut self, claim: Claim) -> Result<(), Self::Error>;

    /// The same for all lanes of a worker.
    async fn free_lanes_of(&mut self, worker: ProcessId) -> Result<(), Self::Error>;

    /// A worker that has ended.
    async fn delete_worker(&mut self, worker: ProcessId) -> Result<(), Self::Error>;
}
