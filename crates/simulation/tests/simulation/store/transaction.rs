//! A transaction: from its first lock to its commit, or not so far.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::claims::Claim;
use domain::ids::ShowId;
use domain::journal::JournalEntry;
use domain::ports::Clock;
use domain::rule::{Changes, ShowLedger};
use domain::show::Show;
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::time::Timestamp;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::tables::{ShowRow, Step, Tables, TicketRow};
use super::{Down, SimStore};
use crate::mistake::Mistake;
use crate::node::Node;
use crate::world::World;

/// How long a transaction waits for a lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// After so long a silence the store ends a session and rolls it back.
const SESSION_SILENCE: Duration = Duration::from_secs(15);

/// What a transaction saves. Counters are saved as they are, like an `UPDATE` does.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) decided: Vec<Ticket>,
    pub(super) changed: Vec<(Ticket, JournalEntry)>,
    pub(super) ledgers: Vec<ShowLedger>,
    pub(super) show: Option<(Show, Option<JournalEntry>)>,
    /// Under which it is decided.
    pub(super) claim: Option<Claim>,
}

impl From<Changes<'_>> for Writes {
    fn from(changes: Changes<'_>) -> Self {
        let changed = changes.changed.iter();
        Self {
            decided: changes.decided.into_iter().cloned().collect(),
            changed: changed
                .map(|change| (change.after.clone(), change.entry.clone()))
                .collect(),
            ledgers: changes.shows.into_iter().cloned().collect(),
            ..Self::default()
        }
    }
}

/// Why nothing was saved.
pub(super) enum NotSaved {
    /// Or it was: nobody knows.
    Down,
    /// Another claim followed.
    ClaimLost,
}

impl From<Down> for NotSaved {
    fn from(_: Down) -> Self {
        Self::Down
    }
}

/// A session with the locks of some shows.
pub(super) struct Transaction<'a> {
    node: &'a Node,
    locks: Vec<OwnedMutexGuard<()>>,
    /// The process's time when it had all of them.
    locked_at: Timestamp,
    /// When it happens, in that time.
    pub(super) now: Timestamp,
}

impl SimStore {
    /// Locks the shows by id, then reads the clock.
    pub(super) async fn begin(
        &self,
        shows: &BTreeSet<ShowId>,
        locks: bool,
    ) -> Result<Transaction<'_>, Down> {
        self.reach("store: begins").await?;
        let early = self.node.now();
        let mut transaction = Transaction {
            node: &self.node,
            locks: Vec::new(),
            locked_at: early,
            now: early,
        };
        let wanted: Vec<_> = {
            let tables = self.world().tables.lock();
            let rows = shows.iter().filter_map(|show| tables.shows.get(show));
            rows.map(|row| Arc::clone(&row.lock)).collect()
        };
        for lock in wanted.into_iter().filter(|_| locks) {
            let Ok(guard) = timeout(LOCK_WAIT, lock.lock_owned()).await else {
                self.node.note(format_args!("waited too long for a lock"));
                return Err(Down);
            };
            transaction.locks.push(guard);
            transaction.statement("store: has a lock").await?;
        }
        transaction.locked_at = self.node.now();
        transaction.now = transaction.locked_at;
        Ok(transaction)
    }
}

