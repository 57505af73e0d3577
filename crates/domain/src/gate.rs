//! The sold-out gate: refuses orders for shows without seats at once, without
//! a broker or a store.
//!
//! It may only refuse. Nothing that decides looks at it, so a gate that is open
//! by mistake sells nothing, and one that is closed by mistake opens by itself:
//! it believes what it heard for [`VERIFIED_FOR`], no longer.

use std::cmp::Ordering as CmpOrdering;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::ids::ShowId;
use crate::show::ShowSeats;
use crate::time::Timestamp;

/// How long a show is taken for sold out after it last was known to be.
pub const VERIFIED_FOR: Duration = Duration::from_secs(2);
/// The most shows that the gate remembers.
pub const MAX_SHOWS: usize = 4_096;

const VERIFIED_FOR_MICROS: u64 = 2_000_000;
/// Threads read the clock and then look at the gate; one of them may be late by
/// this much. A clock that is back by more was set back.
const LATE_MICROS: u64 = 100_000;

/// Which shows are sold out, as far as this process has heard.
///
/// Asked once per order: while nothing is sold out that is one atomic load, else
/// a shared lock and one look-up.
#[derive(Debug, Default)]
pub struct SoldOutGate {
    /// Hears nothing, so it never closes.
    is_always_open: bool,
    /// Shows of `shows` that are sold out. Changed under its lock.
    sold_out: AtomicUsize,
    /// Shows that have seats are remembered too: a late, older "sold out" is
    /// then known to be older.
    shows: RwLock<HashMap<ShowId, Heard>>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    seq: u64,
    is_sold_out: bool,
    /// `None` until it is known to be no older than something.
    as_of: Option<Timestamp>,
}

impl Heard {
    const fn is_unverified(&self) -> bool {
        self.is_sold_out && self.as_of.is_none()
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        self.as_of.is_some_and(|as_of| {
            now.micros_since(as_of) < VERIFIED_FOR_MICROS && as_of.micros_since(now) <= LATE_MICROS
        })
    }
}

/// A slow reader does not undo what a quicker one has found. Only a clock that
/// was set back explains a greater difference.
fn later(known: Option<Timestamp>, read: Option<Timestamp>) -> Option<Timestamp> {
    match (known, read) {
        (Some(known), Some(read)) if known.micros_since(read) >= VERIFIED_FOR_MICROS => Some(read),
        _ => known.max(read),
    }
}

impl SoldOutGate {
    /// For a deployment where every order shall get a verdict.
    #[must_use]
    pub fn always_open() -> Self {
        Self {
            is_always_open: true,
            ..Self::default()
        }
    }

    /// Whether an order for `show` can be refused at `now`: the show was sold
    /// out less than [`VERIFIED_FOR`] ago.
    #[must_use]
    pub fn is_closed(&self, show: &ShowId, now: Timestamp) -> bool {
        // Relaxed: a request that is about to be refused may pass once more.
        self.sold_out.load(Ordering::Relaxed) > 0
            && self
                .shows
                .read()
                .get(show)
                .is_some_and(|heard| heard.is_sold_out && heard.holds_at(now))
    }

    /// Takes note of an announcement. What is older than what is known, by its
    /// `seq`, changes nothing.
    ///
    /// How old it is nobody knows: the announcing process may have been frozen since,
    /// and what came after may have been lost. So it opens at once and never
    /// closes; true says that reading the show may close.
    pub fn hear(&self, seats: &ShowSeats) -> bool {
        self.note(seats, None)
    }

    /// Takes note of a show's seats as they were read at `as_of` or later.
    pub fn verify(&self, seats: &ShowSeats, as_of: Timestamp) {
        self.note(seats, Some(as_of));
    }

