//! Plain reads: none of them waits for a show's lock.

use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::ports::TicketPage;
use domain::ticket::Ticket;

use crate::engine::Engine;
use crate::page::page;
use crate::row::{TicketRow, change, decision};
use crate::statements::{ShowStatements, TicketStatements};

pub(super) async fn list<E: Engine>(
    session: &mut E::Session,
    user: &UserId,
    TicketPage { limit, after }: TicketPage,
) -> Result<Vec<Ticket>, E::Error> {
    let after = after.map(|(at, id)| (at.as_micros(), id.to_bytes().to_vec()));
    let place = |after| (user.clone(), after);
    page(
        session,
        place(after),
        limit,
        |session, (user, after), missing| session.tickets_of_user(user, after.as_ref(), missing),
        |row: &TicketRow| place(Some((row.requested_at, row.id.clone()))),
    )
    .await
}

/// What the show's number was before both halves are read bounds them: up to
/// there nothing can be missing in either.
pub(super) async fn history<E: Engine>(
    session: &mut E::Session,
    show: &ShowId,
    after_seq: u64,
    limit: usize,
) -> Result<Vec<HistoryEntry>, E::Error> {
    let mut history = Vec::new();
    if let Some(seq) = session.show_seq(show).await? {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let until = seq.min(after_seq.saturating_add(limit));
        let decided = session.decisions(show, after_seq, until).await?;
        let changed = session.journal(show, after_seq, until).await?;
        history.reserve(decided.len() + changed.len());
        history.extend(decided.into_iter().map(decision));
        history.extend(changed.into_iter().map(change));
        history.sort_by_key(HistoryEntry::seq);
    }
    Ok(history)
}
