//! The seats of each show after each change, from the first to the last: what
//! the store says happened, replayed without the service's own code.

use std::collections::HashMap;

use uuid::Uuid;

use super::ticket::{State, StoredTicket};

/// Time within which a seat that is free again is for sale through every gate.
const GATE_DELAY_MICROS: i64 = 2_000_000;
/// Clocks of a deployment's processes may differ by so much (`clock.max_skew_ms`).
const SKEW_MICROS: i64 = 100_000;

/// A change of a show that is not a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journaled {
    /// Number of the show in this run.
    pub show: u32,
    /// Its number in the show's history.
    pub seq: u64,
    /// When, in µs since 1970.
    pub at: i64,
    /// The change of the ticket or of the show.
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Put on sale, or new terms.
    TermsSet {
        /// Seats in all, from now on.
        capacity: u32,
    },
    /// A hold was confirmed.
    Confirmed(Uuid),
    /// A hold was given back.
    CancelledHeld(Uuid),
    /// Sold seats were given back.
    CancelledSold(Uuid),
    /// A hold ended by itself.
    Expired(Uuid),
}

/// The seats of a show, by what they are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Seats left.
    pub available: i64,
    /// Seats of reserved tickets.
    pub held: i64,
    /// Seats of confirmed tickets.
    pub sold: i64,
}

impl Counters {
    fn plus(self, other: Self) -> Self {
        Self {
            available: self.available + other.available,
            held: self.held + other.held,
            sold: self.sold + other.sold,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            available: self.available - other.available,
            held: self.held - other.held,
            sold: self.sold - other.sold,
        }
    }
}

/// A show's seats after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct After {
    show: u32,
    seq: u64,
    at: i64,
    counters: Counters,
}

/// All shows of a run, replayed.
#[derive(Debug, Default)]
pub struct History {
    steps: Vec<After>,
    /// Numbers that are missing or given twice, in words.
    pub gaps: Vec<String>,
    /// Changes after which a counter was below zero, in words.
    pub overdrawn: Vec<String>,
    /// Orders rejected as sold out while there were enough seats, in words.
    pub wrongly_sold_out: Vec<String>,
}

