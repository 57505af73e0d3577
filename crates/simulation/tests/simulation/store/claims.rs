//! What is committed of the claims of lanes.

use std::collections::BTreeMap;

use domain::claims::{Claim, LaneClaim, Member, Roster};
use domain::order::Lane;
use domain::receipt::ProcessId;

/// What workers said, and who has which lane.
#[derive(Default)]
pub(crate) struct Claims {
    pub(super) members: BTreeMap<ProcessId, Member>,
    pub(super) lanes: BTreeMap<Lane, LaneClaim>,
    /// Who ever had which claim.
    pub(super) given: BTreeMap<Claim, ProcessId>,
}

impl Claims {
    pub(super) fn number(&self, lane: Lane) -> u64 {
        self.lanes.get(&lane).map_or(0, |claim| claim.number)
    }

    pub(super) fn roster(&self) -> Roster {
        Roster {
            members: self.members.values().copied().collect(),
            claims: self.lanes.values().copied().collect(),
        }
    }
}
