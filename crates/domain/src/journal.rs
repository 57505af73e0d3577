//! The history of a show.
//!
//! Every change of a show's counters or terms has the show's next number, from
//! 1 on without a gap. A decision keeps its number in its ticket; every other
//! change is a [`JournalEntry`]. Together they replay the show from nothing.

use crate::ids::ShowId;
use crate::receipt::TicketId;
use crate::show::Terms;
use crate::ticket::Ticket;
use crate::time::Timestamp;

/// Which counter a cancelled ticket's seats came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatsFrom {
    /// The ticket was reserved.
    Held,
    /// The ticket was confirmed.
    Sold,
}

/// What happened, other than a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The show went on sale (number 1) or its terms changed; the new terms.
    TermsSet(Terms),
    /// A reserved ticket was confirmed: held seats became sold.
    Confirmed(TicketId),
    /// A ticket was cancelled: its seats became available.
    Cancelled(TicketId, SeatsFrom),
    /// A reserved ticket's hold ran out: held seats became available.
    Expired(TicketId),
}

/// One change of a show that is not a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The show.
    pub show_id: ShowId,
    /// The change's number.
    pub seq: u64,
    /// When it happened, read under the show's lock.
    pub at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// One step of a show's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryEntry {
    /// An order was decided. The ticket is as it stands when it is read, which
    /// may be later than the decision; its verdict is the decision's.
    Decided(Ticket),
    /// Anything else.
    Changed(JournalEntry),
    /// A step that is stored in a form which this version does not write.
    Unreadable {
        /// The step's number.
        seq: u64,
        /// What is wrong with it, for operators.
        why: String,
    },
}

impl HistoryEntry {
    /// The step's number; 0 for a decided ticket without one.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Decided(ticket) => ticket.decision_seq.unwrap_or(0),
            Self::Changed(entry) => entry.seq,
            Self::Unreadable { seq, .. } => *seq,
        }
    }
}
