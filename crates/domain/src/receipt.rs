//! Ticket ids: they prove by themselves that they were issued, and keep to themselves what they
//! carry (ADR 26).
//!
//! An id is a UUID of version 8 (RFC 9562, section 5.8) with 122 bits of our own,
//! from the most significant on:
//!
//! | bits | time-ordered id | keyed id |
//! |---|---|---|
//! | 43 | milliseconds since 1970 | hash |
//! | 5 | sealed | sealed |
//! | 4 | version, `8` | version, `8` |
//! | 1 | `0` | `1` |
//! | 11 | sealed | sealed |
//! | 2 | variant, `0b10` | variant, `0b10` |
//! | 62 | sealed | sealed |
//!
//! The 78 sealed bits are encrypted (`key`). Only a process with the secret can read them:
//!
//! | bits | time-ordered id | keyed id |
//! |---|---|---|
//! | 1 | class, 0 is `high` | hash |
//! | 6 | lane | hash |
//! | 9 | counter | hash |
//! | 28 | process | hash |
//! | 24 | zeros | zeros |
//! | 10 | hash of the user's id | hash of the user's id |
//!
//! The zeros are the check: what nobody sealed has them once in 2^24. The hashes are keyed.
//!
//! **Guessing.** The time is in front, readable, so that rows lie in the sequence in which they
//! are written. All else of an id is as good as random to everybody else, and one id tells
//! nothing about the next: an attacker who knows the millisecond of somebody's order hits its id
//! once in 2^78 guesses. Once in 2^24 a guess passes the check, and gains the answer
//! `processing` for a ticket that nobody has.
//!
//! **Collisions.** Inside of a process there are none: milliseconds and counter are one number
//! that only grows (512 ids per millisecond; a process that issues more borrows from the next
//! one), and sealing maps no two of them to one. Two processes collide only if they drew the same
//! 28-bit process part: with 20 processes at a time and 1,000 process starts a year, 20,000 pairs
//! meet in a year, so the chance that any pair ever shares a part is 20,000 / 2^28, once in 13,000
//! years, whatever the rate of orders. Keyed ids have 87 bits of hash, and those of two users 10
//! bits more: after five years at 50,000 a second (8 * 10^12 of them) the chance of any collision
//! is (8 * 10^12)^2 / 2^98, two in ten thousand. The milliseconds last until the year 2248.

mod key;
mod opened;
mod ticket_id;
mod unsealed;

use std::sync::atomic::{AtomicU64, Ordering};

use self::key::Key;
use self::opened::{OWNER, OWNER_BITS, Waiting, owner};
use self::ticket_id::{FRONT_SHIFT, KEYED, VISIBLE};
use crate::ids::UserId;
use crate::lane::{Lane, MAX_LANES};
use crate::time::Timestamp;
use crate::user::PriorityClass;

pub use self::opened::Opened;
pub use self::ticket_id::{MalformedTicketId, TicketId};

/// The longest `Idempotency-Key`, in characters.
pub const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;
/// The shortest secret that signs ids, in bytes.
pub const MIN_SECRET_LENGTH: usize = 16;

/// Of what is sealed, from the least significant on: owner, check, body.
const CHECK_BITS: u32 = 24;
const CHECK: u128 = ((1 << CHECK_BITS) - 1) << OWNER_BITS;
const BODY_SHIFT: u32 = OWNER_BITS + CHECK_BITS;
const BODY: u128 = (1 << 44) - 1;

/// Of a time-ordered id's body.
const PROCESS_BITS: u32 = 28;
const COUNTER_BITS: u32 = 9;
const LANE_SHIFT: u32 = PROCESS_BITS + COUNTER_BITS;
const CLASS_SHIFT: u32 = LANE_SHIFT + 6;

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
    seal: Key,
    owner: Key,
    idempotency: Key,
    /// Of ids of before they were sealed.
    tag: Key,
}

