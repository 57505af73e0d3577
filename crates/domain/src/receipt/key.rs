//! What is done with a secret: numbers that only its holder can compute, and the seal of an id.
//!
//! **The seal** is a permutation of 78 bits for each tweak, which is the id's visible bits: a
//! balanced Feistel network of two halves of 39 bits, whose round function is keyed BLAKE3 of
//! tweak, round and half. What it hides has 24 bits that are zero, so that an id that nobody
//! issued is found out when it is opened (encode, then encipher: Bellare and Rogaway, 2000).
//!
//! **Six rounds.** Luby and Rackoff (1988) proved four against chosen plaintexts and ciphertexts,
//! but only for far fewer than 2^(39/2) ids and guesses of one millisecond, which a client sends
//! in seconds. Six hold while they are far fewer than 2^39 (Patarin, "Security of Random Feistel
//! Schemes with 5 or More Rounds", CRYPTO 2004): at 90,000 guesses a second, all of the same
//! millisecond, that is 70 days. The best attack that is known takes 2^78.

/// Below this each half of what is sealed.
const HALF_BITS: u32 = 39;
const HALF: u128 = (1 << HALF_BITS) - 1;
const ROUNDS: u128 = 6;

/// A secret for one purpose.
pub(super) struct Key([u8; 32]);

impl Key {
    /// `purpose` must be the project's own and of one use, as [`blake3::derive_key`] asks for.
    pub(super) fn derive(purpose: &str, secret: &str) -> Self {
        Self(blake3::derive_key(purpose, secret.as_bytes()))
    }

    /// A number of 128 bits for each input, random to everybody else.
    pub(super) fn number(&self, input: &[u8]) -> u128 {
        let [number, _] = self.numbers(input);
        number
    }

    /// Two of them.
    pub(super) fn numbers(&self, input: &[u8]) -> [u128; 2] {
        let hash = blake3::keyed_hash(&self.0, input);
        let (halves, _) = hash.as_bytes().as_chunks();
        [0, 1].map(|half| u128::from_be_bytes(halves[half]))
    }

    /// Seals 78 bits. The lowest 42 bits of the tweak must be zero.
    pub(super) fn seal(&self, tweak: u128, open: u128) -> u128 {
        let (left, right) = (0..ROUNDS).fold(halves(open), |(left, right), round| {
            (right, left ^ self.round(tweak, round, right))
        });
        (left << HALF_BITS) | right
    }

    /// What [`Self::seal`] made this of.
    pub(super) fn unseal(&self, tweak: u128, sealed: u128) -> u128 {
        let (left, right) = (0..ROUNDS)
            .rev()
            .fold(halves(sealed), |(left, right), round| {
                (right ^ self.round(tweak, round, left), left)
            });
        (left << HALF_BITS) | right
    }

    fn round(&self, tweak: u128, round: u128, half: u128) -> u128 {
        let input = tweak | (round << HALF_BITS) | half;
        self.number(&input.to_be_bytes()) & HALF
    }
}

fn halves(bits: u128) -> (u128, u128) {
    ((bits >> HALF_BITS) & HALF, bits & HALF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEALED: u128 = (1 << (2 * HALF_BITS)) - 1;
    const TWEAK: u128 = u128::MAX << 85;

    fn key() -> Key {
        Key::derive("tickets 2026 test seal", "a secret of the tests")
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_sealed_is_opened_with_the_same_tweak_only(tweak: u128, other: u128, open: u128) {
            let (tweak, other, open) = (tweak & TWEAK, other & TWEAK, open & SEALED);
            let sealed = key().seal(tweak, open);
            prop_assert!(sealed <= SEALED);
            prop_assert_eq!(key().unseal(tweak, sealed), open);
            prop_assert_eq!(key().seal(tweak, key().unseal(tweak, open)), open);
            prop_assume!(other != tweak);
            prop_assert_ne!(key().unseal(other, sealed), open);
        }
    }

    /// Each bit of what is sealed, and of the tweak, changes each bit of the seal half of the time.
    #[test]
    fn a_changed_bit_changes_half_of_the_bits() {
        const SAMPLES: u128 = 2_000;
        let changes = (0..78).map(|bit| (0, 1 << bit));
        let changes = changes.chain((85..128).map(|bit| (1 << bit, 0)));
        for (tweak_change, open_change) in changes {
            let mut changed = [0_u32; 78];
            for sample in 0..SAMPLES {
                let open = key().number(&sample.to_be_bytes()) & SEALED;
                let sealed = key().seal(0, open) ^ key().seal(tweak_change, open ^ open_change);
                for (bit, changed) in changed.iter_mut().enumerate() {
                    *changed += u32::from(sealed >> bit & 1 == 1);
                }
            }
            // Five times the standard deviation, which is 22.
            let is_even = changed.iter().all(|times| (880..1_120).contains(times));
            assert!(is_even, "{tweak_change:x} {open_change:x}: {changed:?}");
        }
    }
}
