//! The claims of lanes.

use async_trait::async_trait;
use domain::claims::{Claim, LaneClaim, Member, Presence, Roster};
use domain::order::Lane;
use domain::ports::{LaneClaims, LaneClaimsError};
use domain::receipt::ProcessId;

use super::claims::Claims;
use super::{Down, SimStore};
use crate::mistake::Mistake;

fn unavailable(down: Down) -> LaneClaimsError {
    LaneClaimsError::Unavailable(down.into())
}

impl SimStore {
    /// Changes the claims at one instant between question and answer.
    async fn change<T>(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut Claims) -> T,
    ) -> Result<T, LaneClaimsError> {
        self.reach(what).await.map_err(unavailable)?;
        let changed = change(&mut self.world().tables.lock().claims);
        self.node.step("store: has changed claims").await;
        if self.world().happens(|weather| weather.answers_lost) {
            return Err(unavailable(Down));
        }
        Ok(changed)
    }
}

#[async_trait]
impl LaneClaims for SimStore {
    async fn beat(&self, presence: &Presence) -> Result<Roster, LaneClaimsError> {
        self.change("store: keeps a beat", |claims| {
            let worker = presence.worker;
            let beat = claims.members.get(&worker).map_or(0, |member| member.beat);
            let member = Member {
                presence: *presence,
                beat: beat + 1,
            };
            claims.members.insert(worker, member);
            claims.roster()
        })
        .await
    }

    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError> {
        let world = self.world();
        self.change("store: takes a lane", |claims| {
            if claims.number(lane) != seen && !world.has(Mistake::TakesWithoutComparing) {
                return None;
            }
            let number = seen + 1;
            let taken = LaneClaim {
                lane,
                owner: Some(worker),
                number,
            };
            claims.lanes.insert(lane, taken);
            let claim = Claim { lane, number };
            let before = claims.given.insert(claim, worker);
            world.check(
                before.is_none(),
                format_args!("{claim:?} was given to {before:?}, and now to {worker:?}"),
            );
            Some(claim)
        })
        .await
    }

    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError> {
        let world = self.world();
        self.change("store: gives a lane back", |claims| {
            if claims.number(claim.lane) == claim.number
                && let Some(lane) = claims.lanes.get_mut(&claim.lane)
            {
                lane.owner = None;
                if world.has(Mistake::NumbersComeBack) {
                    lane.number = 0;
                }
            }
        })
        .await
    }

    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError> {
        self.change("store: forgets a worker", |claims| {
            claims.members.remove(&worker);
            for lane in claims.lanes.values_mut() {
                lane.owner = lane.owner.filter(|owner| *owner != worker);
            }
        })
        .await
    }

    async fn roster(&self) -> Result<Roster, LaneClaimsError> {
        self.read("store: reads the claims", |tables| tables.claims.roster())
            .await
            .map_err(unavailable)
    }
}
