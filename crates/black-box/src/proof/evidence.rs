//! All that is known after a sale.

use super::audit::AuditedShow;
use super::history::History;
use super::order::PlannedOrder;
use super::ticket::StoredTicket;
use super::told::Told;

/// Which of the decided tickets were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// All that there are.
    All,
    /// Those that clients can name.
    Named,
    /// None: the audit's counts are all that is known of them.
    None,
}

/// All that is known after a sale.
pub struct Evidence<'a> {
    /// Every order, by its number.
    pub plan: &'a [PlannedOrder],
    /// What the client of each was told.
    pub told: &'a [Told],
    /// Answers that could not be true, as they came: how many, and the first of them.
    pub contradictions: (u64, &'a [String]),
    /// Decided tickets.
    pub stored: &'a [StoredTicket],
    /// Which tickets these are.
    pub read: Read,
    /// The replay of every change, where the store can be read.
    pub history: Option<&'a History>,
    /// The audit of the run's shows, by number.
    pub audited: &'a [(u32, AuditedShow)],
    /// Shows of the sale.
    pub shows: &'a [u32],
    /// Time to confirm.
    pub hold_seconds: u32,
    /// The start, in µs since 1970.
    pub started_at: i64,
}
