//! The claims of lanes: two small tables, read and changed row by row without a
//! transaction, over a connection that nothing else uses. Deciding compares a claim's number
//! as it writes a show's counters ([`crate::ticket_ledger`]).

use std::time::Instant;

use async_trait::async_trait;
use domain::claims::{Claim, LaneClaim, Member, Presence, Roster};
use domain::order::{Lane, LaneSet, Lanes, MAX_LANES};
use domain::ports::{LaneClaims, LaneClaimsError};
use domain::receipt::ProcessId;
use tracing::error;

use crate::database::Database;
use crate::engine::Engine;
use crate::error::{SqlError, cause};
use crate::log_once::log_once;
use crate::statements::ClaimStatements;
use crate::store::SqlStore;

fn unavailable(error: impl SqlError) -> LaneClaimsError {
    LaneClaimsError::Unavailable(cause(error))
}

#[async_trait]
impl<E: Engine> LaneClaims for SqlStore<E> {
    async fn beat(&self, presence: &Presence) -> Result<Roster, LaneClaimsError> {
        let beating = self.db.read(beat(&self.db, presence));
        beating.await.map_err(unavailable)
    }

    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError> {
        let taking = self.db.read(take(&self.db, worker, lane, seen));
        taking.await.map_err(unavailable)
    }

    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError> {
        let giving = async {
            let mut lease = self.db.lease_claiming().await?;
            lease.session().free_lane(claim).await?;
            lease.give_back();
            Ok(())
        };
        self.db.read(giving).await.map_err(unavailable)
    }

    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError> {
        let forgetting = async {
            let mut lease = self.db.lease_claiming().await?;
            lease.session().free_lanes_of(worker).await?;
            lease.session().delete_worker(worker).await?;
            lease.give_back();
            Ok(())
        };
        self.db.read(forgetting).await.map_err(unavailable)
    }

    async fn roster(&self) -> Result<Roster, LaneClaimsError> {
        let reading = async {
            let mut lease = self.db.lease_claiming().await?;
            let roster = read(&self.db, lease.session()).await?;
            lease.give_back();
            Ok(roster)
        };
        self.db.read(reading).await.map_err(unavailable)
    }
}

async fn take<E: Engine>(
    db: &Database<E>,
    worker: ProcessId,
    lane: Lane,
    seen: u64,
) -> Result<Option<Claim>, E::Error> {
    let mut lease = db.lease_claiming().await?;
    let is_taken = lease.session().take_lane(worker, lane, seen).await?;
    if !is_taken && seen == 0 {
        // Somebody else has it, or somebody has deleted the row. A claim of before must not
        // count again, so the numbers go on behind any that there can have been.
        lease.session().insert_lane(lane).await?;
    }
    lease.give_back();
    let number = seen + 1;
    Ok(is_taken.then_some(Claim { lane, number }))
}

/// Reads first: a worker that cannot, or whose clock is off, is not there.
async fn beat<E: Engine>(db: &Database<E>, presence: &Presence) -> Result<Roster, E::Error> {
    let mut lease = db.lease_claiming().await?;
    let mut roster = read(db, lease.session()).await?;
    lease.session().beat(presence).await?;
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

async fn read<E: Engine>(db: &Database<E>, session: &mut E::Session) -> Result<Roster, E::Error> {
    let mut roster = Roster::default();
    let asked = Instant::now();
    for row in session.workers().await? {
        db.checked_now(asked, row.server_micros)?;
        roster.members.push(Member {
            presence: Presence {
                worker: ProcessId::new(row.id),
                busy: LaneSet::from_bits(row.busy),
                avoids: LaneSet::from_bits(row.avoids),
            },
            beat: row.beat,
        });
    }
    let all = Lanes::new(MAX_LANES);
    for (index, owner, number) in session.claims().await? {
        let Some(lane) = all.and_then(|all| all.get(index)) else {
            log_once(&format!("lane {index}"), || {
                error!(
                    lane = index,
                    "skipped a row of lane_claims that names no lane"
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
