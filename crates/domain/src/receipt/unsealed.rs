//! Ids as they were before they were sealed: everybody can read them, and a tag of 28 bits proves
//! that they were issued. They stay valid; none is issued any more.
//!
//! | bits | time-ordered id | keyed id |
//! |---|---|---|
//! | 48 | milliseconds since 1970 | hash |
//! | 4 | version, `8` | version, `8` |
//! | 1 | `0` | `1` |
//! | 1 | class, 0 is `high` | hash |
//! | 10 | counter | hash |
//! | 2 | variant, `0b10` | variant, `0b10` |
//! | 6 | lane | hash |
//! | 28 | process | hash |
//! | 28 | tag | tag |
//!
//! The tag is the keyed BLAKE3 hash of the other bits.

use super::key::Key;
use super::opened::{Opened, Waiting};
use super::ticket_id::{KEYED, TicketId};

const TIME_SHIFT: u32 = 80;
const STANDARD_CLASS: u128 = 1 << 74;
const LANE_SHIFT: u32 = 56;
const LANE: u128 = (1 << 6) - 1;
const TAG: u128 = (1 << 28) - 1;

/// The keyed id of that hash.
pub(super) fn keyed(tag: &Key, hash: u128) -> TicketId {
    signed(tag, TicketId::from_bits(hash | KEYED))
}

/// What the id tells, if its tag is right.
pub(super) fn open(tag: &Key, id: TicketId) -> Option<Opened<'static>> {
    let bits = id.bits();
    (signed(tag, id) == id).then_some(Opened {
        waiting: (!id.is_keyed()).then_some(Waiting {
            millis: bits >> TIME_SHIFT,
            is_standard: bits & STANDARD_CLASS != 0,
            lane: (bits >> LANE_SHIFT) & LANE,
        }),
        owner: None,
    })
}

/// The id with the tag that it should have: the last 28 of the hash's first 32 bits.
fn signed(tag: &Key, id: TicketId) -> TicketId {
    let untagged = id.bits() & !TAG;
    let tag = (tag.number(&untagged.to_be_bytes()) >> 96) & TAG;
    TicketId::from_bits(untagged | tag)
}
