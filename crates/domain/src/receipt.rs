//! Ticket ids that prove by themselves that they were issued.
//!
//! An id is a UUID of version 8 (RFC 9562, section 5.8) with 122 bits of our own,
//! from the most significant on:
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
//! The tag is the keyed BLAKE3 hash of the other bits, cut to 28 bits. Guessing
//! one gains an attacker nothing but the answer `processing` for an id that
//! nobody has.
//!
//! **Collisions.** Inside of a process there are none: milliseconds and counter
//! are one 58-bit number that only grows (1,024 ids per millisecond; a process
//! that issues more borrows from the next one). Two processes collide only if
//! they drew the same 28-bit process part: with 20 processes at a time and 1,000
//! process starts a year, 20,000 pairs meet in a year, so the chance that any
//! pair ever shares a part is 20,000 / 2^28, once in 13,000 years, whatever the
//! rate of orders. Keyed ids have 93 bits of hash: after five years at 50,000 a second
//! (8 * 10^12 of them) the chance of any collision is (8 * 10^12)^2 / 2^94, three in a thousand.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::ids::UserId;
use crate::lane::{Lane, Lanes, MAX_LANES};
use crate::time::Timestamp;
use crate::user::PriorityClass;

/// The longest `Idempotency-Key`, in characters.
pub const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;
/// The shortest secret that signs ids, in bytes.
pub const MIN_SECRET_LENGTH: usize = 16;

const VERSION: u128 = 0x8 << 76;
const VARIANT: u128 = 0b10 << 62;
const FIXED_BITS: u128 = (0xf << 76) | (0b11 << 62);
const KEYED: u128 = 1 << 75;
const STANDARD_CLASS: u128 = 1 << 74;
const TIME_SHIFT: u32 = 80;
const COUNTER_BITS: u32 = 10;
const COUNTER_SHIFT: u32 = 64;
const LANE_SHIFT: u32 = 56;
const PROCESS_BITS: u32 = 28;
const PROCESS_SHIFT: u32 = 28;
const TAG_MASK: u128 = (1 << 28) - 1;

/// Names one ticket for ever; also the buyer's receipt.
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

    /// When the id was issued, to the millisecond; `None` for a keyed id.
    #[must_use]
    pub fn issued_at(self) -> Option<Timestamp> {
        let millis = i64::try_from(self.0 >> TIME_SHIFT).ok()?;
        (!self.is_keyed())
            .then(|| Timestamp::from_micros(millis.checked_mul(1_000)?).ok())
            .flatten()
    }

    /// The class the order waits in; `None` for a keyed id.
    #[must_use]
    pub fn class(self) -> Option<PriorityClass> {
        (!self.is_keyed()).then_some(if self.0 & STANDARD_CLASS == 0 {
            PriorityClass::High
        } else {
            PriorityClass::Standard
        })
    }

    /// The lane the order waits in; `None` for a keyed id, and when there are
    /// fewer `lanes` by now.
    #[must_use]
    pub fn lane(self, lanes: Lanes) -> Option<Lane> {
        let index = u8::try_from((self.0 >> LANE_SHIFT) & u128::from(MAX_LANES - 1)).ok()?;
        (!self.is_keyed()).then(|| lanes.get(index)).flatten()
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

/// A number that tells processes apart: 28 random bits, drawn at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId(u32);

impl ProcessId {
    /// Keeps the lowest 28 bits of `random`.
    #[must_use]
    pub const fn new(random: u32) -> Self {
        Self(random & ((1 << PROCESS_BITS) - 1))
    }

    /// The number, below 2^28.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A client's name for one of its requests: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is not an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// Takes 1 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// [`InvalidIdempotencyKey`] for anything else.
    pub fn new(text: &[u8]) -> Result<Self, InvalidIdempotencyKey> {
        let bounded = (1..=MAX_IDEMPOTENCY_KEY_LENGTH).contains(&text.len());
        match std::str::from_utf8(text) {
            Ok(text) if bounded && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidIdempotencyKey),
        }
    }
}

/// What one secret is turned into: keys for one purpose each.
struct SecretKeys {
    tag: [u8; 32],
    idempotency: [u8; 32],
}

impl SecretKeys {
    fn derive(secret: &str) -> Self {
        Self {
            tag: blake3::derive_key("tickets 2026 receipt tag v1", secret.as_bytes()),
            idempotency: blake3::derive_key("tickets 2026 idempotency key v1", secret.as_bytes()),
        }
    }

