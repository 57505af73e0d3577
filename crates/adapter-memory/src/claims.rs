//! Which worker has which lane, as the books are for shows.

use std::collections::BTreeMap;

use domain::claims::{Claim, LaneClaim, Member, Roster};
use domain::order::Lane;
use domain::receipt::ProcessId;

/// What the workers said, and who has which lane.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) members: BTreeMap<ProcessId, Member>,
    pub(crate) lanes: BTreeMap<Lane, LaneClaim>,
}

impl Claims {
    /// Whether no other claim followed.
    pub(crate) fn is_current(&self, claim: Claim) -> bool {
        self.number(claim.lane) == claim.number
    }

    pub(crate) fn number(&self, lane: Lane) -> u64 {
        self.lanes.get(&lane).map_or(0, |claim| claim.number)
    }

    pub(crate) fn roster(&self) -> Roster {
        Roster {
            members: self.members.values().copied().collect(),
            claims: self.lanes.values().copied().collect(),
        }
    }
}
