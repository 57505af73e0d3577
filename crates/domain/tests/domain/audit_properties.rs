//! A valid random history with any one thing changed in it is found out.

use std::collections::HashMap;

use domain::journal::{Change, HistoryEntry, JournalEntry, SeatsFrom};
use domain::order::Quantity;
use domain::receipt::TicketId;
use domain::show::{Capacity, ShowStanding};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::book::{at, audit};
use crate::rule_properties::{after, steps};

/// What the audit is given.
struct Record {
    history: Vec<HistoryEntry>,
    standing: ShowStanding,
}

/// Changes one thing; `None`, and no change, if the record has no place for it.
type Corruption = fn(&mut Record, Index) -> Option<()>;

impl Record {
    /// Any entry that `wanted` makes something of.
    fn pick<T>(
        &mut self,
        index: Index,
        wanted: impl Fn(&HistoryEntry) -> Option<T>,
    ) -> Option<(usize, T)> {
        let mut places: Vec<_> = (0..)
            .zip(&self.history)
            .filter_map(|(place, entry)| Some((place, wanted(entry)?)))
            .collect();
        let picked = index.index(places.len().max(1));
        (picked < places.len()).then(|| places.swap_remove(picked))
    }

    fn pick_ticket(
        &mut self,
        index: Index,
        wanted: impl Fn(&Ticket) -> bool,
    ) -> Option<&mut Ticket> {
        let (place, ()) = self.pick(index, |entry| match entry {
            HistoryEntry::Decided(ticket) => wanted(ticket).then_some(()),
            HistoryEntry::Changed(_) | HistoryEntry::Unreadable { .. } => None,
        })?;
        match &mut self.history[place] {
            HistoryEntry::Decided(ticket) => Some(ticket),
            HistoryEntry::Changed(_) | HistoryEntry::Unreadable { .. } => None,
        }
    }

    fn pick_change(
        &mut self,
        index: Index,
        wanted: impl Fn(&Change) -> bool,
    ) -> Option<&mut JournalEntry> {
        let (place, ()) = self.pick(index, |entry| match entry {
            HistoryEntry::Changed(entry) => wanted(&entry.change).then_some(()),
            HistoryEntry::Decided(_) | HistoryEntry::Unreadable { .. } => None,
        })?;
        match &mut self.history[place] {
            HistoryEntry::Changed(entry) => Some(entry),
            HistoryEntry::Decided(_) | HistoryEntry::Unreadable { .. } => None,
        }
    }

    fn hold_ends(&self) -> HashMap<TicketId, Timestamp> {
        let ends = self.history.iter().filter_map(|entry| match entry {
            HistoryEntry::Decided(ticket) => match ticket.verdict {
                Verdict::Reserved { hold_expires_at } => {
                    Some((ticket.order.ticket_id, hold_expires_at))
                }
                Verdict::Confirmed | Verdict::Rejected(_) => None,
            },
            HistoryEntry::Changed(_) | HistoryEntry::Unreadable { .. } => None,
        });
        ends.collect()
    }

    /// The hold that the terms before `place` give.
    fn hold_seconds_at(&self, place: usize) -> Option<u32> {
        self.history[..place]
            .iter()
            .rev()
            .find_map(|entry| match entry {
                HistoryEntry::Changed(JournalEntry {
                    change: Change::TermsSet(terms),
                    ..
                }) => Some(terms.hold.seconds()),
                _ => None,
            })
    }
}

fn got_seats(ticket: &Ticket) -> bool {
    ticket.rejection().is_none()
}

fn later(instant: Timestamp, micros: i64) -> Timestamp {
    at(instant.as_micros() + micros)
}

fn reject(record: &mut Record, index: Index, reason: RejectionReason) -> Option<()> {
    let ticket = record.pick_ticket(index, got_seats)?;
    ticket.verdict = Verdict::Rejected(reason);
    ticket.status = Status::Rejected;
    ticket.version = 1;
    Some(())
}

