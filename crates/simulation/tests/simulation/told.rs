//! What clients were told, and whether it can be true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::ids::UserId;
use domain::receipt::{IdempotencyKey, TicketId};
use domain::rule::Refusal;
use domain::rule::TransitionKind;
use domain::ticket::{Status, Ticket};
use domain::use_cases::{ChangeTicketError, ChangedTicket, OrderRequest};

use crate::broker::agrees;
use crate::world::World;

tokio::task_local! {
    /// Which attempt to order the running request is.
    pub(crate) static ATTEMPT: usize;
}

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
    ticket: Option<TicketId>,
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
pub(crate) struct Told {
    pub(crate) attempts: Vec<Attempt>,
    /// Tickets of which somebody was told that they are or will be decided.
    pub(crate) taken: BTreeSet<TicketId>,
    pub(crate) keyed: Vec<Keyed>,
    /// The highest version of each ticket that anybody was told.
    seen: BTreeMap<TicketId, u32>,
    /// Requests to change a ticket that succeeded, or whose outcome nobody knows.
    changes: BTreeSet<(TicketId, bool)>,
}

impl Told {
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

    fn changed(&mut self, id: TicketId, kind: TransitionKind) {
        self.changes.insert((id, kind == TransitionKind::Confirm));
    }
}

/// The running request publishes an order.
pub(crate) fn publishes(world: &World, ticket: TicketId) {
    let attempt = ATTEMPT.get();
    world.told.lock().attempts[attempt].ticket = Some(ticket);
}

/// A client was told this of a ticket, of which `before` was the highest
/// version that anybody had been told when it asked.
pub(crate) fn saw(world: &World, ticket: &Ticket, before: u32) {
    let id = ticket.order.ticket_id;
    let tables = world.tables.lock();
    let row = tables.tickets.get(&id);
    let version = usize::try_from(ticket.version).unwrap();
    let status = row.and_then(|row| row.statuses.get(version - 1));
    let is_true =
        status == Some(&ticket.status) && row.is_some_and(|row| agrees(&row.ticket, ticket));
    world.check(is_true, format_args!("told, but not true: {ticket:?}"));
    world.check(
        ticket.version >= before,
        format_args!("told after version {before}: {ticket:?}"),
    );
    let seen = &mut world.told.lock().seen;
    let seen = seen.entry(id).or_default();
    *seen = ticket.version.max(*seen);
}

/// A client asked to confirm or cancel; `None` is no answer.
pub(crate) fn changed(
    world: &World,
    id: TicketId,
    kind: TransitionKind,
    before: u32,
    answer: Option<Result<ChangedTicket, ChangeTicketError>>,
) {
    let check = |holds, what: fmt::Arguments<'_>| {
        world.check(holds, format_args!("{kind:?} of {id} was answered {what}"));
    };
    match answer {
        Some(Ok(changed)) => {
            saw(world, &changed.ticket, before);
            let expected = match kind {
                TransitionKind::Confirm => Status::Confirmed,
                TransitionKind::Cancel => Status::Cancelled,
            };
            let ticket = changed.ticket;
            check(ticket.status == expected, format_args!("{ticket:?}"));
            world.told.lock().changed(id, kind);
        }
        Some(Err(ChangeTicketError::Refused(ticket, refusal))) => {
            saw(world, &ticket, before);
            let fits = match refusal {
                Refusal::HoldExpired => {
                    matches!(ticket.status, Status::Reserved | Status::Expired)
                }
                Refusal::NotReserved => {
                    kind == TransitionKind::Confirm
                        && matches!(ticket.status, Status::Cancelled | Status::Rejected)
                }
                Refusal::Rejected => {
                    kind == TransitionKind::Cancel && ticket.status == Status::Rejected
                }
            };
            check(fits, format_args!("{refusal:?}: {ticket:?}"));
        }
        Some(Err(ChangeTicketError::NotDecided)) => {
            check(
                before == 0,
                format_args!("undecided, after version {before}"),
            );
        }
        Some(Err(ChangeTicketError::NotFound)) => check(false, format_args!("never issued")),
        Some(Err(ChangeTicketError::StoreUnavailable(_))) | None => {
            world.told.lock().changed(id, kind);
        }
    }
}
