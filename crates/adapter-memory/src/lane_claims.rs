//! The claims of lanes.

use async_trait::async_trait;
use domain::claims::{Claim, LaneClaim, Member, Presence, Roster};
use domain::order::Lane;
use domain::ports::{LaneClaims, LaneClaimsError};
use domain::receipt::ProcessId;

use crate::MemoryStore;

#[async_trait]
impl LaneClaims for MemoryStore {
    async fn beat(&self, presence: &Presence) -> Result<Roster, LaneClaimsError> {
        let mut claims = self.claims.write();
        let worker = presence.worker;
        let beat = claims.members.get(&worker).map_or(0, |member| member.beat);
        let member = Member {
            presence: *presence,
            beat: beat + 1,
        };
        claims.members.insert(worker, member);
        Ok(claims.roster())
    }

    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError> {
        let mut claims = self.claims.write();
        if claims.number(lane) != seen {
            return Ok(None);
        }
        let number = seen + 1;
        let taken = LaneClaim {
            lane,
            owner: Some(worker),
            number,
        };
        claims.lanes.insert(lane, taken);
        Ok(Some(Claim { lane, number }))
    }

    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError> {
        let mut claims = self.claims.write();
        if claims.is_current(claim)
            && let Some(lane) = claims.lanes.get_mut(&claim.lane)
        {
            lane.owner = None;
        }
        Ok(())
    }

    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError> {
        let mut claims = self.claims.write();
        claims.members.remove(&worker);
        for lane in claims.lanes.values_mut() {
            lane.owner = lane.owner.filter(|owner| *owner != worker);
        }
        Ok(())
    }

    async fn roster(&self) -> Result<Roster, LaneClaimsError> {
        Ok(self.claims.read().roster())
    }
}
