//! What a ledger saves.

use std::collections::HashMap;

use crate::ids::{ShowId, UserId};
use crate::journal::JournalEntry;
use crate::rule::ledger::{CorruptCounters, ShowLedger};
use crate::ticket::Ticket;
use crate::time::Timestamp;

/// A change of a decided ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketChange {
    /// The ticket as it was before the change.
    pub before: Ticket,
    /// The ticket from now on.
    pub after: Ticket,
    /// The step of the show's history.
    pub entry: JournalEntry,
}

impl TicketChange {
    /// `None` if the ticket's hold is not over.
    pub(super) fn expire(
        before: Ticket,
        show: &mut ShowLedger,
        now: Timestamp,
    ) -> Result<Option<Self>, CorruptCounters> {
        let mut after = before.clone();
        let entry = show.expire(&mut after, now)?;
        Ok(entry.map(|entry| Self {
            before,
            after,
            entry,
        }))
    }
}

/// A show after everything that was done under its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowAfter {
    /// The show's counters after the change.
    pub ledger: ShowLedger,
    /// Whether they, and its `seq`, differ from what was loaded.
    pub is_changed: bool,
}

impl ShowAfter {
    /// `seqs` are those of `ledgers` as they were loaded.
    pub(super) fn each(seqs: Vec<u64>, ledgers: impl Iterator<Item = ShowLedger>) -> Vec<Self> {
        let after = |(seq, ledger): (u64, ShowLedger)| Self {
            is_changed: ledger.seq() != seq,
            ledger,
        };
        seqs.into_iter().zip(ledgers).map(after).collect()
    }
}

/// All that a ledger saves, in one transaction: tickets, history and counters.
#[derive(Debug, Clone, Default)]
pub struct Changes<'a> {
    /// Tickets that have their verdict now.
    pub decided: Vec<&'a Ticket>,
    /// Decided tickets that changed; several changes of one ticket come in sequence.
    pub changed: &'a [TicketChange],
    /// The shows whose counters changed.
    pub shows: Vec<&'a ShowLedger>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        decided: Vec<&'a Ticket>,
        changed: &'a [TicketChange],
        shows: &'a [ShowAfter],
    ) -> Self {
        let shows = shows.iter().filter(|show| show.is_changed);
        Self {
            decided,
            changed,
            shows: shows.map(|show| &show.ledger).collect(),
        }
    }

    /// By how many seats the live tickets of each user of each show become more, or fewer.
    #[must_use]
    pub fn live_seats(&self) -> HashMap<(&'a ShowId, &'a UserId), i64> {
        let mut seats: HashMap<_, i64> = HashMap::new();
        let mut count = |ticket: &'a Ticket, sign: i64| {
            let order = &ticket.order;
            let user = (&order.show_id, &order.user_id);
            *seats.entry(user).or_default() += sign * i64::from(order.quantity.seats());
        };
        for ticket in self.decided.iter().filter(|ticket| ticket.status.is_live()) {
            count(ticket, 1);
        }
        for TicketChange { before, after, .. } in self.changed {
            if before.status.is_live() && !after.status.is_live() {
                count(before, -1);
            }
        }
        seats
    }
}
