//! From what the ledger did to what is announced.

use crate::event::Event;
use crate::ports::{DecideReport, TransitionReport};
use crate::rule::TransitionOutcome;

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

pub(super) fn transitions(report: &TransitionReport) -> Vec<Event> {
    report
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            TransitionOutcome::Changed(ticket) => Some(Event::Ticket(ticket.clone())),
            TransitionOutcome::Unchanged(_)
            | TransitionOutcome::Refused(..)
            | TransitionOutcome::NotDecided => None,
        })
        .chain(report.shows.iter().cloned().map(Event::Show))
        .collect()
}
