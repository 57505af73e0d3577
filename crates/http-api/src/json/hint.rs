//! What a client says of a ticket that it asks for.

use domain::use_cases::LineHint;
use fields::{Fields, all};

use super::values::{instant, priority, show_id};

/// What the answer to an order said beside a ticket's id that does not tell where it waits.
pub(crate) fn hint(fields: &mut Fields<'_, '_>) -> Option<LineHint> {
    all!(LineHint {
        show_id: fields.optional("show_id", show_id),
        requested_at: fields.or("requested_at", None, instant),
        class: fields.optional("priority", priority),
    })
}