    fn tag_of(&self, untagged: u128) -> u128 {
        let hash = blake3::keyed_hash(&self.tag, &untagged.to_be_bytes());
        u128::from(first_u32(hash.as_bytes())) & TAG_MASK
    }

    fn signed(&self, payload: u128) -> TicketId {
        let untagged = (payload & !FIXED_BITS & !TAG_MASK) | VERSION | VARIANT;
        TicketId(untagged | self.tag_of(untagged))
    }

    fn has_signed(&self, id: TicketId) -> bool {
        id.0 & TAG_MASK == self.tag_of(id.0 & !TAG_MASK)
    }

    /// Of user and key alone: a changed body must meet the first one's ticket.
    fn keyed_id(&self, user: &UserId, key: &IdempotencyKey) -> TicketId {
        let mut hasher = blake3::Hasher::new_keyed(&self.idempotency);
        hasher.update(user.as_str().as_bytes());
        // No identifier contains it, so no two pairs look alike.
        hasher.update(&[0]);
        hasher.update(key.0.as_bytes());
        let mut payload = [0; 16];
        hasher.finalize_xof().fill(&mut payload);
        self.signed(u128::from_be_bytes(payload) | KEYED)
    }
}

fn first_u32(bytes: &[u8; 32]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Why secrets cannot sign ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is none.
    #[error("names no secret; give at least one")]
    None,
    /// One is too short to resist guessing.
    #[error("has a secret of {length} bytes; each needs at least {MIN_SECRET_LENGTH}")]
    TooShort {
        /// Length of the refused secret, in bytes.
        length: usize,
    },
}

/// Issues ticket ids and recognises those that any process with the same secrets issued.
pub struct Receipts {
    /// The first signs, all verify; never empty.
    keys: Vec<SecretKeys>,
    process: ProcessId,
    /// Milliseconds and counter of the newest id, as one number that only grows.
    newest: AtomicU64,
}