impl SecretKeys {
    fn derive(secret: &str) -> Self {
        Self {
            seal: Key::derive("tickets 2026 receipt seal v1", secret),
            owner: Key::derive("tickets 2026 receipt owner v1", secret),
            idempotency: Key::derive("tickets 2026 idempotency key v1", secret),
            tag: Key::derive("tickets 2026 receipt tag v1", secret),
        }
    }

    fn sealed(&self, visible: u128, body: u128, user: &UserId) -> TicketId {
        let visible = visible & VISIBLE;
        let open = ((body & BODY) << BODY_SHIFT) | owner(&self.owner, user);
        TicketId::from_parts(visible, self.seal.seal(visible, open))
    }

    fn open(&self, id: TicketId) -> Option<Opened<'_>> {
        let open = self.seal.unseal(id.visible(), id.sealed());
        let body = open >> BODY_SHIFT;
        (open & CHECK == 0).then_some(Opened {
            waiting: (!id.is_keyed()).then_some(Waiting {
                millis: id.visible() >> FRONT_SHIFT,
                is_standard: body >> CLASS_SHIFT != 0,
                lane: (body >> LANE_SHIFT) & u128::from(MAX_LANES - 1),
            }),
            owner: Some((open & OWNER, &self.owner)),
        })
    }

    /// The id of now and the one of before ids were sealed. Of user and key alone: a changed
    /// body must meet the first one's ticket.
    fn keyed_ids(&self, user: &UserId, key: &IdempotencyKey) -> [TicketId; 2] {
        // No identifier contains the zero, so no two pairs look alike.
        let input = [user.as_str().as_bytes(), &[0], key.0.as_bytes()].concat();
        let [before, hash] = self.idempotency.numbers(&input);
        [
            self.sealed(hash | KEYED, hash, user),
            unsealed::keyed(&self.tag, before),
        ]
    }
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
    /// The first seals, all open; never empty.
    keys: Vec<SecretKeys>,
    process: ProcessId,
    /// Milliseconds and counter of the newest id, as one number that only grows.
    newest: AtomicU64,
}

impl Receipts {
    /// The first of `secrets` seals, all of them open.
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

