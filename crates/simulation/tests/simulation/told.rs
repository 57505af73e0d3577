//! What clients were told.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::UserId;
use domain::receipt::{IdempotencyKey, TicketId};
use domain::rule::TransitionKind;
use domain::use_cases::OrderRequest;

/// The end of one attempt to order, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The queue has it, or the ledger.
    Taken,
    /// It may or may not be queued, or no answer came.
    Unknown,
    /// It was not queued.
    Refused,
}

pub(crate) struct Attempt {
    pub(crate) ticket: Option<TicketId>,
    pub(crate) ending: Ending,
}

/// What a user's key turned out to name.
#[derive(Debug)]
pub(crate) struct Keyed {
    user: UserId,
    key: IdempotencyKey,
    pub(crate) tickets: BTreeSet<TicketId>,
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) attempts: Vec<Attempt>,
    /// Tickets of which somebody was told that they are or will be decided.
    pub(crate) taken: BTreeSet<TicketId>,
    pub(crate) keyed: Vec<Keyed>,
    /// The highest version of each ticket that anybody was told.
    pub(crate) seen: BTreeMap<TicketId, u32>,
    /// Requests to change a ticket that succeeded, or whose outcome nobody knows.
    changes: BTreeSet<(TicketId, bool)>,
}

impl Known {
    /// The number of a new attempt to order.
    pub(crate) fn attempt(&mut self) -> usize {
        self.attempts.push(Attempt {
            ticket: None,
            ending: Ending::Unknown,
        });
        self.attempts.len() - 1
    }

    pub(crate) fn seen(&self, id: TicketId) -> u32 {
        self.seen.get(&id).copied().unwrap_or_default()
    }

    /// The request, which has a key, turned out to name this ticket.
    pub(crate) fn names(&mut self, request: &OrderRequest, id: TicketId) {
        let Some(key) = &request.key else { return };
        let is_it = |keyed: &&mut Keyed| keyed.user == request.user_id && keyed.key == *key;
        if let Some(keyed) = self.keyed.iter_mut().find(is_it) {
            keyed.tickets.insert(id);
        } else {
            self.keyed.push(Keyed {
                user: request.user_id.clone(),
                key: key.clone(),
                tickets: BTreeSet::from([id]),
            });
        }
    }

    /// Whether somebody was told a verdict of the ticket that the request's key names.
    pub(crate) fn knows_verdict(&self, request: &OrderRequest) -> bool {
        self.keyed.iter().any(|keyed| {
            keyed.user == request.user_id
                && request.key.as_ref() == Some(&keyed.key)
                && keyed.tickets.iter().any(|id| self.seen(*id) > 0)
        })
    }

    /// Whether somebody who ordered this ticket must expect it to be decided.
    pub(crate) fn may_exist(&self, id: TicketId) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| attempt.ticket == Some(id) && attempt.ending != Ending::Refused)
    }

    pub(crate) fn may_have_changed(&self, id: TicketId, kind: TransitionKind) -> bool {
        let confirms = kind == TransitionKind::Confirm;
        self.changes.contains(&(id, confirms))
    }

    pub(crate) fn changed(&mut self, id: TicketId, kind: TransitionKind) {
        self.changes.insert((id, kind == TransitionKind::Confirm));
    }
}
