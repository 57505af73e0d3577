//! What an id tells.

use super::key::Key;
use crate::ids::UserId;
use crate::lane::{Lane, Lanes};
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// How much of its user an id has.
pub(super) const OWNER_BITS: u32 = 10;
pub(super) const OWNER: u128 = (1 << OWNER_BITS) - 1;

/// Those bits of a user's id.
pub(super) fn owner(key: &Key, user: &UserId) -> u128 {
    key.number(user.as_str().as_bytes()) & OWNER
}

/// What an id tells a process that has its secret.
#[derive(Clone, Copy)]
pub struct Opened<'a> {
    /// `None` for a keyed id.
    pub(super) waiting: Option<Waiting>,
    /// What is known of its user, and the key to compare it; `None` for an id of before ids
    /// were sealed.
    pub(super) owner: Option<(u128, &'a Key)>,
}

/// Since when and where the order of a time-ordered id waits.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) millis: u128,
    pub(super) is_standard: bool,
    pub(super) lane: u128,
}

impl Opened<'_> {
    /// When the id was issued, to the millisecond; `None` for a keyed id.
    #[must_use]
    pub fn issued_at(&self) -> Option<Timestamp> {
        let millis = i64::try_from(self.waiting?.millis).ok()?;
        Timestamp::from_micros(millis.checked_mul(1_000)?).ok()
    }

    /// The class the order waits in; `None` for a keyed id.
    #[must_use]
    pub fn class(&self) -> Option<PriorityClass> {
        Some(if self.waiting?.is_standard {
            PriorityClass::Standard
        } else {
            PriorityClass::High
        })
    }

    /// The lane the order waits in; `None` for a keyed id, and when there are
    /// fewer `lanes` by now.
    #[must_use]
    pub fn lane(&self, lanes: Lanes) -> Option<Lane> {
        lanes.get(u8::try_from(self.waiting?.lane).ok()?)
    }

    /// Whether nobody can guess it: ids of before are not sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.owner.is_some()
    }

    /// Whether the order may be that user's. Of other users it says so by mistake for one in
    /// 1,024, and of all for an id of before ids were sealed.
    #[must_use]
    pub fn may_be_of(&self, user: &UserId) -> bool {
        self.owner
            .is_none_or(|(bits, key)| owner(key, user) == bits)
    }
}
