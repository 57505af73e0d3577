//! Rows and the domain's values.
//!
//! Rows are as a driver reads them. One that has no unsigned numbers makes them field by field.
#![expect(missing_docs, reason = "fields are called like the columns")]

use std::num::NonZeroU32;

use domain::author::Author;
use domain::ids::{ShowId, UserId};
use domain::journal::{Change, HistoryEntry, JournalEntry, SeatsFrom};
use domain::order::{Order, Quantity};
use domain::ports::{TermsSet, UserAuthors};
use domain::receipt::{ProcessId, TicketId};
use domain::rule::ShowLedger;
use domain::show::{
    Capacity, HoldSeconds, LabelError, MAX_LABEL_LENGTH, SalesWindow, SeatCounts, Show,
    ShowStanding, Terms, Title,
};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::time::Timestamp;
use domain::user::{PriorityClass, User, UserName};
use sqlx::FromRow;
use tracing::error;

use crate::error::Fault;
use crate::log_once::log_once;

pub(crate) fn show_id(table: &'static str, bytes: &[u8]) -> Result<ShowId, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| Fault::corrupt(table, error))?;
    ShowId::stored(text).map_err(|error| Fault::corrupt(table, error))
}

pub(crate) fn user_id(table: &'static str, bytes: &[u8]) -> Result<UserId, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| Fault::corrupt(table, error))?;
    UserId::stored(text).map_err(|error| Fault::corrupt(table, error))
}

pub(crate) fn ticket_id(table: &'static str, bytes: &[u8]) -> Result<TicketId, Fault> {
    bytes
        .try_into()
        .ok()
        .and_then(|bytes| TicketId::from_bytes(bytes).ok())
        .ok_or_else(|| Fault::corrupt(table, "a ticket id"))
}

/// A title or name, shown to people and of no other use. Another program may have written one
/// that this service would not take, which is no reason to sell nothing.
fn label<T>(
    text: &str,
    id: &str,
    new: impl Fn(&str) -> Result<T, LabelError>,
) -> Result<T, LabelError> {
    let plain = || {
        let spaced = text.replace(char::is_control, " ");
        let cut: String = spaced.trim().chars().take(MAX_LABEL_LENGTH).collect();
        new(&cut)
    };
    new(text).or_else(|_| plain()).or_else(|_| new(id))
}

/// Those that can be read; of the others the log says why not.
pub(crate) fn readable<R, T: TryFrom<R, Error = Fault>>(rows: Vec<R>) -> Vec<T> {
    let rows = rows.into_iter();
    rows.filter_map(|row| match T::try_from(row) {
        Ok(value) => Some(value),
        Err(error) => {
            log_once(&error.to_string(), || {
                error!(%error, "skipped a row that cannot be read");
            });
            None
        }
    })
    .collect()
}

fn instant(table: &'static str, micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_micros(micros).map_err(|error| Fault::corrupt(table, error))
}

/// How a class is stored.
#[must_use]
pub const fn class_code(class: PriorityClass) -> u8 {
    match class {
        PriorityClass::High => 0,
        PriorityClass::Standard => 1,
    }
}

pub(crate) fn class(table: &'static str, code: u8) -> Result<PriorityClass, Fault> {
    match code {
        0 => Ok(PriorityClass::High),
        1 => Ok(PriorityClass::Standard),
        _ => Err(Fault::corrupt(table, format_args!("class {code}"))),
    }
}

/// How a status is stored.
#[must_use]
pub const fn status_code(status: Status) -> u8 {
    match status {
        Status::Reserved => 0,
        Status::Confirmed => 1,
        Status::Rejected => 2,
        Status::Expired => 3,
        Status::Cancelled => 4,
    }
}

fn status(code: u8) -> Result<Status, Fault> {
    Status::ALL
        .into_iter()
        .find(|status| status_code(*status) == code)
        .ok_or_else(|| Fault::corrupt("tickets", format_args!("status {code}")))
}

