//! Plain reads: none of them waits for a show's lock.

use std::collections::HashMap;

use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::ports::TicketPage;
use domain::receipt::TicketId;
use domain::ticket::Ticket;

use super::locked::tickets;
use crate::database::Database;
use crate::engine::Engine;
use crate::page::Page;
use crate::row::{TicketRow, change, decision};
use crate::statements::{ShowStatements, TicketStatements};

pub(super) async fn find<E: Engine>(
    db: &Database<E>,
    ids: &[TicketId],
) -> Result<HashMap<TicketId, Ticket>, E::Error> {
    let mut lease = db.lease_reading().await?;
    let found = tickets::<E>(lease.session(), ids).await?;
    lease.give_back();
    Ok(found)
}

pub(super) async fn list_by_user<E: Engine>(
    db: &Database<E>,
    user: &UserId,
    page: TicketPage,
) -> Result<Vec<Ticket>, E::Error> {
    let after = page
        .after
        .map(|(requested_at, id)| (requested_at.as_micros(), id.to_bytes().to_vec()));
    let mut page = Page::after(after, page.limit);
    let mut lease = db.lease_reading().await?;
    while page.missing > 0 {
        let session = lease.session();
        let rows = session.tickets_of_user(user, page.after.as_ref(), page.missing);
        let rows = rows.await?;
        page.fill(rows, |row| Some(TicketRow::place(row)));
    }
    lease.give_back();
    Ok(page.values)
}

/// What the show's number was before both halves are read bounds them: up to
/// there nothing can be missing in either.
pub(super) async fn history<E: Engine>(
    db: &Database<E>,
    show: &ShowId,
    after_seq: u64,
    limit: usize,
) -> Result<Vec<HistoryEntry>, E::Error> {
    let mut lease = db.lease_reading().await?;
    let session = lease.session();
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
    lease.give_back();
    Ok(history)
}