    /// A new id, not earlier than any issued here before, even if the clock went back.
    #[must_use]
    pub fn issue(
        &self,
        now: Timestamp,
        lane: Lane,
        class: PriorityClass,
        user: &UserId,
    ) -> TicketId {
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
            PriorityClass::Standard => 1 << CLASS_SHIFT,
        };
        let body = class
            | (u128::from(lane.index()) << LANE_SHIFT)
            | (counter << PROCESS_BITS)
            | u128::from(self.process.get());
        self.keys[0].sealed(millis << FRONT_SHIFT, body, user)
    }

    /// The ids that this user's `key` stands for: the first is the one to order
    /// under, the others are what it was called under older secrets, and before
    /// ids were sealed.
    #[must_use]
    pub fn keyed(&self, user: &UserId, key: &IdempotencyKey) -> Vec<TicketId> {
        let ids = self.keys.iter().map(|keys| keys.keyed_ids(user, key));
        ids.flatten().collect()
    }

    /// What the id tells; `None` unless some process with one of these secrets issued it.
    #[must_use]
    pub fn open(&self, id: TicketId) -> Option<Opened<'_>> {
        let sealed = self.keys.iter().find_map(|keys| keys.open(id));
        let mut keys = self.keys.iter();
        sealed.or_else(|| keys.find_map(|keys| unsealed::open(&keys.tag, id)))
    }

    /// Whether some process with one of these secrets issued `id`.
    #[must_use]
    pub fn has_issued(&self, id: TicketId) -> bool {
        self.open(id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::lane::Lanes;

    const SECRET: &str = "a secret of the tests";
    const OLDER: &str = "the older secret of all";
    /// In microseconds.
    const NOW: i64 = 1_780_000_000_123_456;

    fn receipts(secrets: &[&str]) -> Receipts {
        Receipts::new(secrets.iter().copied(), ProcessId::new(7)).unwrap()
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn lane(index: u8) -> Lane {
        Lanes::new(64).unwrap().get(index).unwrap()
    }

    fn user(number: u64) -> UserId {
        UserId::from(number)
    }

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::new(text.as_bytes()).unwrap()
    }

    /// An id that is like every other.
    fn any(receipts: &Receipts) -> TicketId {
        receipts.issue(at(NOW), lane(1), PriorityClass::Standard, &user(1))
    }

    #[test]
    fn an_id_carries_time_lane_class_and_something_of_its_user() {
        let receipts = receipts(&[SECRET]);
        for class in PriorityClass::ALL {
            let id = receipts.issue(at(NOW), lane(63), class, &user(1));
            let opened = receipts.open(id).unwrap();
            assert_eq!(opened.issued_at(), Some(at(1_780_000_000_123_000)));
            assert_eq!(opened.class(), Some(class));
            assert_eq!(opened.lane(Lanes::new(64).unwrap()), Some(lane(63)));
            assert_eq!(opened.lane(Lanes::new(63).unwrap()), None);
            assert!(opened.may_be_of(&user(1)));
            assert!(!id.is_keyed());
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(TicketId::from_bytes(id.to_bytes()), Ok(id));
            assert_eq!(&id.to_string()[14..15], "8");
        }
    }

    /// Of a thousand others about one.
    #[test]
    fn an_id_is_hardly_ever_taken_for_that_of_another_user() {
        let receipts = receipts(&[SECRET]);
        for id in [any(&receipts), receipts.keyed(&user(1), &key("k"))[0]] {
            let opened = receipts.open(id).unwrap();
            assert!(opened.may_be_of(&user(1)));
            let mistaken = (2..10_002).filter(|number| opened.may_be_of(&user(*number)));
            let mistaken = mistaken.count();
            assert!((1..25).contains(&mistaken), "{mistaken}");
        }
    }

    #[test]
    fn times_never_go_back_and_ids_never_repeat_even_when_the_clock_goes_back() {
        let receipts = receipts(&[SECRET]);
        let mut ids = HashSet::new();
        let mut latest = None;
        for step in 0..5_000_i64 {
            let now = at(1_000_000 - step);
            let id = receipts.issue(now, lane(0), PriorityClass::High, &user(1));
            let issued_at = receipts.open(id).unwrap().issued_at();
            assert!(issued_at >= latest);
            latest = issued_at;
            assert!(ids.insert(id));
        }
        // 512 in each millisecond.
        assert_eq!(latest, Some(at(1_009_000)));
    }

    #[test]
    fn concurrent_ids_are_distinct() {
        let receipts = receipts(&[SECRET]);
        let mut ids = HashSet::new();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| [(); 1_000].map(|()| any(&receipts))))
                .collect();
            for thread in threads {
                ids.extend(thread.join().unwrap());
            }
        });
        assert_eq!(ids.len(), 8_000);
    }

    #[test]
    fn every_secret_opens_and_the_first_seals() {
        let (old, both, new) = (
            receipts(&[OLDER]),
            receipts(&[SECRET, OLDER]),
            receipts(&[SECRET]),
        );
        let id = any(&old);
        assert!(both.open(id).unwrap().may_be_of(&user(1)));
        assert!(!new.has_issued(id));
        assert!(new.has_issued(any(&both)));
    }

    #[test]
    fn a_changed_bit_is_found_out() {
        let receipts = receipts(&[SECRET]);
        let keyed = receipts.keyed(&user(1), &key("k"));
        for id in keyed.into_iter().chain([any(&receipts)]) {
            assert!(receipts.has_issued(id));
            for bit in 0..128 {
                let forged = id.bits() ^ (1 << bit);
                let recognised = TicketId::from_bytes(forged.to_be_bytes())
                    .is_ok_and(|id| receipts.has_issued(id));
                assert!(!recognised, "{id}: bit {bit}");
            }
        }
    }

    /// With the right time, and always the same ones.
    #[test]
    fn guesses_are_found_out() {
        const GUESSES: u128 = 300_000;
        let receipts = receipts(&[SECRET]);
        let visible = any(&receipts).bits() & VISIBLE;
        let guesser = Key::derive("tickets 2026 test guesses", "");
        for guess in 0..GUESSES {
            let sealed = guesser.number(&guess.to_be_bytes());
            let id = TicketId::from_parts(visible, sealed);
            assert!(!receipts.has_issued(id), "{id}");
        }
    }

    /// Of one user, in one line and one millisecond, which is all that ids can have in common.
    #[test]
    fn ids_have_nothing_in_common_but_the_time() {
        const OF_EACH: usize = 500;
        const PROCESSES: u32 = 20;
        let ids: Vec<_> = (0..PROCESSES)
            .flat_map(|process| {
                let receipts = Receipts::new([SECRET], ProcessId::new(process)).unwrap();
                [(); OF_EACH].map(|()| any(&receipts))
            })
            .collect();
        assert_eq!(HashSet::<_>::from_iter(&ids).len(), 10_000);
        assert!(
            ids.iter()
                .all(|id| (id.bits() ^ ids[0].bits()) & VISIBLE == 0)
        );
        for bit in 0..78 {
            let ones = ids.iter().filter(|id| id.sealed() >> bit & 1 == 1);
            let ones = ones.count();
            assert!((4_500..5_500).contains(&ones), "bit {bit}: {ones}");
        }
        // One follows the other.
        let differing = ids.windows(2).map(|two| two[0].sealed() ^ two[1].sealed());
        let differing: u32 = differing.map(u128::count_ones).sum();
        let each = f64::from(differing) / 9_999.0;
        assert!((38.0..40.0).contains(&each), "{each}");
    }

    #[test]
    fn a_key_names_one_ticket_per_user() {
        let receipts = receipts(&[SECRET, OLDER]);
        let ids = receipts.keyed(&user(1), &key("k"));
        assert_eq!(ids, receipts.keyed(&user(1), &key("k")));
        // Under each secret, sealed and as before.
        assert_eq!(HashSet::<_>::from_iter(&ids).len(), 4);
        assert_ne!(ids, receipts.keyed(&user(2), &key("k")));
        assert_ne!(ids, receipts.keyed(&user(1), &key("l")));
        for id in ids {
            let opened = receipts.open(id).unwrap();
            assert!(id.is_keyed());
            assert_eq!(opened.issued_at(), None);
            assert_eq!(opened.class(), None);
            assert_eq!(opened.lane(Lanes::new(64).unwrap()), None);
        }
    }

    /// These were issued by the version before.
    #[test]
    fn ids_of_before_they_were_sealed_stay_valid() {
        let id = |text: &str| text.parse::<TicketId>().unwrap();
        let lanes = Lanes::new(64).unwrap();
        let receipts = receipts(&[SECRET, OLDER]);
        let millisecond = at(1_780_000_000_123_000);
        for (text, issued_at, index, class) in [
            (
                "019e7044-887b-8000-bf00-00007c1abe26",
                millisecond,
                63,
                PriorityClass::High,
            ),
            (
                "019e7044-887b-8401-8500-000078270ecc",
                millisecond,
                5,
                PriorityClass::Standard,
            ),
            (
                "00000000-0000-8401-81ff-fffff1c66d2f",
                at(0),
                1,
                PriorityClass::Standard,
            ),
        ] {
            let opened = receipts.open(id(text)).unwrap();
            assert_eq!(opened.issued_at(), Some(issued_at));
            assert_eq!(opened.lane(lanes), Some(lane(index)));
            assert_eq!(opened.class(), Some(class));
            // It does not say whose it is.
            assert!((0..100).all(|number| opened.may_be_of(&user(number))));
        }
        let keyed = id("7191ae15-449f-8a74-bd6b-c5b9afdaa694");
        assert_eq!(receipts.open(keyed).unwrap().class(), None);
        assert_eq!(receipts.keyed(&user(1), &key("k"))[1], keyed);
    }

    #[test]
    fn malformed_keys_and_secrets_are_refused() {
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