impl Transaction<'_> {
    /// One statement of many: it takes its time, and too much of it ends the session.
    pub(super) async fn statement(&mut self, what: &'static str) -> Result<(), Down> {
        let node = self.node;
        let mut step = pin!(node.step(what));
        if timeout(SESSION_SILENCE, step.as_mut()).await.is_err() {
            node.note(format_args!("its session is ended"));
            self.locks.clear();
            step.await;
            return Err(Down);
        }
        if !node.reaches_store() {
            return Err(Down);
        }
        Ok(())
    }

    /// Saves all or nothing. An error does not tell which.
    pub(super) async fn commit(self, writes: Writes) -> Result<(), Down> {
        let saved = self.commit_under_claim(writes).await;
        saved.map_err(|_| Down)
    }

    /// The same, if no other claim followed. That is looked at under the locks, as the
    /// counters are written.
    pub(super) async fn commit_under_claim(mut self, writes: Writes) -> Result<(), NotSaved> {
        let world = &self.node.world;
        self.statement("store: writes").await?;
        if world.happens(|weather| weather.aborts) {
            self.node.note(format_args!("rolls back"));
            return Err(NotSaved::Down);
        }
        if let Some(claim) = writes.claim
            && !writes.ledgers.is_empty()
            && !world.has(Mistake::DecidesUnderAnyClaim)
            && world.tables.lock().claims.number(claim.lane) != claim.number
        {
            self.node.note(format_args!("has lost {claim:?}"));
            return Err(NotSaved::ClaimLost);
        }
        self.statement("store: commits").await?;
        self.save(writes);
        self.locks.clear();
        self.node.step("store: has committed").await;
        if world.happens(|weather| weather.answers_lost) {
            self.node.note(format_args!("does not hear of its commit"));
            return Err(NotSaved::Down);
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "every table that a commit writes")]
    fn save(&self, writes: Writes) {
        let world = &self.node.world;
        let tables = &mut *world.tables.lock();
        for (ticket, entry) in writes.changed {
            self.node.note(format_args!(
                "{} is {} as {} of {}",
                ticket.order.ticket_id,
                ticket.status.as_str(),
                entry.seq,
                entry.show_id
            ));
            self.check_hold_boundary(&ticket);
            self.check_time(tables, &entry.show_id, entry.at);
            let Some(row) = tables.tickets.get_mut(&ticket.order.ticket_id) else {
                world.violated(format_args!("{ticket:?} changed before it was decided"));
                return;
            };
            row.statuses.push(ticket.status);
            row.ticket = ticket;
            if let Some(show) = tables.shows.get_mut(&entry.show_id) {
                show.history.push((entry.seq, Step::Changed(entry)));
            }
        }
        for ticket in writes.decided {
            let id = ticket.order.ticket_id;
            self.node.note(format_args!(
                "{id} of {} is {:?} as {:?} of {}",
                ticket.order.user_id, ticket.verdict, ticket.decision_seq, ticket.order.show_id
            ));
            self.check_time(tables, &ticket.order.show_id, ticket.decided_at);
            self.check_due_holds(tables, &ticket);
            if let Some(seq) = ticket.decision_seq
                && let Some(show) = tables.shows.get_mut(&ticket.order.show_id)
            {
                if let Some(claim) = writes.claim {
                    world.check(
                        claim.number >= show.latest_claim,
                        format_args!(
                            "{id} is decided under {claim:?}, after claim {} of the lane",
                            show.latest_claim
                        ),
                    );
                    show.latest_claim = claim.number;
                }
                show.history.push((seq, Step::Decided(id)));
            }
            let row = TicketRow {
                statuses: vec![ticket.status],
                ticket,
            };
            let before = tables.tickets.insert(id, row);
            world.check(before.is_none(), format_args!("{id} is decided twice"));
        }
        if let Some((show, entry)) = writes.show
            && let Some(row) = tables.shows.get_mut(&show.id)
        {
            self.node
                .note(format_args!("{:?} of {}", show.terms, show.id));
            row.show = show;
            row.history
                .extend(entry.map(|entry| (entry.seq, Step::Changed(entry))));
        }
        for ledger in writes.ledgers {
            if let Some(row) = tables.shows.get_mut(ledger.show_id()) {
                if row.is_sold_out() {
                    row.was_sold_out_until = Some(world.now());
                }
                row.seats = ledger.seats();
                row.seq = ledger.seq();
                row.committed.insert(row.seq, row.seats);
                check_numbers(world, row);
            }
        }
    }

    /// A show's changes are dated under its lock, so their times run forward,
    /// up to what the clocks of two processes differ.
    fn check_time(&self, tables: &mut Tables, show: &ShowId, at: Timestamp) {
        let world = &self.node.world;
        let Some(row) = tables.shows.get_mut(show) else {
            return;
        };
        let skew = u32::try_from(2 * world.plan.skew_micros).unwrap();
        world.check(
            at.plus_micros(skew) >= row.latest,
            format_args!("{show} changes at {at}, after it did at {}", row.latest),
        );
        row.latest = row.latest.max(at);
    }

    /// No order is refused for a seat whose hold is over.
    fn check_due_holds(&self, tables: &Tables, ticket: &Ticket) {
        let reason = ticket.rejection();
        if reason == Some(RejectionReason::SoldOut) {
            let due = tables.due_holds(&ticket.order.show_id, ticket.decided_at);
            self.node.world.check(
                due.is_empty(),
                format_args!("{ticket:?} is refused while the holds of {due:?} are over"),
            );
        }
    }

    /// A hold ends at one instant of the clock of the process that looks, some
    /// time between having the locks and the commit.
    fn check_hold_boundary(&self, ticket: &Ticket) {
        let Verdict::Reserved { hold_expires_at } = ticket.verdict else {
            return;
        };
        let (world, id) = (&self.node.world, ticket.order.ticket_id);
        match ticket.status {
            Status::Confirmed => world.check(
                self.locked_at < hold_expires_at,
                format_args!(
                    "{id} is confirmed at {}, {hold_expires_at} or later",
                    self.locked_at
                ),
            ),
            Status::Expired => world.check(
                self.node.now() >= hold_expires_at,
                format_args!("{id} expires before {hold_expires_at}"),
            ),
            _ => {}
        }
    }
}

fn check_numbers(world: &World, row: &ShowRow) {
    let (id, capacity) = (&row.show.id, row.show.terms.capacity.seats());
    world.check(
        row.seats.total() == u64::from(capacity),
        format_args!("{id} has {:?} of {capacity} seats", row.seats),
    );
    let numbers = row.history.iter().map(|(seq, _)| *seq);
    world.check(
        numbers.eq(1..=row.seq),
        format_args!(
            "{id}: the numbers of its changes have a gap before {}",
            row.seq
        ),
    );
}
