//! The id of a ticket: a UUID of version 8 (RFC 9562, section 5.8).

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Where the 43 bits in front begin.
pub(super) const FRONT_SHIFT: u32 = 85;
/// Tells keyed ids from time-ordered ones. It was the same bit before ids were sealed.
pub(super) const KEYED: u128 = 1 << 75;

/// What is not sealed, beside version and variant: the bits in front, and [`KEYED`].
pub(super) const VISIBLE: u128 = (u128::MAX << FRONT_SHIFT) | KEYED;

const VERSION: u128 = 0x8 << 76;
const VARIANT: u128 = 0b10 << 62;
const FIXED_BITS: u128 = (0xf << 76) | (0b11 << 62);

/// The sealed bits lie in three pieces between the others: 5, 11 and 62 of them.
const FIRST: u128 = (1 << 5) - 1;
const SECOND: u128 = (1 << 11) - 1;
const THIRD: u128 = (1 << 62) - 1;

/// Names one ticket for ever; also the buyer's receipt.
///
/// By itself it says only whether it [`is_keyed`](Self::is_keyed):
/// [`Receipts::open`](super::Receipts::open) tells the rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId(u128);

/// The text is not a ticket id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a ticket id; give the ticket_id of an order's answer, such as \
     0199a2b4-7d3e-8001-8a5f-3c0d9e412b77"
)]
pub struct MalformedTicketId;

impl TicketId {
    /// The id's 16 bytes, as a store keeps them; they sort like the id.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Takes what [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// [`MalformedTicketId`] when the bytes are not a UUID of version 8.
    pub const fn from_bytes(bytes: [u8; 16]) -> Result<Self, MalformedTicketId> {
        let bits = u128::from_be_bytes(bytes);
        if bits & FIXED_BITS != VERSION | VARIANT {
            return Err(MalformedTicketId);
        }
        Ok(Self(bits))
    }

    /// Whether the id was derived from an `Idempotency-Key` and so carries
    /// neither time nor lane nor class.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        self.0 & KEYED != 0
    }

    /// The id with these bits, but its own version and variant.
    pub(super) const fn from_bits(bits: u128) -> Self {
        Self((bits & !FIXED_BITS) | VERSION | VARIANT)
    }

    pub(super) const fn bits(self) -> u128 {
        self.0
    }

    /// The id with these [`VISIBLE`] bits and these 78 sealed ones.
    pub(super) const fn from_parts(visible: u128, sealed: u128) -> Self {
        let spread =
            ((sealed >> 73) & FIRST) << 80 | ((sealed >> 62) & SECOND) << 64 | (sealed & THIRD);
        Self::from_bits(visible | spread)
    }

    /// The [`VISIBLE`] bits.
    pub(super) const fn visible(self) -> u128 {
        self.0 & VISIBLE
    }

    /// The other 78 bits.
    pub(super) const fn sealed(self) -> u128 {
        ((self.0 >> 80) & FIRST) << 73 | ((self.0 >> 64) & SECOND) << 62 | (self.0 & THIRD)
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TicketId {
    type Err = MalformedTicketId;

    fn from_str(text: &str) -> Result<Self, MalformedTicketId> {
        // Only the hyphenated form: one ticket has one name.
        if text.len() != 36 {
            return Err(MalformedTicketId);
        }
        let uuid = Uuid::try_parse(text).map_err(|_| MalformedTicketId)?;
        Self::from_bytes(uuid.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "1",
            "0199a2b47d3e80018a5f3c0d9e412b77",
            "00000000-0000-0000-0000-000000000000",
            "0199a2b4-7d3e-7001-8a5f-3c0d9e412b77",
            "0199a2b4-7d3e-8001-ca5f-3c0d9e412b77",
        ] {
            assert_eq!(text.parse::<TicketId>(), Err(MalformedTicketId), "{text}");
        }
    }

    #[test]
    fn every_bit_is_fixed_or_visible_or_sealed() {
        let all = TicketId::from_parts(VISIBLE, u128::MAX);
        assert_eq!(all.bits() | FIXED_BITS, u128::MAX);
        for bit in 0..78 {
            let id = TicketId::from_parts(0, 1 << bit);
            assert_eq!((id.visible(), id.sealed()), (0, 1 << bit));
        }
        let visible = TicketId::from_parts(VISIBLE, 0);
        assert_eq!((visible.visible(), visible.sealed()), (VISIBLE, 0));
    }
}
