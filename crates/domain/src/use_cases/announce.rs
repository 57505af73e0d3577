//! From what the ledger did to what is announced.

use std::collections::BTreeMap;

use crate::event::{Event, SettledOrders};
use crate::order::{Lane, Order};
use crate::ports::{DecideReport, TransitionReport};
use crate::rule::TransitionOutcome;
use crate::ticket::Ticket;

/// Replayed verdicts are announced again: the process that gave them first may
/// have died before it could.
pub(super) fn decisions(report: &DecideReport) -> impl Iterator<Item = Event> {
    let decided = report.decisions.iter().map(|decision| decision.ticket());
    report
        .released
        .iter()
        .chain(decided)
        .cloned()
        .map(Event::Ticket)
        .chain(report.shows.iter().cloned().map(Event::Show))
}

/// For lines whose last settled order has no ticket at its place: it would seem to wait for ever.
pub(super) fn settled(orders: &[Order], told: &[Event], lane: Lane) -> Vec<Event> {
    let mut last = BTreeMap::new();
    // One that is redriven waited in the line when it came first.
    for order in orders.iter().filter(|order| !order.redriven) {
        let through = last
            .entry((order.class, order.accepted_by))
            .or_insert(order.requested_at);
        *through = order.requested_at.max(*through);
    }
    for event in told {
        if let Event::Ticket(Ticket { order, .. }) = event
            && last.get(&(order.class, order.accepted_by)) <= Some(&order.requested_at)
        {
            last.remove(&(order.class, order.accepted_by));
        }
    }
    let settled = last.into_iter();
    let settled = settled.map(|((class, accepted_by), through)| SettledOrders {
        accepted_by,
        lane,
        class,
        through,
    });
    settled.map(Event::Settled).collect()
}

pub(super) fn transitions(report: &TransitionReport) -> Vec<Event> {
    report
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            TransitionOutcome::Changed(ticket) => Some(Event::Ticket(ticket.clone())),
            TransitionOutcome::Unchanged(_)
            | TransitionOutcome::Refused(..)
            | TransitionOutcome::NotDecided
            | TransitionOutcome::NotTheirs => None,
        })
        .chain(report.shows.iter().cloned().map(Event::Show))
        .collect()
}
