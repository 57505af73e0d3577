//! What a client asks to hear of one ticket.

use domain::receipt::TicketId;
use domain::use_cases::LineHint;

/// A ticket to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketRequest {
    pub(crate) id: TicketId,
    /// What the client says of a ticket whose id does not tell it.
    pub(crate) hint: Option<Box<LineHint>>,
}
