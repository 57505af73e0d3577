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
        let beating = async |session: &mut E::Session| beat(&self.db, session, presence).await;
        self.db.claiming.run(beating).await.map_err(unavailable)
    }

    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError> {
        let taking = async |session: &mut E::Session| {
            let is_taken = session.take_lane(worker, lane, seen).await?;
            if !is_taken && seen == 0 {
                // Somebody else has it, or somebody has deleted the row. A claim of before must not
                // count again, so the numbers go on behind any that there can have been.
                session.insert_lane(lane).await?;
            }
            let number = seen + 1;
            Ok(is_taken.then_some(Claim { lane, number }))
        };
        self.db.claiming.run(taking).await.map_err(unavailable)
    }

    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError> {
        let giving = async |session: &mut E::Session| session.free_lane(claim).await;
        self.db.claiming.run(giving).await.map_err(unavailable)
    }

    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError> {
        let forgetting = async |session: &mut E::Session| {
            session.free_lanes_of(worker).await?;
            session.delete_worker(worker).await
        };
        self.db.claiming.run(forgetting).await.map_err(unavailable)
    }

    async fn roster(&self) -> Result<Roster, LaneClaimsError> {
        let reading = async |session: &mut E::Session| read(&self.db, session).await;
        self.db.claiming.run(reading).await.map_err(unavailable)
    }
}

/// Reads first: a worker that cannot, or whose clock is off, is not there.
async fn beat<E: Engine>(
    db: &Database<E>,
    session: &mut E::Session,
    presence: &Presence,
) -> Result<Roster, E::Error> {
    let mut roster = read(db, session).await?;
    session.beat(presence).await?;
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