/// How a verdict is stored.
#[must_use]
pub const fn verdict_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Reserved { .. } => 0,
        Verdict::Confirmed => 1,
        Verdict::Rejected(RejectionReason::SoldOut) => 2,
        Verdict::Rejected(RejectionReason::LimitExceeded) => 3,
        Verdict::Rejected(RejectionReason::SalesClosed) => 4,
        Verdict::Rejected(RejectionReason::UserNotFound) => 5,
        Verdict::Rejected(RejectionReason::ShowNotFound) => 6,
    }
}

fn verdict(code: u8, hold_expires_at: Option<i64>) -> Result<Verdict, Fault> {
    if let (0, Some(expires)) = (code, hold_expires_at) {
        return Ok(Verdict::Reserved {
            hold_expires_at: instant("tickets", expires)?,
        });
    }
    RejectionReason::ALL
        .into_iter()
        .map(Verdict::Rejected)
        .chain([Verdict::Confirmed])
        .find(|verdict| verdict_code(*verdict) == code)
        .ok_or_else(|| Fault::corrupt("tickets", format_args!("verdict {code}")))
}

/// A row of the table `users`.
#[derive(Debug, FromRow)]
pub struct UserRow {
    pub id: Vec<u8>,
    pub name: String,
    pub priority: u8,
}

impl TryFrom<UserRow> for User {
    type Error = Fault;

    fn try_from(row: UserRow) -> Result<Self, Fault> {
        let read = || {
            let id = user_id("users", &row.id)?;
            Ok(Self {
                name: label(&row.name, id.as_str(), UserName::new)
                    .map_err(|error| Fault::corrupt("users", error))?,
                priority: class("users", row.priority)?,
                id,
            })
        };
        read().map_err(|error: Fault| error.of_row(&row.id))
    }
}

/// Names of authors, of `users`.
#[derive(Debug, Default, FromRow)]
pub struct UserAuthorsRow {
    pub created_by: Option<Vec<u8>>,
    /// `None` if the last change has none.
    pub changed_by: Option<Vec<u8>>,
}

impl From<UserAuthorsRow> for UserAuthors {
    fn from(row: UserAuthorsRow) -> Self {
        Self {
            created_by: row.created_by.as_deref().map(author),
            changed_by: row.changed_by.as_deref().map(author),
        }
    }
}

/// Only shown, so any name will do.
fn author(name: &[u8]) -> Author {
    Author::named(&String::from_utf8_lossy(name))
}

/// Of `users`, to know their classes.
#[derive(Debug, FromRow)]
pub struct ChangedUserRow {
    pub id: Vec<u8>,
    pub priority: u8,
    /// When they last changed, as the database writes it.
    pub changed: String,
}

/// A row of the table `workers`.
#[derive(Debug, FromRow)]
pub struct WorkerRow {
    pub id: u32,
    pub beat: u64,
    pub busy: u64,
    pub avoids: u64,
    /// [`crate::statements::LockedShows::server_micros`].
    pub server_micros: Option<i64>,
}

/// The columns that a [`ShowRow`] is read from.
pub const SHOW_COLUMNS: &str = "id, title, capacity, max_per_user, hold_seconds, \
     sales_open_at, sales_close_at, available, held, sold, seq";

/// A row of the table `shows`.
#[derive(Debug, FromRow)]
pub struct ShowRow {
    pub id: Vec<u8>,
    pub title: String,
    pub capacity: u32,
    pub max_per_user: u32,
    pub hold_seconds: u32,
    pub sales_open_at: Option<i64>,
    pub sales_close_at: Option<i64>,
    pub available: u32,
    pub held: u32,
    pub sold: u32,
    pub seq: u64,
}

fn terms(
    table: &'static str,
    capacity: u32,
    max_per_user: u32,
    hold_seconds: u32,
    [open, close]: [Option<i64>; 2],
) -> Result<Terms, Fault> {
    let end = |micros: Option<i64>| micros.map(|micros| instant(table, micros)).transpose();
    Ok(Terms {
        capacity: Capacity::new(capacity).map_err(|error| Fault::corrupt(table, error))?,
        max_per_user: NonZeroU32::new(max_per_user)
            .ok_or_else(|| Fault::corrupt(table, "max_per_user 0"))?,
        hold: HoldSeconds::new(hold_seconds).map_err(|error| Fault::corrupt(table, error))?,
        window: SalesWindow::new(end(open)?, end(close)?)
            .map_err(|error| Fault::corrupt(table, error))?,
    })
}

