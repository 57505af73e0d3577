//! Shows and their counters.

use adapter_sql::chunks::{padded, repeated};
use adapter_sql::row::{SHOW_COLUMNS, ShowRow};
use adapter_sql::statements::{IfLocked, LockedShows, ShowStatements};
use async_trait::async_trait;
use domain::claims::Claim;
use domain::ids::ShowId;
use domain::rule::{ShowLedger, ShowSaved};
use sqlx::{FromRow, QueryBuilder, Row};

use super::{SERVER_MICROS, micros, push_list, rows};
use crate::error::StoreError;
use crate::session::Session;

#[async_trait]
impl ShowStatements for Session {
    async fn lock_shows(
        &mut self,
        ids: &[&ShowId],
        if_locked: IfLocked,
    ) -> Result<LockedShows, StoreError> {
        // Along the primary key, whatever the optimizer thinks of a small table.
        let mut sql = QueryBuilder::new(format!(
            "SELECT {SHOW_COLUMNS}, {SERVER_MICROS} AS server_micros \
             FROM shows FORCE INDEX (PRIMARY) WHERE id IN "
        ));
        let ids = padded(ids).into_iter();
        push_list(&mut sql, ids.map(|id| id.as_str().as_bytes()));
        sql.push(" ORDER BY id FOR UPDATE ").push(match if_locked {
            IfLocked::Wait => "",
            IfLocked::Skip => "SKIP LOCKED",
        });
        let found = sql.build().fetch_all(&mut self.connection).await?;
        let last = found.last();
        let server_micros = last.map(|row| row.try_get("server_micros")).transpose()?;
        let rows: Result<_, _> = found.iter().map(ShowRow::from_row).collect();
        Ok(LockedShows {
            rows: rows?,
            server_micros,
        })
    }

    async fn shows(&mut self, ids: &[ShowId]) -> Result<Vec<ShowRow>, StoreError> {
        let ids = padded(ids).into_iter();
        let sql = format!("SELECT {SHOW_COLUMNS} FROM shows WHERE id IN ");
        let mut sql = QueryBuilder::new(sql);
        push_list(&mut sql, ids.map(|id| id.as_str().as_bytes()));
        let query = sql.build_query_as();
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn shows_after(
        &mut self,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<ShowRow>, StoreError> {
        let sql = format!("SELECT {SHOW_COLUMNS} FROM shows WHERE id > ? ORDER BY id LIMIT ?");
        let query = sqlx::query_as(&sql).bind(after).bind(rows(limit));
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn show_seq(&mut self, id: &ShowId) -> Result<Option<u64>, StoreError> {
        let query = sqlx::query_scalar("SELECT seq FROM shows WHERE id = ?");
        let query = query.bind(id.as_str().as_bytes());
        Ok(query.fetch_optional(&mut self.connection).await?)
    }

    async fn insert_show(&mut self, saved: &ShowSaved) -> Result<(), StoreError> {
        let ShowSaved { show, ledger, .. } = saved;
        let terms = ledger.terms();
        let seats = ledger.seats();
        let sql = format!(
            "INSERT INTO shows ({SHOW_COLUMNS}) VALUES ({})",
            repeated("?", 11)
        );
        sqlx::query(&sql)
            .bind(show.id.as_str().as_bytes())
            .bind(show.title.as_str())
            .bind(terms.capacity.seats())
            .bind(terms.max_per_user.get())
            .bind(terms.hold.seconds())
            .bind(micros(terms.window.open_at()))
            .bind(micros(terms.window.close_at()))
            .bind(seats.available)
            .bind(seats.held)
            .bind(seats.sold)
            .bind(ledger.seq())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn update_show(&mut self, saved: &ShowSaved) -> Result<(), StoreError> {
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
        .bind(micros(terms.window.open_at()))
        .bind(micros(terms.window.close_at()))
        .bind(ledger.seats().available)
        .bind(ledger.seq())
        .bind(show.id.as_str().as_bytes())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// The claim is compared here because it costs nothing: no round trip, one row of 64 that
    /// is always in memory. And because it is right here: the show is locked, and READ
    /// COMMITTED reads the number as it is committed by now. Once a later claim has decided
    /// something of the show, it had been committed before that, so it is seen. Nothing is locked
    /// by that reading, so nobody who takes a lane waits for who decides it.
    async fn update_counters(
        &mut self,
        ledger: &ShowLedger,
        claim: Option<Claim>,
    ) -> Result<bool, StoreError> {
        const UPDATE: &str =
            "UPDATE shows SET available = ?, held = ?, sold = ?, seq = ? WHERE id = ?";
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
            update.execute(&mut self.connection).await?;
            return Ok(true);
        };
        let update = update.bind(claim.lane.index()).bind(claim.number);
        let updated = update.execute(&mut self.connection).await?;
        Ok(updated.rows_affected() > 0)
    }
}
