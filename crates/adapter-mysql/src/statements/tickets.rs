//! Tickets and the journal.

use adapter_sql::chunks::{chunks, padded};
use adapter_sql::row::{
    JOURNAL_COLUMNS, JournalRow, TERMS_SET, TICKET_COLUMNS, TermsRow, TicketRow, change_code,
    class_code, status_code, verdict_code,
};
use adapter_sql::statements::TicketStatements;
use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::journal::{Change, JournalEntry};
use domain::receipt::TicketId;
use domain::show::Terms;
use domain::ticket::{Status, Ticket, Verdict};
use sqlx::QueryBuilder;

use super::{micros, push_list, rows};
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
            let ids = padded(ids).into_iter();
            let sql = format!("SELECT {TICKET_COLUMNS} FROM tickets WHERE id IN ");
            let mut sql = QueryBuilder::new(sql);
            push_list(&mut sql, ids.map(|id| id.to_bytes().to_vec()));
            let query = sql.build_query_as();
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
            let mut sql = QueryBuilder::new("UPDATE tickets SET status = ");
            sql.push_bind(status_code(status));
            sql.push(", version = ").push_bind(version);
            sql.push(" WHERE id IN ");
            push_list(&mut sql, chunk.iter().map(|id| id.to_bytes().to_vec()));
            sql.build().execute(&mut self.connection).await?;
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
        let user = user.as_str().as_bytes();
        let (mut count, mut live) = (0, 0);
        for chunk in chunks(ids) {
            let mut summing = QueryBuilder::new(
                "SELECT CAST(COALESCE(SUM(quantity), 0) AS SIGNED) FROM tickets WHERE id IN ",
            );
            push_list(&mut summing, chunk);
            summing.push(" AND user_id = ").push_bind(user);
            summing.push(" AND status IN (");
            summing.push_bind(status_code(Status::Reserved)).push(", ");
            summing.push_bind(status_code(Status::Confirmed)).push(")");
            let summing = summing.build_query_scalar::<i64>();
            live += summing.fetch_one(&mut self.connection).await?;
            let mut updating = QueryBuilder::new("UPDATE tickets SET user_id = ");
            updating.push_bind(to.as_str().as_bytes());
            updating.push(" WHERE id IN ");
            push_list(&mut updating, chunk);
            updating.push(" AND user_id = ").push_bind(user);
            let updated = updating.build().execute(&mut self.connection).await?;
            count += updated.rows_affected();
        }
        Ok((count, live))
    }

    async fn insert_journal(
        &mut self,
        entries: &[&JournalEntry],
        author: Option<u64>,
    ) -> Result<(), StoreError> {
        for chunk in chunks(entries) {
            let sql = format!("INSERT INTO journal ({JOURNAL_COLUMNS}, author_id) ");
            let mut sql = QueryBuilder::new(sql);
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
                    .push_bind(terms.and_then(|terms| micros(terms.window.close_at())))
                    .push_bind(author);
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
    async fn terms_after(
        &mut self,
        show: &ShowId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TermsRow>, StoreError> {
        let sql = format!(
            "SELECT {JOURNAL_COLUMNS}, name AS author FROM journal \
             LEFT JOIN authors ON authors.id = journal.author_id \
             WHERE show_id = ? AND seq > ? AND kind = ? ORDER BY seq LIMIT ?"
        );
        let query = sqlx::query_as(&sql).bind(show.as_str().as_bytes());
        let query = query.bind(after).bind(TERMS_SET).bind(rows(limit));
        Ok(query.fetch_all(&mut self.connection).await?)
    }
}
