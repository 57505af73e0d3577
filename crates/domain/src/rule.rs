//! The rule: everything that moves seats. Pure: no clock, no store.
//!
//! A ledger loads what is needed under the shows' locks, calls one of these functions and saves
//! in the same transaction what it returns:
//!
//! | function | for |
//! |---|---|
//! | [`decide_batch`] | orders |
//! | [`change_tickets`] | requests to confirm and cancel |
//! | [`expire_holds`] | holds that are over |
//! | [`open_show`], [`change_show`] | a show's title and terms |

mod batch;
mod ledger;
mod saved;
mod terms;
mod transition;

pub use batch::{BatchOutcome, BatchShow, BatchState, Decision, decide_batch, make_room};
pub use ledger::{CorruptCounters, Refusal, ShowLedger, TermsRefused, Transition};
pub use saved::{Changes, ShowAfter, TicketChange};
pub use terms::{ShowSaved, change_show, open_show};
pub use transition::{
    TicketsOutcome, TicketsState, TransitionKind, TransitionOutcome, TransitionRequest,
    change_tickets, expire_holds,
};
