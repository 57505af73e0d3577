//! Plain reads: none of them waits for a show's lock.

use std::collections::HashMap;

use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::ports::TicketPage;
use domain::receipt::TicketId;
use domain::ticket::Ticket;

use super::locked::tickets;
use crate::database::Database;
use crate::error::StoreError;
use crate::page::Page;
use crate::row::{JOURNAL_COLUMNS, JournalRow, TICKET_COLUMNS, TicketRow, change, decision};

fn rows(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

pub(super) async fn find(
    db: &Database,
    ids: &[TicketId],
) -> Result<HashMap<TicketId, Ticket>, StoreError> {
    let mut lease = db.lease_reading().await?;
    let found = tickets(lease.connection(), ids).await?;
    lease.give_back();
    Ok(found)
}

pub(super) async fn list_by_user(
    db: &Database,
    user: &UserId,
    page: TicketPage,
) -> Result<Vec<Ticket>, StoreError> {
    let after = page
        .after
        .map(|(requested_at, id)| (requested_at.as_micros(), id.to_bytes().to_vec()));
    let mut page = Page::after(after, page.limit);
    let mut lease = db.lease_reading().await?;
    while page.missing > 0 {
        // The first bound narrows the index range, the second one is exact.
        let bounds = if page.after.is_some() {
            "AND requested_at <= ? AND (requested_at < ? OR id < ?)"
        } else {
            ""
        };
        let sql = format!(
            "SELECT {TICKET_COLUMNS} FROM tickets WHERE user_id = ? {bounds} \
             ORDER BY requested_at DESC, id DESC LIMIT ?"
        );
        let mut query = sqlx::query_as::<_, TicketRow>(&sql).bind(user.as_str().as_bytes());
        if let Some((requested_at, id)) = &page.after {
            query = query.bind(requested_at).bind(requested_at).bind(id);
        }
        let found = query.bind(rows(page.missing));
        let found = found.fetch_all(lease.connection()).await?;
        page.fill(found, |row| Some(row.place()));
    }
    lease.give_back();
    Ok(page.values)
}

/// What the show's number was before both halves are read bounds them: up to
/// there nothing can be missing in either.
pub(super) async fn history(
    db: &Database,
    show: &ShowId,
    after_seq: u64,
    limit: usize,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let show = show.as_str().as_bytes();
    let mut lease = db.lease_reading().await?;
    let seq: Option<(u64,)> = sqlx::query_as("SELECT seq FROM shows WHERE id = ?")
        .bind(show)
        .fetch_optional(lease.connection())
        .await?;
    let Some((seq,)) = seq else {
        lease.give_back();
        return Ok(Vec::new());
    };
    let until = seq.min(after_seq.saturating_add(rows(limit)));
    let sql = format!(
        "SELECT {TICKET_COLUMNS} FROM tickets \
         WHERE show_id = ? AND decision_seq > ? AND decision_seq <= ? ORDER BY decision_seq"
    );
    let decided: Vec<TicketRow> = sqlx::query_as(&sql)
        .bind(show)
        .bind(after_seq)
        .bind(until)
        .fetch_all(lease.connection())
        .await?;
    let sql = format!(
        "SELECT {JOURNAL_COLUMNS} FROM journal \
         WHERE show_id = ? AND seq > ? AND seq <= ? ORDER BY seq"
    );
    let changed: Vec<JournalRow> = sqlx::query_as(&sql)
        .bind(show)
        .bind(after_seq)
        .bind(until)
        .fetch_all(lease.connection())
        .await?;
    lease.give_back();
    let mut history = Vec::with_capacity(decided.len() + changed.len());
    history.extend(decided.into_iter().map(decision));
    history.extend(changed.into_iter().map(change));
    history.sort_by_key(HistoryEntry::seq);
    Ok(history)
}
