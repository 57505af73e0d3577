//! The claims of lanes: two small tables, read and changed row by row without a
//! transaction, over a connection that nothing else uses. Deciding compares a claim's number
//! as it writes a show's counters ([`crate::ticket_ledger`]).

use std::time::Instant;

use async_trait::async_trait;
use domain::claims::{Claim, LaneClaim, Member, Presence, Roster};
use domain::order::{Lane, LaneSet, Lanes, MAX_LANES};
use domain::ports::{LaneClaims, LaneClaimsError};
use domain::receipt::ProcessId;
use sqlx::mysql::MySqlConnection;
use tracing::error;

use crate::MySqlStore;
use crate::database::{Database, SERVER_MICROS};
use crate::error::StoreError;
use crate::row::log_once;

impl From<StoreError> for LaneClaimsError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.cause())
    }
}

#[async_trait]
impl LaneClaims for MySqlStore {
    async fn beat(&self, presence: &Presence) -> Result<Roster, LaneClaimsError> {
        Ok(self.db.read(beat(&self.db, presence)).await?)
    }

    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError> {
        let number = seen + 1;
        let taking = sqlx::query(
            "UPDATE lane_claims SET owner = ?, number = ? WHERE lane = ? AND number = ?",
        )
        .bind(worker.get())
        .bind(number)
        .bind(lane.index())
        .bind(seen);
        let taken = self.db.read(execute(&self.db, taking)).await?;
        if taken == 0 && seen == 0 {
            // Somebody else has it, or somebody has deleted the row. A claim of before must not
            // count again, so the numbers go on behind any that there can have been.
            let making = sqlx::query(
                "INSERT IGNORE INTO lane_claims (lane, owner, number) \
                 VALUES (?, NULL, FLOOR(UNIX_TIMESTAMP(NOW(6)) * 1000000))",
            )
            .bind(lane.index());
            self.db.read(execute(&self.db, making)).await?;
        }
        Ok((taken > 0).then_some(Claim { lane, number }))
    }

    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError> {
        let giving =
            sqlx::query("UPDATE lane_claims SET owner = NULL WHERE lane = ? AND number = ?")
                .bind(claim.lane.index())
                .bind(claim.number);
        self.db.read(execute(&self.db, giving)).await?;
        Ok(())
    }

    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError> {
        let freeing =
            sqlx::query("UPDATE lane_claims SET owner = NULL WHERE owner = ?").bind(worker.get());
        self.db.read(execute(&self.db, freeing)).await?;
        let removing = sqlx::query("DELETE FROM workers WHERE id = ?").bind(worker.get());
        self.db.read(execute(&self.db, removing)).await?;
        Ok(())
    }

    async fn roster(&self) -> Result<Roster, LaneClaimsError> {
        let reading = async {
            let mut lease = self.db.lease_claiming().await?;
            let roster = read(&self.db, lease.connection()).await?;
            lease.give_back();
            Ok(roster)
        };
        Ok(self.db.read(reading).await?)
    }
}

type Statement<'a> = sqlx::query::Query<'a, sqlx::MySql, sqlx::mysql::MySqlArguments>;

/// How many rows it found.
async fn execute(db: &Database, statement: Statement<'_>) -> Result<u64, StoreError> {
    let mut lease = db.lease_claiming().await?;
    let done = statement.execute(lease.connection()).await?;
    lease.give_back();
    Ok(done.rows_affected())
}

/// Reads first: whoever cannot, or has another time than the server, is not there.
async fn beat(db: &Database, presence: &Presence) -> Result<Roster, StoreError> {
    let mut lease = db.lease_claiming().await?;
    let mut roster = read(db, lease.connection()).await?;
    sqlx::query(
        "INSERT INTO workers (id, beat, busy, avoids) VALUES (?, 1, ?, ?) \
         ON DUPLICATE KEY UPDATE beat = beat + 1, busy = VALUES(busy), avoids = VALUES(avoids)",
    )
    .bind(presence.worker.get())
    .bind(presence.busy.bits())
    .bind(presence.avoids.bits())
    .execute(lease.connection())
    .await?;
    lease.give_back();
    let is_self = |member: &Member| member.presence.worker == presence.worker;
    let before = roster.members.iter().position(is_self);
    let beat = before.map_or(0, |at| roster.members.swap_remove(at).beat);
    roster.members.push(Member {
        presence: *presence,
        beat: beat + 1,
    });
    Ok(roster)
}

async fn read(db: &Database, connection: &mut MySqlConnection) -> Result<Roster, StoreError> {
    let mut roster = Roster::default();
    let asked = Instant::now();
    let sql = format!("SELECT id, beat, busy, avoids, {SERVER_MICROS} FROM workers");
    let members: Vec<(u32, u64, u64, u64, i64)> =
        sqlx::query_as(&sql).fetch_all(&mut *connection).await?;
    for (id, beat, busy, avoids, server) in members {
        db.checked_now(asked, server)?;
        roster.members.push(Member {
            presence: Presence {
                worker: ProcessId::new(id),
                busy: LaneSet::from_bits(busy),
                avoids: LaneSet::from_bits(avoids),
            },
            beat,
        });
    }
    let claims: Vec<(u8, Option<u32>, u64)> =
        sqlx::query_as("SELECT lane, owner, number FROM lane_claims WHERE number > 0")
            .fetch_all(connection)
            .await?;
    let all = Lanes::new(MAX_LANES);
    for (index, owner, number) in claims {
        let Some(lane) = all.and_then(|all| all.get(index)) else {
            log_once(&format!("lane {index}"), || {
                error!(
                    lane = index,
                    "left out a row of lane_claims that is no lane"
                );
            });
            continue;
        };
        roster.claims.push(LaneClaim {
            lane,
            owner: owner.map(ProcessId::new),
            number,
        });
    }
    Ok(roster)
}
