//! Statements of the ledger. Multi-row statements are cut into chunks of fixed
//! sizes, so that each text is prepared once per connection and then reused.

use std::collections::HashMap;

use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::{Change, JournalEntry};
use domain::receipt::TicketId;
use domain::rule::{ShowLedger, ShowSaved};
use domain::show::Terms;
use domain::ticket::{Status, Ticket, Verdict};
use domain::time::Timestamp;
use sqlx::QueryBuilder;
use sqlx::mysql::MySqlConnection;

use crate::error::StoreError;
use crate::row::{
    JOURNAL_COLUMNS, SHOW_COLUMNS, TICKET_COLUMNS, change_code, class_code, status_code,
    verdict_code,
};

/// Sizes of chunks, the largest first. 65,535 placeholders are the protocol's
/// limit; 1,000 rows of tickets have 14,000.
const CHUNKS: [usize; 4] = [1_000, 100, 10, 1];

/// `items` in chunks of the fixed sizes.
fn chunks<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|size| *size <= items.len())?;
        let (chunk, rest) = items.split_at(size);
        items = rest;
        Some(chunk)
    })
}

/// `items`, the last of them repeated up to the next of the lengths 1, 2, 3, 4,
/// 6, 8, 12, 16, 24, 32 …, so that an `IN (…)` list of any length has one of a
/// few texts.
pub(crate) fn padded<T>(items: &[T]) -> Vec<&T> {
    let power = items.len().next_power_of_two();
    let length = if items.len() <= power / 4 * 3 {
        power / 4 * 3
    } else {
        power
    };
    let last = items.last().into_iter().cycle();
    items.iter().chain(last).take(length).collect()
}

/// `count` times `part`, separated by commas.
pub(crate) fn repeated(part: &str, count: usize) -> String {
    vec![part; count].join(",")
}

/// `?,?,?`
pub(crate) fn placeholders(count: usize) -> String {
    repeated("?", count)
}

fn end(instant: Option<Timestamp>) -> Option<i64> {
    instant.map(Timestamp::as_micros)
}

pub(crate) async fn insert_show(
    connection: &mut MySqlConnection,
    saved: &ShowSaved,
) -> Result<(), StoreError> {
    let ShowSaved { show, ledger, .. } = saved;
    let terms = ledger.terms();
    let seats = ledger.seats();
    let sql = format!(
        "INSERT INTO shows ({SHOW_COLUMNS}) VALUES ({})",
        placeholders(11)
    );
    sqlx::query(&sql)
        .bind(show.id.as_str().as_bytes())
        .bind(show.title.as_str())
        .bind(terms.capacity.seats())
        .bind(terms.max_per_user.get())
        .bind(terms.hold.seconds())
        .bind(end(terms.window.open_at()))
        .bind(end(terms.window.close_at()))
        .bind(seats.available)
        .bind(seats.held)
        .bind(seats.sold)
        .bind(ledger.seq())
        .execute(connection)
        .await?;
    Ok(())
}

/// New counters of a show that is locked, if no other claim followed this one.
///
/// The claim is compared here because it costs nothing: no round trip, one row of 64 that
/// is always in memory. And because it is right here: the show is locked, and READ
/// COMMITTED reads the number as it is committed by now. Once a later claim has decided
/// something of the show, it had been committed before that, so it is seen. Nothing is locked
/// by that reading, so nobody who takes a lane waits for who decides it.
pub(super) async fn update_counters(
    connection: &mut MySqlConnection,
    ledger: &ShowLedger,
    claim: Option<Claim>,
) -> Result<(), StoreError> {
    const UPDATE: &str = "UPDATE shows SET available = ?, held = ?, sold = ?, seq = ? WHERE id = ?";
    const UNDER_CLAIM: &str = "UPDATE shows SET available = ?, held = ?, sold = ?, seq = ? \
        WHERE id = ? AND (SELECT number FROM lane_claims WHERE lane = ?) = ?";

    let seats = ledger.seats();
    let update = sqlx::query(if claim.is_some() { UNDER_CLAIM } else { UPDATE })
        .bind(seats.available)
        .bind(seats.held)
        .bind(seats.sold)
        .bind(ledger.seq())
        .bind(ledger.show_id().as_str().as_bytes());
    let Some(claim) = claim else {
        update.execute(connection).await?;
        return Ok(());
    };
    let update = update.bind(claim.lane.index()).bind(claim.number);
    if update.execute(connection).await?.rows_affected() == 0 {
        return Err(StoreError::ClaimLost);
    }
    Ok(())
}