    /// Whether the show is sold out and was never verified to be.
    fn note(&self, seats: &ShowSeats, as_read: Option<Timestamp>) -> bool {
        if self.is_always_open {
            return false;
        }
        let news = Heard {
            seq: seats.seq,
            is_sold_out: seats.seats.is_sold_out(),
            as_of: as_read,
        };
        let mut shows = self.shows.write();
        let Some(known) = shows.get_mut(&seats.show_id) else {
            if shows.len() >= MAX_SHOWS {
                self.forget_some(&mut shows);
            }
            shows.insert(seats.show_id.clone(), news);
            self.count(false, news.is_sold_out);
            return news.is_unverified();
        };
        let before = *known;
        match news.seq.cmp(&known.seq) {
            CmpOrdering::Less => {}
            // One number, two stories: the one that refuses nobody is right.
            CmpOrdering::Equal => {
                known.is_sold_out &= news.is_sold_out;
                known.as_of = later(known.as_of, as_read);
            }
            CmpOrdering::Greater => {
                *known = news;
                // Sold out then, and sold out after that.
                if before.is_sold_out {
                    known.as_of = later(before.as_of, as_read);
                }
            }
        }
        self.count(before.is_sold_out, known.is_sold_out);
        known.is_unverified()
    }

    /// The shows that were sold out when last heard of, to be verified.
    #[must_use]
    pub fn closed(&self) -> Vec<ShowId> {
        if self.sold_out.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let shows = self.shows.read();
        let closed = shows.iter().filter(|(_, heard)| heard.is_sold_out);
        closed.map(|(show, _)| show.clone()).collect()
    }

    /// How many shows were sold out when last heard of.
    #[must_use]
    pub fn count_closed(&self) -> usize {
        self.sold_out.load(Ordering::Relaxed)
    }

    fn count(&self, was_sold_out: bool, is_sold_out: bool) {
        match (was_sold_out, is_sold_out) {
            (false, true) => _ = self.sold_out.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.sold_out.fetch_sub(1, Ordering::Relaxed),
            (true, true) | (false, false) => {}
        }
    }