const CORRUPTIONS: &[(&str, Corruption)] = &[
    ("an entry is missing", |record, index| {
        record.history.remove(index.index(record.history.len()));
        Some(())
    }),
    ("an entry has another number", |record, index| {
        let (place, seq) = record.pick(index, |entry| Some(entry.seq()))?;
        match &mut record.history[place] {
            HistoryEntry::Decided(ticket) => ticket.decision_seq = Some(seq + 1),
            HistoryEntry::Changed(entry) => entry.seq = seq + 1,
            HistoryEntry::Unreadable { seq: number, .. } => *number = seq + 1,
        }
        Some(())
    }),
    ("an entry cannot be read", |record, index| {
        let (place, seq) = record.pick(index, |entry| Some(entry.seq()))?;
        let why = "a status that there is none of".to_owned();
        record.history[place] = HistoryEntry::Unreadable { seq, why };
        Some(())
    }),
    ("two entries out of sequence", |record, index| {
        let places = record.history.len().checked_sub(1).filter(|n| *n > 0)?;
        let place = index.index(places);
        record.history.swap(place, place + 1);
        Some(())
    }),
    ("a counter has a seat more", |record, index| {
        let seats = &mut record.standing.seats;
        let counters = [&mut seats.available, &mut seats.held, &mut seats.sold];
        *counters.into_iter().nth(index.index(3))? += 1;
        Some(())
    }),
    ("the last changes are missing", |record, _| {
        record.standing.seq += 1;
        Some(())
    }),
    ("the stored capacity is another", |record, _| {
        let capacity = &mut record.standing.show.terms.capacity;
        *capacity = Capacity::new(capacity.seats() + 1).unwrap();
        Some(())
    }),
    ("the stored limit is another", |record, _| {
        let max = &mut record.standing.show.terms.max_per_user;
        *max = max.checked_add(1)?;
        Some(())
    }),
    ("the last terms are others", |record, _| {
        let last = record
            .history
            .iter_mut()
            .rev()
            .find_map(|entry| match entry {
                HistoryEntry::Changed(JournalEntry {
                    change: Change::TermsSet(terms),
                    ..
                }) => Some(terms),
                _ => None,
            })?;
        last.max_per_user = last.max_per_user.checked_add(1)?;
        Some(())
    }),
    ("seats given, sold_out written", |record, index| {
        reject(record, index, RejectionReason::SoldOut)
    }),
    ("seats given, limit_exceeded written", |record, index| {
        reject(record, index, RejectionReason::LimitExceeded)
    }),
    ("seats given, sales_closed written", |record, index| {
        reject(record, index, RejectionReason::SalesClosed)
    }),
    ("seats given, user_not_found written", |record, index| {
        reject(record, index, RejectionReason::UserNotFound)
    }),
    ("a place in an unknown show", |record, index| {
        let ticket = record.pick_ticket(index, |_| true)?;
        ticket.verdict = Verdict::Rejected(RejectionReason::ShowNotFound);
        Some(())
    }),
    ("no seats given, seats written", |record, index| {
        let (place, decided_at) = record.pick(index, |entry| match entry {
            HistoryEntry::Decided(ticket) if !got_seats(ticket) => Some(ticket.decided_at),
            _ => None,
        })?;
        let hold = record.hold_seconds_at(place)?;
        let HistoryEntry::Decided(ticket) = &mut record.history[place] else {
            return None;
        };
        (ticket.verdict, ticket.status) = if hold > 0 {
            let hold_expires_at = decided_at.plus_seconds(hold);
            (Verdict::Reserved { hold_expires_at }, Status::Reserved)
        } else {
            (Verdict::Confirmed, Status::Confirmed)
        };
        Some(())
    }),
    ("a hold of another length", |record, index| {
        let micros = if index.index(2) == 0 { 1 } else { -1 };
        let held = |ticket: &Ticket| matches!(ticket.verdict, Verdict::Reserved { .. });
        let ticket = record.pick_ticket(index, held)?;
        if let Verdict::Reserved { hold_expires_at } = &mut ticket.verdict {
            *hold_expires_at = later(*hold_expires_at, micros);
        }
        Some(())
    }),
    ("a hold from another instant on", |record, index| {
        let held = |ticket: &Ticket| matches!(ticket.verdict, Verdict::Reserved { .. });
        let ticket = record.pick_ticket(index, held)?;
        ticket.decided_at = later(ticket.decided_at, 1);
        Some(())
    }),
    ("another status of the same version", |record, index| {
        let ticket = record.pick_ticket(index, |_| true)?;
        let others: Vec<_> = Status::ALL
            .into_iter()
            .filter(|status| *status != ticket.status)
            .collect();
        ticket.status = others[index.index(others.len())];
        Some(())
    }),
    ("a change that the ticket did not keep", |record, index| {
        let ticket = record.pick_ticket(index, |_| true)?;
        ticket.version -= 1;
        Some(())
    }),
    ("more seats than were counted", |record, index| {
        let ticket = record.pick_ticket(index, |ticket| ticket.status.is_live())?;
        let seats = ticket.order.quantity.seats();
        ticket.order.quantity = Quantity::new(seats + 1).unwrap();
        Some(())
    }),
    ("one ticket decided twice", |record, index| {
        let (_, id) = record.pick(index, |entry| match entry {
            HistoryEntry::Decided(ticket) => Some(ticket.order.ticket_id),
            HistoryEntry::Changed(_) | HistoryEntry::Unreadable { .. } => None,
        })?;
        let other = record.pick_ticket(index, |ticket| ticket.order.ticket_id != id)?;
        other.order.ticket_id = id;
        Some(())
    }),
    ("another ticket changed", |record, index| {
        let other = record
            .pick_ticket(index, |_| true)
            .map(|ticket| ticket.order.ticket_id)?;
        let entry = record.pick_change(index, |change| match change {
            Change::TermsSet(_) => false,
            Change::Confirmed(id) | Change::Cancelled(id, _) | Change::Expired(id) => *id != other,
        })?;
        match &mut entry.change {
            Change::TermsSet(_) => return None,
            Change::Confirmed(id) | Change::Cancelled(id, _) | Change::Expired(id) => *id = other,
        }
        Some(())
    }),
    ("seats from the wrong counter", |record, index| {
        let entry = record.pick_change(index, |it| matches!(it, Change::Cancelled(..)))?;
        if let Change::Cancelled(_, from) = &mut entry.change {
            *from = match from {
                SeatsFrom::Held => SeatsFrom::Sold,
                SeatsFrom::Sold => SeatsFrom::Held,
            };
        }
        Some(())
    }),
    ("confirmed for expired and back", |record, index| {
        let entry = record.pick_change(index, |it| {
            matches!(it, Change::Confirmed(_) | Change::Expired(_))
        })?;
        entry.change = match entry.change {
            Change::Confirmed(id) => Change::Expired(id),
            Change::Expired(id) => Change::Confirmed(id),
            _ => return None,
        };
        Some(())
    }),
    ("the wrong side of the end of a hold", |record, index| {
        let ends = record.hold_ends();
        let entry = record.pick_change(index, |change| {
            matches!(
                change,
                Change::Confirmed(_) | Change::Expired(_) | Change::Cancelled(_, SeatsFrom::Held)
            )
        })?;
        entry.at = match &entry.change {
            Change::Expired(id) => later(ends[id], -1),
            Change::Confirmed(id) | Change::Cancelled(id, _) => ends[id],
            Change::TermsSet(_) => return None,
        };
        Some(())
    }),
    ("an order that was overtaken", |record, index| {
        let in_line = |ticket: &Ticket| !ticket.order.redriven;
        let last = record.history.iter().rev().find_map(|entry| match entry {
            HistoryEntry::Decided(ticket) if in_line(ticket) => Some(ticket.order.clone()),
            _ => None,
        })?;
        let ticket = record.pick_ticket(index, |ticket| {
            in_line(ticket)
                && ticket.order.ticket_id != last.ticket_id
                && ticket.order.class == last.class
                && ticket.order.accepted_by == last.accepted_by
        })?;
        ticket.order.requested_at = last.requested_at;
        Some(())
    }),
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_corrupted_thing_is_found(steps in steps(), which in any::<Index>(), index in any::<Index>()) {
        let book = after(steps)?;
        let mut record = Record { history: book.history(), standing: book.standing() };
        // From a random one on, the first that the history has a place for.
        let start = which.index(CORRUPTIONS.len());
        let (last, first) = CORRUPTIONS.split_at(start);
        let done = first
            .iter()
            .chain(last)
            .find_map(|(name, corrupt)| corrupt(&mut record, index).map(|()| name));
        let Record { history, standing } = record;
        prop_assert!(audit(history, &standing).violations > 0, "{done:?} was not found");
    }
}