impl TryFrom<ShowRow> for ShowStanding {
    type Error = Fault;

    fn try_from(row: ShowRow) -> Result<Self, Fault> {
        let read = || {
            let id = show_id("shows", &row.id)?;
            Ok(Self {
                show: Show {
                    title: label(&row.title, id.as_str(), Title::new)
                        .map_err(|error| Fault::corrupt("shows", error))?,
                    id,
                    terms: terms(
                        "shows",
                        row.capacity,
                        row.max_per_user,
                        row.hold_seconds,
                        [row.sales_open_at, row.sales_close_at],
                    )?,
                },
                seats: SeatCounts {
                    available: row.available,
                    held: row.held,
                    sold: row.sold,
                },
                seq: row.seq,
            })
        };
        read().map_err(|error: Fault| error.of_row(&row.id))
    }
}

/// The counters that the rule works on.
pub(crate) fn show_ledger(standing: &ShowStanding) -> Result<ShowLedger, Fault> {
    let ShowStanding { show, seats, seq } = standing;
    ShowLedger::restore(show.id.clone(), show.terms.clone(), *seats, *seq).map_err(Fault::from)
}

/// The columns that a [`TicketRow`] is read from.
pub const TICKET_COLUMNS: &str = "id, show_id, user_id, quantity, class, requested_at, \
     accepted_by, redriven, verdict, hold_expires_at, decided_at, decision_seq, status, version";

/// A row of the table `tickets`.
#[derive(Debug, FromRow)]
pub struct TicketRow {
    pub id: Vec<u8>,
    pub show_id: Vec<u8>,
    pub user_id: Vec<u8>,
    pub quantity: u32,
    pub class: u8,
    pub requested_at: i64,
    pub accepted_by: u32,
    pub redriven: bool,
    pub verdict: u8,
    pub hold_expires_at: Option<i64>,
    pub decided_at: i64,
    pub decision_seq: Option<u64>,
    pub status: u8,
    pub version: u32,
}

impl TryFrom<TicketRow> for Ticket {
    type Error = Fault;

    fn try_from(row: TicketRow) -> Result<Self, Fault> {
        let read = || {
            Ok(Self {
                order: Order {
                    ticket_id: ticket_id("tickets", &row.id)?,
                    show_id: show_id("tickets", &row.show_id)?,
                    user_id: user_id("tickets", &row.user_id)?,
                    quantity: Quantity::new(row.quantity)
                        .ok_or_else(|| Fault::corrupt("tickets", "quantity 0"))?,
                    class: class("tickets", row.class)?,
                    requested_at: instant("tickets", row.requested_at)?,
                    accepted_by: ProcessId::new(row.accepted_by),
                    redriven: row.redriven,
                    trace: None,
                },
                verdict: verdict(row.verdict, row.hold_expires_at)?,
                decided_at: instant("tickets", row.decided_at)?,
                decision_seq: row.decision_seq,
                status: status(row.status)?,
                version: row.version,
            })
        };
        read().map_err(|error: Fault| error.of_row(&row.id))
    }
}

/// A step of a show's history, if it can be read or not.
pub(crate) fn decision(row: TicketRow) -> HistoryEntry {
    let seq = row.decision_seq.unwrap_or_default();
    match Ticket::try_from(row) {
        Ok(ticket) => HistoryEntry::Decided(ticket),
        Err(error) => unreadable(seq, &error),
    }
}

/// Like [`decision`].
pub(crate) fn change(row: JournalRow) -> HistoryEntry {
    let seq = row.seq;
    match JournalEntry::try_from(row) {
        Ok(entry) => HistoryEntry::Changed(entry),
        Err(error) => unreadable(seq, &error),
    }
}

