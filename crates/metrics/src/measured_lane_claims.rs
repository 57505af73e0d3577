//! How long the store takes for claims of lanes: a worker whose beats are late loses its lanes.

use std::sync::Arc;

use async_trait::async_trait;
use domain::claims::{Claim, Presence, Roster};
use domain::order::Lane;
use domain::ports::{LaneClaims, LaneClaimsError};
use domain::receipt::ProcessId;

use crate::StoreSeconds;

/// Measures each operation on claims.
pub struct MeasuredLaneClaims {
    claims: Arc<dyn LaneClaims>,
    seconds: StoreSeconds,
}

impl MeasuredLaneClaims {
    /// Claims in front of `claims`.
    #[must_use]
    pub fn new(claims: Arc<dyn LaneClaims>, seconds: StoreSeconds) -> Self {
        Self { claims, seconds }
    }
}

#[async_trait]
impl LaneClaims for MeasuredLaneClaims {
    async fn beat(&self, presence: &Presence) -> Result<Roster, LaneClaimsError> {
        self.seconds.beat.of(self.claims.beat(presence)).await
    }

    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError> {
        let taking = self.claims.take(worker, lane, seen);
        self.seconds.take_lane.of(taking).await
    }

    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError> {
        let giving = self.claims.give_back(claim);
        self.seconds.give_lane_back.of(giving).await
    }

    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError> {
        let forgetting = self.claims.forget(worker);
        self.seconds.forget_worker.of(forgetting).await
    }

    async fn roster(&self) -> Result<Roster, LaneClaimsError> {
        self.seconds.read_claims.of(self.claims.roster()).await
    }
}
