//! Tickets and the journal.

use adapter_sql::chunks::{chunks, padded, placeholders};
use adapter_sql::row::{
    JOURNAL_COLUMNS, JournalRow, TICKET_COLUMNS, TicketRow, change_code, class_code, status_code,
    verdict_code,
};
use adapter_sql::statements::TicketStatements;
use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::journal::{Change, JournalEntry};
use domain::receipt::TicketId;
use domain::show::Terms;
use domain::ticket::{Status, Ticket, Verdict};
use sqlx::QueryBuilder;

use super::{micros, rows};
use crate::error::StoreError;
use crate::session::Session;

/// The user, or the alias that a user gets who is being erased.
const HOLDER: &str = "COALESCE(\
    (SELECT alias FROM erasures WHERE erasures.user_id = tickets.user_id), user_id) AS user_id";

#[async_trait]
impl TicketStatements for Session {
    async fn tickets(&mut self, ids: &[TicketId]) -> Result<Vec<TicketRow>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        // Bounded, because a padded list of many could outgrow the protocol.
        for ids in ids.chunks(4_096) {
            let ids = padded(ids);
            let sql = format!(
                "SELECT {TICKET_COLUMNS} FROM tickets WHERE id IN ({})",
                placeholders(ids.len())
            );
            let mut query = sqlx::query_as(&sql);
            for id in ids {
                query = query.bind(id.to_bytes().to_vec());
            }
            found.extend(query.fetch_all(&mut self.connection).await?);
        }
        Ok(found)
    }

    async fn tickets_of_user(
        &mut self,
        user: &UserId,
        after: Option<&(i64, Vec<u8>)>,
        limit: usize,
    ) -> Result<Vec<TicketRow>, StoreError> {
        // The first bound narrows the index range, the second one is exact.
        let bounds = if after.is_some() {
            "AND requested_at <= ? AND (requested_at < ? OR id < ?)"
        } else {
            ""
        };
        let sql = format!(
            "SELECT {TICKET_COLUMNS} FROM tickets WHERE user_id = ? {bounds} \
             ORDER BY requested_at DESC, id DESC LIMIT ?"
        );
        let mut query = sqlx::query_as(&sql).bind(user.as_str().as_bytes());
        if let Some((requested_at, id)) = after {
            query = query.bind(requested_at).bind(requested_at).bind(id);
        }
        let query = query.bind(rows(limit));
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn decisions(
        &mut self,
        show: &ShowId,
        after: u64,
        until: u64,
    ) -> Result<Vec<TicketRow>, StoreError> {
        // A user who is being erased has tickets of both names, and is one user to the audit.
        let columns = TICKET_COLUMNS.replace("user_id", HOLDER);
        let sql = format!(
            "SELECT {columns} FROM tickets \
             WHERE show_id = ? AND decision_seq > ? AND decision_seq <= ? ORDER BY decision_seq"
        );
        let query = sqlx::query_as(&sql).bind(show.as_str().as_bytes());
        let query = query.bind(after).bind(until);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn insert_tickets(&mut self, tickets: &[&Ticket]) -> Result<(), StoreError> {
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
                    .push_bind(micros(hold_expires_at))
                    .push_bind(ticket.decided_at.as_micros())
                    .push_bind(ticket.decision_seq)
                    .push_bind(status_code(ticket.status))
                    .push_bind(ticket.version);
            });
            sql.build().execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn update_tickets(
        &mut self,
        status: Status,
        version: u32,
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
            query.execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn some_tickets_of(
        &mut self,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let query = sqlx::query_as(
            "SELECT show_id, id FROM tickets FORCE INDEX (tickets_of_user) \
             WHERE user_id = ? LIMIT ?",
        );
        let query = query.bind(user.as_str().as_bytes()).bind(limit);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn update_holder(
        &mut self,
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
                .fetch_one(&mut self.connection)
                .await?;
            live += seats;
            let updating = format!("UPDATE tickets SET user_id = ? WHERE {those}");
            let mut query = sqlx::query(&updating).bind(to.as_str().as_bytes());
            for id in chunk {
                query = query.bind(id);
            }
            let query = query.bind(user.as_str().as_bytes());
            count += query.execute(&mut self.connection).await?.rows_affected();
        }
        Ok((count, live))
    }

    async fn insert_journal(&mut self, entries: &[&JournalEntry]) -> Result<(), StoreError> {
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
                    .push_bind(terms.and_then(|terms| micros(terms.window.open_at())))
                    .push_bind(terms.and_then(|terms| micros(terms.window.close_at())));
            });
            sql.build().execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn journal(
        &mut self,
        show: &ShowId,
        after: u64,
        until: u64,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let sql = format!(
            "SELECT {JOURNAL_COLUMNS} FROM journal \
             WHERE show_id = ? AND seq > ? AND seq <= ? ORDER BY seq"
        );
        let query = sqlx::query_as(&sql).bind(show.as_str().as_bytes());
        let query = query.bind(after).bind(until);
        Ok(query.fetch_all(&mut self.connection).await?)
    }
}
