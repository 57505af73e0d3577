//! The worker's step: decide what a lane delivered, put aside what cannot be
//! decided, tell everybody. Acking is the caller's, after this succeeded.

use std::error::Error;
use std::iter::successors;
use std::sync::Arc;

use super::announce;
use crate::claims::Claim;
use crate::ids::ShowId;
use crate::order::Order;
use crate::ports::{
    Cause, Clock, DeadLetter, DeadLetters, DeadLettersError, DecideReport, LedgerError,
    TicketEvents, TicketEventsError, TicketLedger,
};
use crate::receipt::Receipts;
use crate::rule::Decision;

/// The reason of a dead letter whose id no secret signed.
const NOT_OURS: &str = "its ticket id was signed with none of tickets.id_secrets: another \
    deployment uses the same queue, or a secret was removed while orders signed with it waited";

/// Where orders get their verdicts: everything that the worker asks for.
pub struct DecidingDesk {
    /// Decides batches of orders and stores the verdicts.
    pub ledger: Arc<dyn TicketLedger>,
    /// Tells the outcomes.
    pub events: Arc<dyn TicketEvents>,
    /// Takes what cannot be decided.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// The clock that dates dead letters.
    pub clock: Arc<dyn Clock>,
    /// Knows the ids of this deployment.
    pub receipts: Arc<Receipts>,
}

/// How many orders of a batch ended how.
#[derive(Debug)]
pub struct Decided {
    /// Orders that got their verdict in this batch, not in an earlier delivery.
    pub first: usize,
    /// Had their verdict already.
    pub replayed: usize,
    /// Were dropped, because their id is another order's.
    pub conflicts: usize,
    /// Were put aside as dead letters.
    pub dead: usize,
    /// Tickets that expired on the way.
    pub released: usize,
    /// Whether the outcomes were announced. They are committed either way: listeners
    /// read what they missed.
    pub announced: Result<(), TicketEventsError>,
}

/// What a sweep did.
#[derive(Debug)]
pub struct Swept {
    /// Holds that it ended.
    pub expired: usize,
    /// Whether that was announced. It is committed either way.
    pub announced: Result<(), TicketEventsError>,
}

/// Why a step did not finish. Doing the same step again is safe and right.
#[derive(Debug, thiserror::Error)]
pub enum DecideOrdersError {
    /// Another worker decides the lane now.
    #[error("another worker has claimed the lane")]
    ClaimLost,
    /// The ledger did not answer.
    #[error("orders could not be decided")]
    Ledger(#[source] LedgerError),
    /// An order that cannot be decided could not be put aside.
    #[error("an order could not be put aside")]
    DeadLetters(#[from] DeadLettersError),
}

impl From<LedgerError> for DecideOrdersError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::ClaimLost => Self::ClaimLost,
            LedgerError::Unprocessable(_) | LedgerError::Unavailable(_) => Self::Ledger(error),
        }
    }
}

impl DecidingDesk {
    /// Decides the orders in sequence, under a claim of their lane. When this returns, every
    /// one of them has its verdict committed, or is a dead letter.
    ///
    /// Telling the verdicts holds nothing up: whether that worked is part of the answer.
    ///
    /// # Errors
    /// [`DecideOrdersError`]; the orders must not be acked then.
    pub async fn decide_orders(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<Decided, DecideOrdersError> {
        let is_foreign = |order: &&Order| !self.receipts.has_issued(order.ticket_id);
        let foreign: Vec<_> = orders.iter().filter(is_foreign).collect();
        let (reports, mut undecidable) = if foreign.is_empty() {
            self.decide_isolating(orders, claim).await?
        } else {
            let ours = orders.iter().filter(|order| !foreign.contains(order));
            let ours: Vec<_> = ours.cloned().collect();
            self.decide_isolating(&ours, claim).await?
        };
        let foreign = foreign.into_iter();
        undecidable.extend(foreign.map(|order| (order.clone(), NOT_OURS.to_owned())));
        let dead = undecidable.len();
        for (order, reason) in undecidable {
            self.dead_letters
                .put(DeadLetter {
                    at: self.clock.now(),
                    reason,
                    order: Some(order),
                    payload: Vec::new(),
                })
                .await?;
        }
        let mut events: Vec<_> = reports.iter().flat_map(announce::decisions).collect();
        let has_ticket_at_its_place = |decision: &Decision| matches!(decision, Decision::First(_));
        let mut decisions = reports.iter().flat_map(|report| &report.decisions);
        if let Some(claim) = claim
            && (dead > 0 || !decisions.all(has_ticket_at_its_place))
        {
            let settled = announce::settled(orders, &events, claim.lane);
            events.extend(settled);
        }
        let announced = if events.is_empty() {
            Ok(())
        } else {
            self.events.announce(events).await
        };
        Ok(summary(&reports, dead, announced))
    }

    /// Expires up to `limit` due holds.
    ///
    /// # Errors
    /// [`DecideOrdersError`].
    pub async fn sweep_holds(&self, limit: usize) -> Result<Swept, DecideOrdersError> {
        let report = self.ledger.expire_due(limit).await?;
        let expired = report.outcomes.len();
        let announced = if expired > 0 {
            self.events.announce(announce::transitions(&report)).await
        } else {
            Ok(())
        };
        Ok(Swept { expired, announced })
    }

    /// All at once; if the ledger cannot take that, show by show; if it cannot
    /// take a show's orders, one by one. The sequence inside of a show stays.
    /// Only what fails alone, for a reason that would not go away, is singled
    /// out: an unavailable ledger ends the attempt.
    async fn decide_isolating(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<(Vec<DecideReport>, Vec<(Order, String)>), LedgerError> {
        let mut reports = Vec::new();
        let mut undecidable = Vec::new();
        let mut put_aside =
            |order: &Order, cause: Cause| undecidable.push((order.clone(), reason(&*cause)));
        match self.ledger.decide(orders, claim).await {
            Ok(report) => {
                reports.push(report);
                return Ok((reports, undecidable));
            }
            Err(LedgerError::Unprocessable(cause)) => {
                if let [order] = orders {
                    put_aside(order, cause);
                    return Ok((reports, undecidable));
                }
            }
            Err(failed) => return Err(failed),
        }
        for of_show in by_show(orders) {
            let together: Vec<Order> = of_show.iter().map(|order| (*order).clone()).collect();
            match self.ledger.decide(&together, claim).await {
                Ok(report) => reports.push(report),
                Err(LedgerError::Unprocessable(_)) => {
                    for order in of_show {
                        let alone = std::slice::from_ref(order);
                        match self.ledger.decide(alone, claim).await {
                            Ok(report) => reports.push(report),
                            Err(LedgerError::Unprocessable(cause)) => put_aside(order, cause),
                            Err(failed) => return Err(failed),
                        }
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok((reports, undecidable))
    }
}

/// An error with its causes: the last of them says which column or constraint it was.
fn reason(error: &dyn Error) -> String {
    let causes = successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |reason, cause| {
        format!("{reason}: {cause}")
    })
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

fn summary(
    reports: &[DecideReport],
    dead: usize,
    announced: Result<(), TicketEventsError>,
) -> Decided {
    let mut decided = Decided {
        first: 0,
        replayed: 0,
        conflicts: 0,
        dead,
        released: 0,
        announced,
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
