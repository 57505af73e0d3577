//! Where buyers and administrators come to.

use std::sync::Arc;

use crate::gate::SoldOutGate;
use crate::order::{Lanes, Quantity};
use crate::ports::{
    Clock, DecidedState, ShowRepository, TicketEvents, TicketLedger, TicketPublisher,
    UserRepository,
};
use crate::receipt::Receipts;
use crate::time::Timestamp;
use crate::waiting_line::{AcceptTally, WaitingLine};

/// What a [`BoxOffice`] works with.
pub struct BoxOfficeParts {
    /// Who may order.
    pub users: Arc<dyn UserRepository>,
    /// What is on sale.
    pub shows: Arc<dyn ShowRepository>,
    /// Where orders go.
    pub publisher: Arc<dyn TicketPublisher>,
    /// Where verdicts are.
    pub ledger: Arc<dyn TicketLedger>,
    /// Where those who only look find tickets and shows; without it, in the store. Never asked for
    /// an order.
    pub state: Option<Arc<dyn DecidedState>>,
    /// Where confirmed and cancelled tickets are announced, and what was accepted.
    pub events: Arc<dyn TicketEvents>,
    /// The time.
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

/// Everything that HTTP asks for.
pub struct BoxOffice {
    pub(super) parts: BoxOfficeParts,
}

impl BoxOffice {
    /// Works with these parts.
    #[must_use]
    pub const fn new(parts: BoxOfficeParts) -> Self {
        Self { parts }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}
