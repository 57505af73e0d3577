//! What a client says of a ticket that it asks for.

use domain::ids::ShowId;
use domain::time::Timestamp;
use domain::use_cases::LineHint;
use domain::user::PriorityClass;
use fields::{Fields, all};

use super::values::{instant, priority, show_id};

/// What the answer to an order said beside a ticket's id that does not tell where it waits.
pub(crate) struct Hint {
    /// The show that was ordered for.
    show_id: Option<ShowId>,
    /// When the order was accepted.
    requested_at: Option<Timestamp>,
    /// The user's class.
    priority: Option<PriorityClass>,
}

impl Hint {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        all!(Self {
            show_id: fields.optional("show_id", show_id),
            requested_at: fields.or("requested_at", None, instant),
            priority: fields.optional("priority", priority),
        })
    }
}

impl From<Hint> for LineHint {
    fn from(hint: Hint) -> Self {
        Self {
            show_id: hint.show_id,
            requested_at: hint.requested_at,
            class: hint.priority,
        }
    }
}