enum Event<'a> {
    Decided(&'a StoredTicket),
    Journaled(&'a Journaled),
}

impl History {
    /// Replays all changes.
    #[must_use]
    pub fn replay(tickets: &[StoredTicket], journal: &[Journaled]) -> Self {
        let quantity: HashMap<Uuid, i64> = tickets
            .iter()
            .filter(|ticket| !ticket.verdict.is_rejection())
            .map(|ticket| (ticket.id, i64::from(ticket.quantity)))
            .collect();
        let seats = |id: &Uuid| quantity.get(id).copied().unwrap_or_default();
        let decisions = tickets
            .iter()
            .map(|ticket| ((ticket.show, ticket.decision_seq), Event::Decided(ticket)));
        let changes = journal
            .iter()
            .map(|entry| ((entry.show, entry.seq), Event::Journaled(entry)));
        let mut events: Vec<_> = decisions.chain(changes).collect();
        events.sort_by_key(|(place, _)| *place);

        let mut history = Self::default();
        let mut current: Option<(u32, u64, Counters)> = None;
        for ((show, seq), event) in events {
            let (before, counters) = match current {
                Some((latest, before, counters)) if latest == show => (before, counters),
                _ => (0, Counters::default()),
            };
            if seq != before + 1 {
                history
                    .gaps
                    .push(format!("show {show}: change {seq} follows {before}"));
            }
            let (at, moved) = match event {
                Event::Decided(ticket) => {
                    history.check_sold_out(ticket, counters);
                    (ticket.decided_at, decided(ticket))
                }
                Event::Journaled(entry) => {
                    let moved = match &entry.change {
                        Change::TermsSet { capacity } => {
                            let all = counters.available + counters.held + counters.sold;
                            moved(i64::from(*capacity) - all, 0, 0)
                        }
                        Change::Confirmed(id) => moved(0, -seats(id), seats(id)),
                        Change::CancelledHeld(id) | Change::Expired(id) => {
                            moved(seats(id), -seats(id), 0)
                        }
                        Change::CancelledSold(id) => moved(seats(id), 0, -seats(id)),
                    };
                    (entry.at, moved)
                }
            };
            let counters = counters.plus(moved);
            if counters.available < 0 || counters.held < 0 || counters.sold < 0 {
                history
                    .overdrawn
                    .push(format!("show {show}: {counters:?} after change {seq}"));
            }
            current = Some((show, seq, counters));
            history.steps.push(After {
                show,
                seq,
                at,
                counters,
            });
        }
        history
    }

    fn check_sold_out(&mut self, ticket: &StoredTicket, before: Counters) {
        if ticket.verdict == State::SoldOut && before.available >= i64::from(ticket.quantity) {
            self.wrongly_sold_out.push(format!(
                "ticket {}: sold out for {} seats while {} were available",
                ticket.id, ticket.quantity, before.available
            ));
        }
    }

    /// The last change of a show and its seats after it.
    #[must_use]
    pub fn end_of(&self, show: u32) -> Option<(u64, Counters)> {
        let after = self.steps.partition_point(|step| step.show <= show);
        let last = self.steps[..after].last()?;
        (last.show == show).then_some((last.seq, last.counters))
    }

    /// Whether a gate may have said between two instants that a show is sold
    /// out: whether, shortly before or meanwhile, nothing was available or held.
    #[must_use]
    pub fn may_be_refused(&self, show: u32, from: i64, until: i64) -> bool {
        let from = from - GATE_DELAY_MICROS - SKEW_MICROS;
        let until = until + SKEW_MICROS;
        let start = self.steps.partition_point(|step| step.show < show);
        let of_show = &self.steps[start..];
        let end = of_show.partition_point(|step| step.show == show);
        let of_show = &of_show[..end];
        // The state that the interval starts with, and all that come within it.
        let first = of_show
            .partition_point(|step| step.at < from)
            .saturating_sub(1);
        of_show[first..]
            .iter()
            .take_while(|step| step.at <= until)
            .any(|step| step.counters.available == 0 && step.counters.held == 0)
    }

    /// The seats of all shows together at each of these ascending instants.
    #[must_use]
    pub fn totals_at(&self, instants: &[i64]) -> Vec<Counters> {
        let mut moves: Vec<(i64, Counters)> = Vec::with_capacity(self.steps.len());
        let mut before: Option<After> = None;
        for step in &self.steps {
            let previous = before.filter(|before| before.show == step.show);
            let previous = previous
                .map(|previous| previous.counters)
                .unwrap_or_default();
            moves.push((step.at, step.counters.minus(previous)));
            before = Some(*step);
        }
        moves.sort_by_key(|(at, _)| *at);
        let mut moves = moves.into_iter().peekable();
        let mut total = Counters::default();
        let at = instants.iter().map(|instant| {
            while let Some((_, moved)) = moves.next_if(|(at, _)| at <= instant) {
                total = total.plus(moved);
            }
            total
        });
        at.collect()
    }
}

const fn moved(available: i64, held: i64, sold: i64) -> Counters {
    Counters {
        available,
        held,
        sold,
    }
}

fn decided(ticket: &StoredTicket) -> Counters {
    let seats = i64::from(ticket.quantity);
    match ticket.verdict {
        State::Reserved => moved(-seats, seats, 0),
        State::Confirmed => moved(-seats, 0, seats),
        _ => Counters::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(seq: u64, quantity: u32, verdict: State) -> StoredTicket {
        StoredTicket {
            id: Uuid::from_u128(u128::from(seq)),
            show: 0,
            user: 0,
            quantity,
            verdict,
            state: verdict,
            requested_at: 0,
            decided_at: i64::try_from(seq).unwrap() * 1_000_000,
            decision_seq: seq,
        }
    }

    fn entry(seq: u64, change: Change) -> Journaled {
        Journaled {
            show: 0,
            seq,
            at: i64::try_from(seq).unwrap() * 1_000_000,
            change,
        }
    }

    fn put_on_sale(capacity: u32) -> Journaled {
        entry(1, Change::TermsSet { capacity })
    }

    #[test]
    fn seats_follow_every_change() {
        let held = ticket(2, 2, State::Reserved);
        let sold = ticket(3, 1, State::Confirmed);
        let lapsed = ticket(4, 1, State::Reserved);
        let journal = [
            entry(6, Change::Expired(lapsed.id)),
            put_on_sale(5),
            entry(5, Change::Confirmed(held.id)),
            entry(7, Change::CancelledSold(sold.id)),
        ];
        let history = History::replay(&[lapsed, held, sold], &journal);
        assert_eq!((history.gaps.len(), history.overdrawn.len()), (0, 0));
        let at = [0, 1, 2, 3, 4, 5, 6, 7].map(|second| second * 1_000_000);
        let totals: Vec<_> = history
            .totals_at(&at)
            .iter()
            .map(|seats| (seats.available, seats.held, seats.sold))
            .collect();
        assert_eq!(
            totals,
            [
                (0, 0, 0),
                (5, 0, 0),
                (3, 2, 0),
                (2, 2, 1),
                (1, 3, 1),
                (1, 1, 3),
                (2, 0, 3),
                (3, 0, 2)
            ]
        );
        assert_eq!(history.end_of(0), Some((7, moved(3, 0, 2))));
        assert_eq!(history.end_of(1), None);
    }

    #[test]
    fn a_seat_too_many_is_found() {
        let tickets = [
            ticket(2, 1, State::Confirmed),
            ticket(3, 1, State::Confirmed),
        ];
        let history = History::replay(&tickets, &[put_on_sale(1)]);
        assert_eq!(history.overdrawn.len(), 1);
    }

    #[test]
    fn a_seat_that_was_wrongly_refused_is_found() {
        let tickets = [ticket(2, 3, State::SoldOut), ticket(3, 2, State::SoldOut)];
        let history = History::replay(&tickets, &[put_on_sale(2)]);
        assert_eq!(history.wrongly_sold_out.len(), 1);
        assert!(history.wrongly_sold_out[0].contains("for 2 seats while 2"));
    }

    #[test]
    fn a_number_that_is_missing_or_given_twice_is_found() {
        let tickets = [
            ticket(2, 1, State::SoldOut),
            ticket(2, 1, State::SoldOut),
            ticket(4, 1, State::SoldOut),
        ];
        let history = History::replay(&tickets, &[put_on_sale(0)]);
        assert_eq!(
            history.gaps,
            ["show 0: change 2 follows 2", "show 0: change 4 follows 2"]
        );
    }

    #[test]
    fn a_gate_may_refuse_what_is_sold_and_shortly_after() {
        let sold = ticket(2, 1, State::Confirmed);
        let journal = [put_on_sale(1), entry(3, Change::CancelledSold(sold.id))];
        let history = History::replay(&[sold], &journal);
        let second = |second: i64| second * 1_000_000;
        assert!(!history.may_be_refused(0, second(0), second(1)));
        assert!(history.may_be_refused(0, second(1), second(2)));
        assert!(history.may_be_refused(0, second(4), second(4)));
        // Free again at 3 s: from then on for two seconds and what clocks differ by.
        assert!(!history.may_be_refused(0, second(6), second(7)));
    }
}
