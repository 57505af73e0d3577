//! The worker's step: decide what a lane delivered, put aside what cannot be
//! decided, tell everybody. Acking is the caller's, after this succeeded.

use std::sync::Arc;

use super::announce;
use crate::ids::ShowId;
use crate::order::Order;
use crate::ports::{
    Cause, Clock, DeadLetter, DeadLetters, DeadLettersError, DecideReport, LedgerError,
    TicketEvents, TicketEventsError, TicketLedger,
};
use crate::rule::Decision;

/// Where orders get their verdicts: everything that the worker asks for.
pub struct DecidingDesk {
    /// Decides.
    pub ledger: Arc<dyn TicketLedger>,
    /// Tells the outcomes.
    pub events: Arc<dyn TicketEvents>,
    /// Takes what cannot be decided.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Dates dead letters.
    pub clock: Arc<dyn Clock>,
}

/// How many orders of a batch ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decided {
    /// Got their verdict now.
    pub first: usize,
    /// Had their verdict already.
    pub replayed: usize,
    /// Were dropped, because their id is another order's.
    pub conflicts: usize,
    /// Were put aside as dead letters.
    pub dead: usize,
    /// Tickets that expired on the way.
    pub released: usize,
}

/// Why a step did not finish. Doing the same step again is safe and right.
#[derive(Debug, thiserror::Error)]
pub enum DecideOrdersError {
    /// The ledger did not answer.
    #[error("orders could not be decided")]
    Ledger(#[source] LedgerError),
    /// The verdicts are committed but may not be announced.
    #[error("verdicts could not be announced")]
    Events(#[from] TicketEventsError),
    /// An order that cannot be decided could not be put aside.
    #[error("an order could not be put aside")]
    DeadLetters(#[from] DeadLettersError),
}

impl DecidingDesk {
    /// Decides the orders in sequence. When this returns, every one of them
    /// has its verdict committed and announced, or is a dead letter.
    ///
    /// # Errors
    /// [`DecideOrdersError`]; the orders must not be acked then.
    pub async fn decide_orders(&self, orders: &[Order]) -> Result<Decided, DecideOrdersError> {
        let (reports, undecidable) = self
            .decide_isolating(orders)
            .await
            .map_err(DecideOrdersError::Ledger)?;
        for (order, cause) in &undecidable {
            self.dead_letters
                .put(DeadLetter {
                    at: self.clock.now(),
                    reason: cause.to_string(),
                    order: Some(Order::clone(order)),
                    payload: Vec::new(),
                })
                .await?;
        }
        let events: Vec<_> = reports.iter().flat_map(announce::decisions).collect();
        if !events.is_empty() {
            self.events.announce(events).await?;
        }
        Ok(summary(&reports, undecidable.len()))
    }

    /// Expires up to `limit` due holds and returns how many there were.
    ///
    /// # Errors
    /// [`DecideOrdersError`].
    pub async fn sweep_holds(&self, limit: usize) -> Result<usize, DecideOrdersError> {
        let report = self
            .ledger
            .expire_due(limit)
            .await
            .map_err(DecideOrdersError::Ledger)?;
        let expired = report.outcomes.len();
        if expired > 0 {
            self.events.announce(announce::transitions(&report)).await?;
        }
        Ok(expired)
    }

    /// All at once; if the ledger cannot take that, show by show; if it cannot
    /// take a show's orders, one by one. The sequence inside of a show stays.
    /// Only what fails alone, for a reason that would not go away, is singled
    /// out: an unavailable ledger ends the attempt.
    async fn decide_isolating<'a>(
        &self,
        orders: &'a [Order],
    ) -> Result<(Vec<DecideReport>, Vec<(&'a Order, Cause)>), LedgerError> {
        let mut reports = Vec::new();
        let mut undecidable = Vec::new();
        match self.ledger.decide(orders).await {
            Ok(report) => {
                reports.push(report);
                return Ok((reports, undecidable));
            }
            Err(LedgerError::Unprocessable(cause)) => {
                if let [order] = orders {
                    undecidable.push((order, cause));
                    return Ok((reports, undecidable));
                }
            }
            Err(unavailable @ LedgerError::Unavailable(_)) => return Err(unavailable),
        }
        for of_show in by_show(orders) {
            let together: Vec<Order> = of_show.iter().map(|order| (*order).clone()).collect();
            match self.ledger.decide(&together).await {
                Ok(report) => reports.push(report),
                Err(unavailable @ LedgerError::Unavailable(_)) => return Err(unavailable),
                Err(LedgerError::Unprocessable(_)) => {
                    for order in of_show {
                        match self.ledger.decide(std::slice::from_ref(order)).await {
                            Ok(report) => reports.push(report),
                            Err(LedgerError::Unprocessable(cause)) => {
                                undecidable.push((order, cause));
                            }
                            Err(unavailable @ LedgerError::Unavailable(_)) => {
                                return Err(unavailable);
                            }
                        }
                    }
                }
            }
        }
        Ok((reports, undecidable))
    }
}

/// The orders of each show in their sequence; shows in the sequence of their first order.
fn by_show(orders: &[Order]) -> Vec<Vec<&Order>> {
    let mut shows: Vec<(&ShowId, Vec<&Order>)> = Vec::new();
    for order in orders {
        match shows.iter_mut().find(|(show, _)| **show == order.show_id) {
            Some((_, of_show)) => of_show.push(order),
            None => shows.push((&order.show_id, vec![order])),
        }
    }
    shows.into_iter().map(|(_, of_show)| of_show).collect()
}

fn summary(reports: &[DecideReport], dead: usize) -> Decided {
    let mut decided = Decided {
        dead,
        ..Decided::default()
    };
    for report in reports {
        decided.released += report.released.len();
        for decision in &report.decisions {
            match decision {
                Decision::First(_) => decided.first += 1,
                Decision::Replayed(_) => decided.replayed += 1,
                Decision::Conflict(_) => decided.conflicts += 1,
            }
        }
    }
    decided
}