/// New title, terms and counters of a show that is locked.
pub(super) async fn update_show(
    connection: &mut MySqlConnection,
    saved: &ShowSaved,
) -> Result<(), StoreError> {
    let ShowSaved { show, ledger, .. } = saved;
    let terms = ledger.terms();
    sqlx::query(
        "UPDATE shows SET title = ?, capacity = ?, max_per_user = ?, hold_seconds = ?, \
         sales_open_at = ?, sales_close_at = ?, available = ?, seq = ? WHERE id = ?",
    )
    .bind(show.title.as_str())
    .bind(terms.capacity.seats())
    .bind(terms.max_per_user.get())
    .bind(terms.hold.seconds())
    .bind(end(terms.window.open_at()))
    .bind(end(terms.window.close_at()))
    .bind(ledger.seats().available)
    .bind(ledger.seq())
    .bind(show.id.as_str().as_bytes())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_tickets(
    connection: &mut MySqlConnection,
    tickets: &[&Ticket],
) -> Result<(), StoreError> {
    for chunk in chunks(tickets) {
        let mut sql = QueryBuilder::new(format!("INSERT INTO tickets ({TICKET_COLUMNS}) "));
        sql.push_values(chunk, |mut row, ticket| {
            let order = &ticket.order;
            let hold_expires_at = match ticket.verdict {
                Verdict::Reserved { hold_expires_at } => Some(hold_expires_at),
                Verdict::Confirmed | Verdict::Rejected(_) => None,
            };
            row.push_bind(order.ticket_id.to_bytes().to_vec())
                .push_bind(order.show_id.as_str().as_bytes())
                .push_bind(order.user_id.as_str().as_bytes())
                .push_bind(order.quantity.seats())
                .push_bind(class_code(order.class))
                .push_bind(order.requested_at.as_micros())
                .push_bind(order.accepted_by.get())
                .push_bind(order.redriven)
                .push_bind(verdict_code(ticket.verdict))
                .push_bind(end(hold_expires_at))
                .push_bind(ticket.decided_at.as_micros())
                .push_bind(ticket.decision_seq)
                .push_bind(status_code(ticket.status))
                .push_bind(ticket.version);
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Tickets that have the same new status and version.
pub(super) async fn update_tickets(
    connection: &mut MySqlConnection,
    (status, version): (Status, u32),
    ids: &[TicketId],
) -> Result<(), StoreError> {
    for chunk in chunks(ids) {
        let sql = format!(
            "UPDATE tickets SET status = ?, version = ? WHERE id IN ({})",
            placeholders(chunk.len())
        );
        let mut query = sqlx::query(&sql).bind(status_code(status)).bind(version);
        for id in chunk {
            query = query.bind(id.to_bytes().to_vec());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Changes the holder of those of the tickets that are a user's. Returns how many these are, and
/// how many live seats they have.
pub(super) async fn update_holder(
    connection: &mut MySqlConnection,
    ids: &[Vec<u8>],
    user: &UserId,
    to: &UserId,
) -> Result<(u64, i64), StoreError> {
    let mut count = 0;
    let mut live = 0;
    for chunk in chunks(ids) {
        let those = format!("id IN ({}) AND user_id = ?", placeholders(chunk.len()));
        let summing = format!(
            "SELECT CAST(COALESCE(SUM(quantity), 0) AS SIGNED) FROM tickets \
             WHERE {those} AND status IN (?, ?)"
        );
        let mut query = sqlx::query_scalar(&summing);
        for id in chunk {
            query = query.bind(id);
        }
        let seats: i64 = query
            .bind(user.as_str().as_bytes())
            .bind(status_code(Status::Reserved))
            .bind(status_code(Status::Confirmed))
            .fetch_one(&mut *connection)
            .await?;
        live += seats;
        let updating = format!("UPDATE tickets SET user_id = ? WHERE {those}");
        let mut query = sqlx::query(&updating).bind(to.as_str().as_bytes());
        for id in chunk {
            query = query.bind(id);
        }
        let query = query.bind(user.as_str().as_bytes());
        count += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok((count, live))
}

/// A ticket's hold on seats of a show until an instant.
pub(super) type Hold<'a> = (TicketId, &'a ShowId, Timestamp);

pub(super) async fn insert_holds(
    connection: &mut MySqlConnection,
    holds: &[Hold<'_>],
) -> Result<(), StoreError> {
    for chunk in chunks(holds) {
        let mut sql = QueryBuilder::new("INSERT INTO holds (ticket_id, show_id, expires_at) ");
        sql.push_values(chunk, |mut row, (id, show, expires)| {
            row.push_bind(id.to_bytes().to_vec())
                .push_bind(show.as_str().as_bytes())
                .push_bind(expires.as_micros());
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn delete_holds(
    connection: &mut MySqlConnection,
    ids: &[Vec<u8>],
) -> Result<(), StoreError> {
    for chunk in chunks(ids) {
        let sql = format!(
            "DELETE FROM holds WHERE ticket_id IN ({})",
            placeholders(chunk.len())
        );
        let mut query = sqlx::query(&sql);
        for id in chunk {
            query = query.bind(id);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Adds to the live seats of users, or takes away.
pub(super) async fn add_live_seats(
    connection: &mut MySqlConnection,
    changes: HashMap<(&ShowId, &UserId), i64>,
) -> Result<(), StoreError> {
    let mut changes: Vec<_> = changes
        .into_iter()
        .filter(|(_, seats)| *seats != 0)
        .collect();
    // By key, as every writer does: no two of them wait for each other.
    changes.sort_unstable();
    for chunk in chunks(&changes) {
        let mut sql = QueryBuilder::new("INSERT INTO live_seats (show_id, user_id, seats) ");
        sql.push_values(chunk, |mut row, ((show, user), seats)| {
            row.push_bind(show.as_str().as_bytes())
                .push_bind(user.as_str().as_bytes())
                .push_bind(*seats);
        });
        sql.push(" ON DUPLICATE KEY UPDATE seats = seats + VALUES(seats)");
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub(crate) async fn insert_journal(
    connection: &mut MySqlConnection,
    entries: &[&JournalEntry],
) -> Result<(), StoreError> {
    for chunk in chunks(entries) {
        let mut sql = QueryBuilder::new(format!("INSERT INTO journal ({JOURNAL_COLUMNS}) "));
        sql.push_values(chunk, |mut row, entry| {
            let (ticket, terms): (Option<TicketId>, Option<&Terms>) = match &entry.change {
                Change::TermsSet(terms) => (None, Some(terms)),
                Change::Confirmed(id) | Change::Cancelled(id, _) | Change::Expired(id) => {
                    (Some(*id), None)
                }
            };
            row.push_bind(entry.show_id.as_str().as_bytes())
                .push_bind(entry.seq)
                .push_bind(entry.at.as_micros())
                .push_bind(change_code(&entry.change))
                .push_bind(ticket.map(|id| id.to_bytes().to_vec()))
                .push_bind(terms.map(|terms| terms.capacity.seats()))
                .push_bind(terms.map(|terms| terms.max_per_user.get()))
                .push_bind(terms.map(|terms| terms.hold.seconds()))
                .push_bind(terms.and_then(|terms| end(terms.window.open_at())))
                .push_bind(terms.and_then(|terms| end(terms.window.close_at())));
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_a_few_sizes_and_cover_everything() {
        let items: Vec<_> = (0..2_123).collect();
        let sizes: Vec<_> = chunks(&items).map(<[_]>::len).collect();
        assert_eq!(sizes, [1_000, 1_000, 100, 10, 10, 1, 1, 1]);
        assert_eq!(chunks(&items).flatten().count(), items.len());
        assert_eq!(chunks(&items[..0]).count(), 0);
    }

    #[test]
    fn lists_are_padded_with_their_last_item() {
        let lengths = |count| padded(&vec![7; count]).len();
        let all: Vec<_> = [1, 2, 3, 4, 5, 6, 7, 9, 13, 17, 25, 500]
            .map(lengths)
            .into();
        assert_eq!(all, [1, 2, 3, 4, 6, 6, 8, 12, 16, 24, 32, 512]);
        assert_eq!(padded(&[1, 2, 3, 4, 5]), [&1, &2, &3, &4, &5, &5]);
    }
}
