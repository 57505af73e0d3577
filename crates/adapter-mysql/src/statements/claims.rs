//! Workers and their claims of lanes.

use adapter_sql::row::WorkerRow;
use adapter_sql::statements::ClaimStatements;
use async_trait::async_trait;
use domain::claims::{Claim, Presence};
use domain::order::Lane;
use domain::receipt::ProcessId;

use super::SERVER_MICROS;
use crate::error::StoreError;
use crate::session::Session;

#[async_trait]
impl ClaimStatements for Session {
    async fn workers(&mut self) -> Result<Vec<WorkerRow>, StoreError> {
        let sql =
            format!("SELECT id, beat, busy, avoids, {SERVER_MICROS} AS server_micros FROM workers");
        Ok(sqlx::query_as(&sql).fetch_all(&mut self.connection).await?)
    }

    async fn claims(&mut self) -> Result<Vec<(u8, Option<u32>, u64)>, StoreError> {
        let query = sqlx::query_as("SELECT lane, owner, number FROM lane_claims WHERE number > 0");
        Ok(query.fetch_all(&mut self.connection).await?)
    }

    async fn beat(&mut self, presence: &Presence) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO workers (id, beat, busy, avoids) VALUES (?, 1, ?, ?) \
             ON DUPLICATE KEY UPDATE beat = beat + 1, busy = VALUES(busy), \
             avoids = VALUES(avoids)",
        )
        .bind(presence.worker.get())
        .bind(presence.busy.bits())
        .bind(presence.avoids.bits())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    async fn take_lane(
        &mut self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<bool, StoreError> {
        let taken = sqlx::query(
            "UPDATE lane_claims SET owner = ?, number = ? WHERE lane = ? AND number = ?",
        )
        .bind(worker.get())
        .bind(seen + 1)
        .bind(lane.index())
        .bind(seen)
        .execute(&mut self.connection)
        .await?;
        Ok(taken.rows_affected() > 0)
    }

    async fn insert_lane(&mut self, lane: Lane) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT IGNORE INTO lane_claims (lane, owner, number) \
             VALUES (?, NULL, FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000000))",
        )
        .bind(lane.index())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    async fn free_lane(&mut self, claim: Claim) -> Result<(), StoreError> {
        sqlx::query("UPDATE lane_claims SET owner = NULL WHERE lane = ? AND number = ?")
            .bind(claim.lane.index())
            .bind(claim.number)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn free_lanes_of(&mut self, worker: ProcessId) -> Result<(), StoreError> {
        sqlx::query("UPDATE lane_claims SET owner = NULL WHERE owner = ?")
            .bind(worker.get())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn delete_worker(&mut self, worker: ProcessId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM workers WHERE id = ?")
            .bind(worker.get())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}
