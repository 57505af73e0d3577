//! What the service does, over the ports. The HTTP side works through
//! [`BoxOffice`], the worker through [`DecidingDesk`].

mod announce;
mod audit_shows;
mod change_ticket;
mod decide_orders;
mod list_show_tickets;
mod listen;
mod manage;
mod place_order;
mod read_ticket;

use std::sync::Arc;

pub use audit_shows::{AuditedShows, audit_shows};
pub use change_ticket::{ChangeTicketError, ChangedTicket};
pub use decide_orders::{DecideOrdersError, Decided, DecidingDesk, Swept};
pub use list_show_tickets::{ListShowTicketsError, ShowTickets};
pub use manage::ChangedShow;
pub use place_order::{OrderRequest, PlaceOrderError, PlacedOrder};
pub use read_ticket::{LineHint, ListTicketsError, ReadTicketError, TicketView};

use crate::gate::SoldOutGate;
use crate::order::{Lanes, Quantity};
use crate::ports::{
    Clock, ShowRepository, TicketEvents, TicketLedger, TicketPublisher, UserRepository,
};
use crate::receipt::Receipts;
use crate::waiting_line::{AcceptTally, WaitingLine};

/// What a [`BoxOffice`] works with.
pub struct BoxOfficeParts {
    /// The users, who may order.
    pub users: Arc<dyn UserRepository>,
    /// What is on sale.
    pub shows: Arc<dyn ShowRepository>,
    /// The queue that accepted orders go to.
    pub publisher: Arc<dyn TicketPublisher>,
    /// Where verdicts are.
    pub ledger: Arc<dyn TicketLedger>,
    /// Where confirmed and cancelled tickets are announced, and what was accepted.
    pub events: Arc<dyn TicketEvents>,
    /// The clock that stamps orders.
    pub clock: Arc<dyn Clock>,
    /// Issues and recognises ticket ids.
    pub receipts: Arc<Receipts>,
    /// How many lanes the queue has.
    pub lanes: Lanes,
    /// The most seats of one order.
    pub max_quantity: Quantity,
    /// Which shows are sold out.
    pub gate: SoldOutGate,
    /// Where the waiting lines are.
    pub line: Arc<WaitingLine>,
    /// What this process accepted, in as many `lanes`.
    pub tally: Arc<AcceptTally>,
}

/// Where buyers and administrators come to: everything that HTTP asks for.
pub struct BoxOffice {
    users: Arc<dyn UserRepository>,
    shows: Arc<dyn ShowRepository>,
    publisher: Arc<dyn TicketPublisher>,
    ledger: Arc<dyn TicketLedger>,
    events: Arc<dyn TicketEvents>,
    clock: Arc<dyn Clock>,
    receipts: Arc<Receipts>,
    lanes: Lanes,
    max_quantity: Quantity,
    gate: SoldOutGate,
    line: Arc<WaitingLine>,
    tally: Arc<AcceptTally>,
}

impl BoxOffice {
    /// Works with these parts.
    #[must_use]
    pub fn new(parts: BoxOfficeParts) -> Self {
        Self {
            users: parts.users,
            shows: parts.shows,
            publisher: parts.publisher,
            ledger: parts.ledger,
            events: parts.events,
            clock: parts.clock,
            receipts: parts.receipts,
            lanes: parts.lanes,
            max_quantity: parts.max_quantity,
            gate: parts.gate,
            line: parts.line,
            tally: parts.tally,
        }
    }
}
