//! Holds, and the live seats of users.

use std::collections::BTreeMap;

use adapter_sql::chunks::{chunks, padded, repeated};
use adapter_sql::row::status_code;
use adapter_sql::statements::{Hold, HoldStatements, LiveSeatsRow, SeatsChange};
use async_trait::async_trait;
use domain::ids::{ShowId, UserId};
use domain::ticket::Status;
use domain::time::Timestamp;
use sqlx::QueryBuilder;

use super::{push_list, rows};
use crate::error::StoreError;
use crate::session::Session;

#[async_trait]
impl HoldStatements for Session {
    /// One row is read for each show that has holds at all.
    async fn shows_with_due_holds(
        &mut self,
        now: Timestamp,
        limit: u64,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let query = sqlx::query_scalar(
            "SELECT show_id FROM holds GROUP BY show_id HAVING MIN(expires_at) <= ? \
             ORDER BY MIN(expires_at) LIMIT ?",
        );
        let query = query.bind(now.as_micros()).bind(limit);
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn due_holds(
        &mut self,
        shows: &[ShowId],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let shows = padded(shows).into_iter();
        let mut sql = QueryBuilder::new("SELECT ticket_id FROM holds WHERE show_id IN ");
        push_list(&mut sql, shows.map(|show| show.as_str().as_bytes()));
        sql.push(" AND expires_at <= ").push_bind(now.as_micros());
        sql.push(" ORDER BY expires_at, ticket_id LIMIT ")
            .push_bind(rows(limit));
        let query = sql.build_query_scalar();
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn due_holds_of(
        &mut self,
        show: &ShowId,
        users: &[&UserId],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut due = Vec::new();
        for users in users.chunks(1_024) {
            let users = padded(users).into_iter();
            let mut sql = QueryBuilder::new(
                "SELECT id FROM tickets FORCE INDEX (tickets_of_user) WHERE user_id IN ",
            );
            push_list(&mut sql, users.map(|user| user.as_str().as_bytes()));
            sql.push(" AND show_id = ")
                .push_bind(show.as_str().as_bytes())
                .push(" AND status = ")
                .push_bind(status_code(Status::Reserved))
                .push(" AND hold_expires_at <= ")
                .push_bind(now.as_micros());
            let query = sql.build_query_scalar();
            due.extend(query.fetch_all(&mut self.connection).await?);
        }
        Ok(due)
    }

    async fn insert_holds(&mut self, holds: &[Hold<'_>]) -> Result<(), StoreError> {
        for chunk in chunks(holds) {
            let mut sql = QueryBuilder::new("INSERT INTO holds (ticket_id, show_id, expires_at) ");
            sql.push_values(chunk, |mut row, (id, show, expires)| {
                row.push_bind(id.to_bytes().to_vec())
                    .push_bind(show.as_str().as_bytes())
                    .push_bind(expires.as_micros());
            });
            sql.build().execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn delete_holds(&mut self, tickets: &[Vec<u8>]) -> Result<(), StoreError> {
        for chunk in chunks(tickets) {
            let mut sql = QueryBuilder::new("DELETE FROM holds WHERE ticket_id IN ");
            push_list(&mut sql, chunk);
            sql.build().execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn delete_holds_of_shows(&mut self, shows: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut sql = QueryBuilder::new("DELETE FROM holds WHERE show_id IN ");
        push_list(&mut sql, padded(shows));
        sql.build().execute(&mut self.connection).await?;
        Ok(())
    }

    async fn live_seats(
        &mut self,
        users: &BTreeMap<&ShowId, Vec<&UserId>>,
    ) -> Result<Vec<LiveSeatsRow>, StoreError> {
        /// From so many users on, a show has a statement of its own.
        const MANY: usize = 16;

        let mut found = Vec::new();
        let mut few = Vec::new();
        for (show, users) in users {
            if users.len() < MANY {
                few.extend(users.iter().map(|user| (show, user)));
                continue;
            }
            let users = padded(users).into_iter();
            let sql = "SELECT show_id, user_id, seats FROM live_seats WHERE show_id = ";
            let mut sql = QueryBuilder::new(sql);
            sql.push_bind(show.as_str().as_bytes());
            sql.push(" AND user_id IN ");
            push_list(&mut sql, users.map(|user| user.as_str().as_bytes()));
            let query = sql.build_query_as();
            found.extend(query.fetch_all(&mut self.connection).await?);
        }
        if !few.is_empty() {
            // MariaDB compares each row that it finds with half of such a list.
            let few = padded(&few);
            let sql = format!(
                "SELECT show_id, user_id, seats FROM live_seats WHERE (show_id, user_id) IN ({})",
                repeated("(?,?)", few.len())
            );
            let mut query = sqlx::query_as(&sql);
            for (show, user) in few {
                query = query
                    .bind(show.as_str().as_bytes())
                    .bind(user.as_str().as_bytes());
            }
            found.extend(query.fetch_all(&mut self.connection).await?);
        }
        Ok(found)
    }

    async fn add_live_seats(&mut self, changes: &[SeatsChange<'_>]) -> Result<(), StoreError> {
        for chunk in chunks(changes) {
            let mut sql = QueryBuilder::new("INSERT INTO live_seats (show_id, user_id, seats) ");
            sql.push_values(chunk, |mut row, ((show, user), seats)| {
                row.push_bind(show.as_str().as_bytes())
                    .push_bind(user.as_str().as_bytes())
                    .push_bind(*seats);
            });
            sql.push(" ON DUPLICATE KEY UPDATE seats = seats + VALUES(seats)");
            sql.build().execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn delete_no_live_seats(
        &mut self,
        show: &ShowId,
        user: &UserId,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM live_seats WHERE show_id = ? AND user_id = ? AND seats = 0")
            .bind(show.as_str().as_bytes())
            .bind(user.as_str().as_bytes())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}
