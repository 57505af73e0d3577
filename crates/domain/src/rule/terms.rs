//! Putting a show on sale and changing it.

use crate::journal::JournalEntry;
use crate::rule::ledger::{ShowLedger, TermsRefused};
use crate::show::{Show, ShowChange, ShowStanding};
use crate::time::Timestamp;

/// A show that was put on sale or changed, as a ledger saves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowSaved {
    /// Its title and terms.
    pub show: Show,
    /// Its counters.
    pub ledger: ShowLedger,
    /// The step of its history; `None` if its terms stay as they are.
    pub entry: Option<JournalEntry>,
}

impl ShowSaved {
    /// The show as it is from now on.
    #[must_use]
    pub fn standing(&self) -> ShowStanding {
        ShowStanding {
            show: self.show.clone(),
            seats: self.ledger.seats(),
            seq: self.ledger.seq(),
        }
    }
}

/// Puts a show on sale.
#[must_use]
pub fn open_show(show: Show, now: Timestamp) -> ShowSaved {
    let (ledger, entry) = ShowLedger::open(show.id.clone(), show.terms.clone(), now);
    ShowSaved {
        show,
        ledger,
        entry: Some(entry),
    }
}

/// Changes a show's title and terms.
///
/// # Errors
/// [`TermsRefused`]; nothing is to be saved then.
pub fn change_show(
    show: Show,
    mut ledger: ShowLedger,
    change: &ShowChange,
    now: Timestamp,
) -> Result<ShowSaved, TermsRefused> {
    let entry = ledger.change_terms(change, now)?;
    let show = Show {
        id: show.id,
        title: change.title.clone().unwrap_or(show.title),
        terms: ledger.terms().clone(),
    };
    Ok(ShowSaved {
        show,
        ledger,
        entry,
    })
}