    /// A quarter, so that it is rarely done: shows that have seats first, and of
    /// those the ones not heard of for longest.
    fn forget_some(&self, shows: &mut HashMap<ShowId, Heard>) {
        let mut ages: Vec<_> = shows
            .values()
            .map(|heard| (heard.is_sold_out, heard.as_of))
            .collect();
        ages.sort_unstable();
        let mut left_to_forget = MAX_SHOWS / 4;
        let Some(last) = ages.get(left_to_forget - 1).copied() else {
            return;
        };
        shows.retain(|_, heard| {
            let forgets = left_to_forget > 0 && (heard.is_sold_out, heard.as_of) <= last;
            left_to_forget -= usize::from(forgets);
            !forgets
        });
        let sold_out = shows.values().filter(|heard| heard.is_sold_out).count();
        self.sold_out.store(sold_out, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::SeatCounts;

    const SECOND: i64 = 1_000_000;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn show(id: u64) -> ShowId {
        ShowId::from(id)
    }

    fn seats(id: u64, available: u32, held: u32, seq: u64) -> ShowSeats {
        ShowSeats {
            show_id: show(id),
            seats: SeatCounts {
                available,
                held,
                sold: 9,
            },
            seq,
        }
    }

    #[test]
    fn closes_when_nothing_is_available_and_nothing_held() {
        let gate = SoldOutGate::default();
        let closed = |id| gate.is_closed(&show(id), at(10));
        assert!(!closed(1));
        gate.verify(&seats(1, 0, 1, 4), at(10));
        assert!(!closed(1));
        gate.verify(&seats(1, 0, 0, 5), at(10));
        assert!(closed(1) && !closed(2));
        assert_eq!((gate.closed(), gate.count_closed()), (vec![show(1)], 1));
        gate.verify(&seats(1, 1, 0, 6), at(10));
        assert!(!closed(1));
        assert_eq!((gate.closed(), gate.count_closed()), (vec![], 0));
    }

    #[test]
    fn one_that_is_always_open_never_closes() {
        let gate = SoldOutGate::always_open();
        gate.verify(&seats(1, 0, 0, 5), at(10));
        assert!(!gate.is_closed(&show(1), at(10)));
        assert_eq!(gate.closed(), []);
    }

    #[test]
    fn what_is_older_changes_nothing_in_either_direction() {
        let gate = SoldOutGate::default();
        gate.verify(&seats(1, 3, 0, 6), at(10));
        gate.verify(&seats(1, 0, 0, 5), at(20));
        assert!(!gate.is_closed(&show(1), at(20)));
        gate.verify(&seats(1, 0, 0, 7), at(30));
        gate.verify(&seats(1, 3, 0, 6), at(40));
        assert!(gate.is_closed(&show(1), at(40)));
        // Not even its date: the gate opens two seconds after number 7.
        assert!(!gate.is_closed(&show(1), at(30 + 2 * SECOND)));
    }

    #[test]
    fn of_two_stories_under_one_number_the_open_one_is_believed() {
        let gate = SoldOutGate::default();
        for (first, second) in [(0, 3), (3, 0)] {
            let seq = 5 + u64::from(first);
            gate.verify(&seats(1, first, 0, seq), at(10));
            gate.verify(&seats(1, second, 0, seq), at(10));
            assert!(!gate.is_closed(&show(1), at(10)));
            assert_eq!(gate.sold_out.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn what_may_be_old_closes_nothing_before_it_is_verified() {
        let gate = SoldOutGate::default();
        let closed = || gate.is_closed(&show(1), at(10));
        // Perhaps 6 gave seats back while the process that announces 5 was frozen.
        assert!(gate.hear(&seats(1, 0, 0, 5)));
        assert!(!closed());
        // Nor does hearing it twice make it any newer.
        assert!(gate.hear(&seats(1, 0, 0, 5)));
        assert!(!closed());
        assert_eq!(gate.closed(), [show(1)]);
        gate.verify(&seats(1, 0, 0, 5), at(10));
        assert!(closed());
        // What opens is believed at once, what closes again is not.
        assert!(!gate.hear(&seats(1, 1, 0, 6)));
        assert!(!closed());
        assert!(gate.hear(&seats(1, 0, 0, 7)));
        assert!(!closed());
        gate.verify(&seats(1, 0, 0, 7), at(10));
        // Sold out as of then, and nothing came back since.
        assert!(!gate.hear(&seats(1, 0, 0, 9)));
        assert!(closed());
    }

    #[test]
    fn opens_two_seconds_after_it_was_last_verified() {
        let gate = SoldOutGate::default();
        gate.verify(&seats(1, 0, 0, 5), at(0));
        assert!(gate.is_closed(&show(1), at(2 * SECOND - 1)));
        assert!(!gate.is_closed(&show(1), at(2 * SECOND)));
        // It is still to be verified, and closes again when it is.
        assert_eq!(gate.closed(), [show(1)]);
        gate.verify(&seats(1, 0, 0, 5), at(9 * SECOND));
        assert!(gate.is_closed(&show(1), at(10 * SECOND)));
        // A reading that took longer does not take anything back.
        gate.verify(&seats(1, 0, 0, 5), at(8 * SECOND));
        assert!(gate.is_closed(&show(1), at(11 * SECOND - 1)));
        assert!(!gate.is_closed(&show(1), at(11 * SECOND)));
    }

    #[test]
    fn a_clock_that_was_set_back_opens_it_until_it_is_verified() {
        let gate = SoldOutGate::default();
        gate.verify(&seats(1, 0, 0, 5), at(9 * SECOND));
        // A thread that looked at the clock just before.
        assert!(gate.is_closed(&show(1), at(9 * SECOND - 100_000)));
        assert!(!gate.is_closed(&show(1), at(9 * SECOND - 100_001)));
        gate.verify(&seats(1, 0, 0, 5), at(SECOND));
        assert!(gate.is_closed(&show(1), at(SECOND)));
        assert!(!gate.is_closed(&show(1), at(3 * SECOND)));
    }

    #[test]
    fn remembers_a_bounded_number_of_shows_and_forgets_those_with_seats_first() {
        let gate = SoldOutGate::default();
        gate.verify(&seats(0, 0, 0, 5), at(0));
        for id in 1..3 * MAX_SHOWS as u64 {
            gate.verify(&seats(id, 1, 0, 5), at(1));
            assert!(gate.shows.read().len() <= MAX_SHOWS);
        }
        assert!(gate.is_closed(&show(0), at(1)));
        for id in 1..=2 * MAX_SHOWS as u64 {
            gate.verify(&seats(id, 0, 0, 6), at(2));
        }
        let closed = gate.closed();
        assert!(closed.len() <= MAX_SHOWS && closed.len() > MAX_SHOWS / 2);
        assert_eq!(gate.sold_out.load(Ordering::Relaxed), closed.len());
        // All of them open again, so that nothing is locked any more.
        for id in 0..=2 * MAX_SHOWS as u64 {
            gate.verify(&seats(id, 1, 0, 7), at(3));
        }
        assert_eq!(gate.sold_out.load(Ordering::Relaxed), 0);
    }
}