impl Receipts {
    /// The first of `secrets` signs, all of them verify.
    ///
    /// # Errors
    /// [`SecretsError`] when there is none or one is too short.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = &'a str>,
        process: ProcessId,
    ) -> Result<Self, SecretsError> {
        let keys = secrets
            .into_iter()
            .map(|secret| {
                if secret.len() < MIN_SECRET_LENGTH {
                    return Err(SecretsError::TooShort {
                        length: secret.len(),
                    });
                }
                Ok(SecretKeys::derive(secret))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(SecretsError::None);
        }
        Ok(Self {
            keys,
            process,
            newest: AtomicU64::new(0),
        })
    }

    /// The process part of the ids issued here.
    #[must_use]
    pub const fn process(&self) -> ProcessId {
        self.process
    }

    /// A new id, later than every one issued here before, even if the clock went back.
    #[must_use]
    pub fn issue(&self, now: Timestamp, lane: Lane, class: PriorityClass) -> TicketId {
        let earliest = now.as_millis() << COUNTER_BITS;
        let next = |newest: u64| earliest.max(newest + 1);
        let newest = self
            .newest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |newest| {
                Some(next(newest))
            })
            .map_or(earliest, next);
        let millis = u128::from(newest >> COUNTER_BITS);
        let counter = u128::from(newest & ((1 << COUNTER_BITS) - 1));
        let class = match class {
            PriorityClass::High => 0,
            PriorityClass::Standard => STANDARD_CLASS,
        };
        self.keys[0].signed(
            (millis << TIME_SHIFT)
                | class
                | (counter << COUNTER_SHIFT)
                | (u128::from(lane.index()) << LANE_SHIFT)
                | (u128::from(self.process.get()) << PROCESS_SHIFT),
        )
    }

    /// The ids that this user's `key` stands for: the first is the one to order
    /// under, the others are what it was called under older secrets.
    #[must_use]
    pub fn keyed(&self, user: &UserId, key: &IdempotencyKey) -> Vec<TicketId> {
        self.keys
            .iter()
            .map(|keys| keys.keyed_id(user, key))
            .collect()
    }

    /// Whether some process with one of these secrets issued `id`.
    #[must_use]
    pub fn has_issued(&self, id: TicketId) -> bool {
        self.keys.iter().any(|keys| keys.has_signed(id))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SECRET: &str = "a secret of the tests";

    fn receipts(secrets: &[&str]) -> Receipts {
        Receipts::new(secrets.iter().copied(), ProcessId::new(7)).unwrap()
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn lane(index: u8) -> Lane {
        Lanes::new(64).unwrap().get(index).unwrap()
    }

    #[test]
    fn an_id_carries_time_lane_and_class() {
        let receipts = receipts(&[SECRET]);
        for class in PriorityClass::ALL {
            let id = receipts.issue(at(1_780_000_000_123_456), lane(63), class);
            assert_eq!(id.issued_at(), Some(at(1_780_000_000_123_000)));
            assert_eq!(id.class(), Some(class));
            assert_eq!(id.lane(Lanes::new(64).unwrap()), Some(lane(63)));
            assert_eq!(id.lane(Lanes::new(63).unwrap()), None);
            assert!(!id.is_keyed());
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(TicketId::from_bytes(id.to_bytes()), Ok(id));
            assert_eq!(&id.to_string()[14..15], "8");
        }
    }

    #[test]
    fn ids_grow_and_never_repeat_even_when_the_clock_goes_back() {
        let receipts = receipts(&[SECRET]);
        let mut previous = None;
        for step in 0..5_000_i64 {
            let id = receipts.issue(at(1_000_000 - step), lane(0), PriorityClass::High);
            assert!(Some(id) > previous);
            previous = Some(id);
        }
    }

    #[test]
    fn concurrent_ids_are_distinct() {
        let receipts = receipts(&[SECRET]);
        let mut ids = HashSet::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1_000)
                            .map(|_| receipts.issue(at(0), lane(0), PriorityClass::High))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            for thread in threads {
                ids.extend(thread.join().unwrap());
            }
        });
        assert_eq!(ids.len(), 8_000);
    }

    #[test]
    fn every_secret_verifies_and_the_first_signs() {
        let old = receipts(&["the older secret of all"]);
        let both = receipts(&[SECRET, "the older secret of all"]);
        let new = receipts(&[SECRET]);
        let id = old.issue(at(0), lane(1), PriorityClass::Standard);
        assert!(both.has_issued(id));
        assert!(!new.has_issued(id));
        assert!(new.has_issued(both.issue(at(0), lane(1), PriorityClass::Standard)));
    }

    #[test]
    fn a_changed_bit_is_found_out() {
        let receipts = receipts(&[SECRET]);
        let id = receipts.issue(at(1), lane(1), PriorityClass::Standard);
        for bit in 0..128 {
            let forged = id.0 ^ (1 << bit);
            let recognised =
                TicketId::from_bytes(forged.to_be_bytes()).is_ok_and(|id| receipts.has_issued(id));
            assert!(!recognised, "bit {bit}");
        }
    }

    #[test]
    fn a_key_names_one_ticket_per_user() {
        let receipts = receipts(&[SECRET, "the older secret of all"]);
        let user = |text| UserId::new(text).unwrap();
        let key = |text: &str| IdempotencyKey::new(text.as_bytes()).unwrap();
        let ids = receipts.keyed(&user("a"), &key("k"));
        assert_eq!(ids, receipts.keyed(&user("a"), &key("k")));
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
        assert_ne!(ids, receipts.keyed(&user("b"), &key("k")));
        assert_ne!(ids, receipts.keyed(&user("a"), &key("l")));
        assert!(ids[0].is_keyed() && receipts.has_issued(ids[0]));
        assert_eq!(ids[0].issued_at(), None);
        assert_eq!(ids[0].class(), None);
        assert_eq!(ids[0].lane(Lanes::new(64).unwrap()), None);
    }

    #[test]
    fn malformed_ids_keys_and_secrets_are_refused() {
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
        for key in [&b""[..], b"a b", &[b'x'; 256], "é".as_bytes()] {
            assert_eq!(IdempotencyKey::new(key), Err(InvalidIdempotencyKey));
        }
        let fault = |secrets: &[&str]| {
            Receipts::new(secrets.iter().copied(), ProcessId::new(0))
                .err()
                .unwrap()
        };
        assert_eq!(fault(&[]), SecretsError::None);
        assert_eq!(
            fault(&[SECRET, "short"]),
            SecretsError::TooShort { length: 5 }
        );
    }
}
