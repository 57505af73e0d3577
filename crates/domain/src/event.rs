//! What is announced to every process.

use crate::order::Lane;
use crate::receipt::ProcessId;
use crate::show::ShowSeats;
use crate::ticket::Ticket;
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// What every process may want to know. Announced at least once, possibly late
/// and out of sequence: a listener keeps the highest `version` of a ticket, the
/// highest `seq` of a show and the highest `total` of a process, and drops the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A ticket has a verdict or a new status; committed to the ledger.
    Ticket(Ticket),
    /// A show's seats moved; committed to the ledger.
    Show(ShowSeats),
    /// A process has accepted orders; see [`crate::waiting_line`].
    Accepted(AcceptedOrders),
    /// Orders are settled, and no ticket shows it.
    Settled(SettledOrders),
}

/// Up to which place the orders of a lane and class that a process has accepted are decided, put
/// aside or dropped. A decided ticket says the same of its own place. Orders without a ticket at
/// their place are a repeated order, one whose id is another order's, and a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledOrders {
    /// The process.
    pub accepted_by: ProcessId,
    /// The lane that the orders waited in.
    pub lane: Lane,
    /// The queue of the lane that they waited in.
    pub class: PriorityClass,
    /// The place (`requested_at`) of the latest of them.
    pub through: Timestamp,
}

/// How many orders of a lane and class a process has accepted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedOrders {
    /// The process that accepted the order.
    pub accepted_by: ProcessId,
    /// The lane that the orders wait in.
    pub lane: Lane,
    /// The queue of the lane that they wait in.
    pub class: PriorityClass,
    /// The place (`requested_at`) of the latest of them; of none of them in the
    /// first announcement of a lane and class, whose `total` is 0.
    pub through: Timestamp,
    /// Orders since the process started.
    pub total: u64,
}
