//! Whether what clients are told can be true.

use std::fmt;

use domain::receipt::TicketId;
use domain::rule::{Refusal, TransitionKind};
use domain::ticket::{Status, Ticket};
use domain::use_cases::{ChangeTicketError, ChangedTicket};

use crate::world::World;

tokio::task_local! {
    /// Which attempt to order the running request is.
    pub(crate) static ATTEMPT: usize;
}

/// Whether two readings of a ticket can both be true.
pub(crate) fn agrees(one: &Ticket, other: &Ticket) -> bool {
    one.order == other.order
        && one.verdict == other.verdict
        && one.decided_at == other.decided_at
        && one.decision_seq == other.decision_seq
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
        Some(Err(error @ (ChangeTicketError::NotFound | ChangeTicketError::Forbidden))) => {
            check(false, format_args!("{error}"));
        }
        Some(Err(ChangeTicketError::StoreUnavailable(_))) | None => {
            world.told.lock().changed(id, kind);
        }
    }
}
