//! What is announced to every process.

use crate::show::ShowSeats;
use crate::ticket::Ticket;

/// A change that was committed to the ledger. Announced at least once, possibly
/// late and out of sequence: a listener keeps the highest `version` of a ticket
/// and the highest `seq` of a show and drops the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A ticket has a verdict or a new status.
    Ticket(Ticket),
    /// A show's seats moved.
    Show(ShowSeats),
}
