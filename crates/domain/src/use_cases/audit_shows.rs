//! The audit of all shows, for operators.

use super::box_office::BoxOffice;
use crate::audit::{ShowAudit, audit_show};
use crate::ports::{
    LedgerError, ShowRepository, ShowRepositoryError, TicketLedger, UnreadableShow,
};

/// What the replay of every show found.
#[derive(Debug)]
pub struct AuditedShows {
    /// Those that could be read, by id.
    pub audits: Vec<ShowAudit>,
    /// Those that could not: an oversale could hide in them.
    pub unreadable: Vec<UnreadableShow>,
}

/// Replays every show. Takes a second per million changes or so.
///
/// # Errors
/// [`LedgerError`] when the store did not answer.
pub async fn audit_shows(
    shows: &dyn ShowRepository,
    ledger: &dyn TicketLedger,
) -> Result<AuditedShows, LedgerError> {
    /// Shows read at a time.
    const PAGE: usize = 200;

    let unavailable = |error: ShowRepositoryError| LedgerError::Unavailable(Box::new(error));
    let mut audits: Vec<ShowAudit> = Vec::new();
    loop {
        let after = audits.last().map(|audit| &audit.show_id);
        let page = shows.list(after, PAGE).await.map_err(unavailable)?;
        if page.is_empty() {
            break;
        }
        for standing in &page {
            audits.push(audit_show(ledger, standing).await?);
        }
    }
    let unreadable = shows.unreadable().await.map_err(unavailable)?;
    Ok(AuditedShows { audits, unreadable })
}

impl BoxOffice {
    /// Replays every show, see [`audit_shows`].
    ///
    /// # Errors
    /// [`LedgerError`] when the store did not answer.
    pub async fn audit_shows(&self) -> Result<AuditedShows, LedgerError> {
        audit_shows(&*self.parts.shows, &*self.parts.ledger).await
    }
}
