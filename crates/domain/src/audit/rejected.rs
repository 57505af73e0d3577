//! Which tickets were rejected, in bounded memory.

use std::array;
use std::collections::HashMap;

use crate::receipt::TicketId;

/// Bits for each ticket of a show, as long as there is room for so many.
const BITS_PER_TICKET: u64 = 64;
/// 64 MiB.
const MAX_BLOCKS: u64 = 1 << 20;
/// Enough for the mistakes of 40 million rejected tickets.
const MAX_SUSPECTS: usize = 100_000;

/// Eight words, each of which gets one bit of a ticket: one cache line, so one miss.
type Block = [u64; 8];
const BITS_PER_BLOCK: u64 = 8 * 64;

/// Remembers ids with a Bloom filter (blocked, as of Putze, Sanders and Singler, 2007): it never
/// forgets one, and takes few for one that it remembers. Whatever it takes for one that is
/// decided a second time is a suspect, and counted in a second reading of the history. With
/// five million rejected tickets there is hardly ever a false suspect.
pub(super) struct RejectedTickets {
    blocks: Box<[Block]>,
    /// How often each is decided; bounded.
    suspects: HashMap<TicketId, u64>,
}

impl RejectedTickets {
    /// Of a show with so many changes.
    pub(super) fn among(changes: u64) -> Self {
        let blocks = changes.saturating_mul(BITS_PER_TICKET) / BITS_PER_BLOCK;
        let blocks = blocks.clamp(1, MAX_BLOCKS);
        let blocks = usize::try_from(blocks.next_power_of_two()).unwrap_or(1);
        Self {
            blocks: vec![Block::default(); blocks].into_boxed_slice(),
            suspects: HashMap::new(),
        }
    }

    /// Which block, and what is set in it.
    fn place(&self, id: TicketId) -> (usize, Block) {
        let bytes = id.to_bytes();
        let half = |from: usize| u64::from_be_bytes(array::from_fn(|index| bytes[from + index]));
        let hash = mixed(half(0) ^ mixed(half(8)));
        let mut words = mixed(hash);
        let block = usize::try_from(hash).unwrap_or_default() & (self.blocks.len() - 1);
        let mask = [(); 8].map(|()| {
            let bit = words & 63;
            words >>= 6;
            1 << bit
        });
        (block, mask)
    }

    /// Whether it was perhaps rejected before.
    pub(super) fn may_have(&self, id: TicketId) -> bool {
        let (block, mask) = self.place(id);
        let mut words = self.blocks[block].iter().zip(mask);
        words.all(|(word, bit)| word & bit != 0)
    }

    /// Rejected. One that perhaps was before is a suspect.
    pub(super) fn insert(&mut self, id: TicketId) {
        if self.may_have(id) {
            self.suspect(id);
        }
        let (block, mask) = self.place(id);
        for (word, bit) in self.blocks[block].iter_mut().zip(mask) {
            *word |= bit;
        }
    }

    /// Was perhaps decided twice.
    pub(super) fn suspect(&mut self, id: TicketId) {
        if self.suspects.len() < MAX_SUSPECTS {
            self.suspects.entry(id).or_default();
        }
    }

    pub(super) fn is_suspect(&self, id: TicketId) -> bool {
        self.suspects.contains_key(&id)
    }

    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Counts a decision, in the second reading.
    pub(super) fn count(&mut self, id: TicketId) {
        if let Some(times) = self.suspects.get_mut(&id) {
            *times += 1;
        }
    }

    /// Once for each time that a ticket was decided again.
    pub(super) fn decided_again(self) -> impl Iterator<Item = TicketId> {
        let suspects = self.suspects.into_iter();
        suspects.flat_map(|(id, times)| (1..times).map(move |_| id))
    }
}

/// Spreads what differs in a few bits over all (the finalizer of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;
    use crate::order::Lanes;
    use crate::receipt::{ProcessId, Receipts};
    use crate::time::Timestamp;
    use crate::user::PriorityClass;

    fn ids(count: u64) -> impl Iterator<Item = TicketId> {
        let receipts = Receipts::new(["a secret of the tests"], ProcessId::new(7)).unwrap();
        let lane = Lanes::new(1).unwrap().get(0).unwrap();
        let user = UserId::from(1);
        let micros = (0..count).map(|number| i64::try_from(number * 15).unwrap());
        micros.map(move |micros| {
            let now = Timestamp::from_micros(micros).unwrap();
            receipts.issue(now, lane, PriorityClass::Standard, &user)
        })
    }

    #[test]
    fn none_is_forgotten_and_hardly_one_is_mistaken() {
        const COUNT: u64 = 200_000;
        let mut rejected = RejectedTickets::among(COUNT);
        for id in ids(COUNT) {
            rejected.insert(id);
        }
        assert!(rejected.suspects.len() < 5, "{}", rejected.suspects.len());
        assert!(ids(COUNT).all(|id| rejected.may_have(id)));
    }

    #[test]
    fn its_memory_is_bounded_and_what_is_decided_again_is_counted() {
        assert_eq!(RejectedTickets::among(u64::MAX).blocks.len(), 1 << 20);
        let mut rejected = RejectedTickets::among(1);
        for id in ids(10_000) {
            rejected.insert(id);
        }
        // Full, and nothing is lost by that.
        for id in ids(10_000).chain(ids(3)) {
            rejected.count(id);
        }
        let mut again: Vec<_> = rejected.decided_again().collect();
        again.sort();
        let suspected: Vec<_> = ids(3).collect();
        assert!(again.iter().all(|id| suspected.contains(id)), "{again:?}");
    }
}