fn unreadable(seq: u64, error: &Fault) -> HistoryEntry {
    HistoryEntry::Unreadable {
        seq,
        why: error.to_string(),
    }
}

/// Kinds of changes in the journal.
mod kind {
    pub(super) const TERMS_SET: u8 = 0;
    pub(super) const CONFIRMED: u8 = 1;
    pub(super) const CANCELLED_HELD: u8 = 2;
    pub(super) const CANCELLED_SOLD: u8 = 3;
    pub(super) const EXPIRED: u8 = 4;
}

/// The kind of an entry of the journal that sets terms.
pub const TERMS_SET: u8 = kind::TERMS_SET;

/// How the kind of a change is stored.
#[must_use]
pub const fn change_code(change: &Change) -> u8 {
    match change {
        Change::TermsSet(_) => kind::TERMS_SET,
        Change::Confirmed(_) => kind::CONFIRMED,
        Change::Cancelled(_, SeatsFrom::Held) => kind::CANCELLED_HELD,
        Change::Cancelled(_, SeatsFrom::Sold) => kind::CANCELLED_SOLD,
        Change::Expired(_) => kind::EXPIRED,
    }
}

/// The columns that a [`JournalRow`] is read from.
pub const JOURNAL_COLUMNS: &str = "show_id, seq, at, kind, ticket_id, capacity, \
     max_per_user, hold_seconds, sales_open_at, sales_close_at";

/// A row of the table `journal`.
#[derive(Debug, FromRow)]
pub struct JournalRow {
    pub show_id: Vec<u8>,
    pub seq: u64,
    pub at: i64,
    pub kind: u8,
    pub ticket_id: Option<Vec<u8>>,
    pub capacity: Option<u32>,
    pub max_per_user: Option<u32>,
    pub hold_seconds: Option<u32>,
    pub sales_open_at: Option<i64>,
    pub sales_close_at: Option<i64>,
}

impl TryFrom<JournalRow> for JournalEntry {
    type Error = Fault;

    fn try_from(row: JournalRow) -> Result<Self, Fault> {
        let ticket = row.ticket_id.as_deref();
        let ticket = ticket.map(|id| ticket_id("journal", id)).transpose()?;
        let change = match (row.kind, ticket) {
            (kind::TERMS_SET, None) => Change::TermsSet(terms(
                "journal",
                row.capacity.unwrap_or_default(),
                row.max_per_user.unwrap_or_default(),
                row.hold_seconds.unwrap_or_default(),
                [row.sales_open_at, row.sales_close_at],
            )?),
            (kind::CONFIRMED, Some(id)) => Change::Confirmed(id),
            (kind::CANCELLED_HELD, Some(id)) => Change::Cancelled(id, SeatsFrom::Held),
            (kind::CANCELLED_SOLD, Some(id)) => Change::Cancelled(id, SeatsFrom::Sold),
            (kind::EXPIRED, Some(id)) => Change::Expired(id),
            (kind, _) => return Err(Fault::corrupt("journal", format_args!("kind {kind}"))),
        };
        Ok(Self {
            show_id: show_id("journal", &row.show_id)?,
            seq: row.seq,
            at: instant("journal", row.at)?,
            change,
        })
    }
}

/// A row of the table `journal` that sets terms.
#[derive(Debug, FromRow)]
pub struct TermsRow {
    #[sqlx(flatten)]
    pub entry: JournalRow,
    /// The author's name.
    pub author: Option<Vec<u8>>,
}

impl TryFrom<TermsRow> for TermsSet {
    type Error = Fault;

    fn try_from(row: TermsRow) -> Result<Self, Fault> {
        let JournalEntry {
            seq, at, change, ..
        } = row.entry.try_into()?;
        let Change::TermsSet(terms) = change else {
            return Err(Fault::corrupt("journal", "no terms"));
        };
        Ok(Self {
            seq,
            at,
            terms,
            by: row.author.as_deref().map(author),
        })
    }
}
