//! In which proportion a lane's two queues are served.

use std::num::NonZeroU32;

use crate::user::PriorityClass;

/// Serves `high` before `standard` by weight: with weights 4 and 1, four orders
/// of the one, then one of the other, while both wait. A queue that is alone
/// gets every turn, so neither starves and no turn is wasted.
#[derive(Debug, Clone)]
pub struct ClassSchedule {
    high: u32,
    standard: u32,
    /// Turns taken of the current round of `high + standard`.
    turn: u32,
}

impl ClassSchedule {
    /// `high` orders of the class high, then `standard` of the class standard.
    #[must_use]
    pub const fn new(high: NonZeroU32, standard: NonZeroU32) -> Self {
        Self {
            high: high.get(),
            standard: standard.get(),
            turn: 0,
        }
    }

    /// Whose order comes next, given which queues have one; `None` if neither has.
    pub const fn next(&mut self, high_waits: bool, standard_waits: bool) -> Option<PriorityClass> {
        match (high_waits, standard_waits) {
            (false, false) => None,
            (true, false) => Some(PriorityClass::High),
            (false, true) => Some(PriorityClass::Standard),
            (true, true) => {
                let class = if self.turn < self.high {
                    PriorityClass::High
                } else {
                    PriorityClass::Standard
                };
                self.turn = (self.turn + 1) % self.high.saturating_add(self.standard);
                Some(class)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(high: u32, standard: u32) -> ClassSchedule {
        ClassSchedule::new(
            NonZeroU32::new(high).unwrap(),
            NonZeroU32::new(standard).unwrap(),
        )
    }

    #[test]
    fn serves_by_weight_while_both_wait() {
        let mut schedule = weights(4, 1);
        let turns: Vec<_> = (0..1_000)
            .filter_map(|_| schedule.next(true, true))
            .collect();
        let high = turns
            .iter()
            .filter(|class| **class == PriorityClass::High)
            .count();
        assert_eq!(high, 800);
        assert!(
            turns
                .chunks(5)
                .all(|round| round[4] == PriorityClass::Standard)
        );
    }

    #[test]
    fn a_queue_that_is_alone_gets_every_turn() {
        let mut schedule = weights(4, 1);
        assert_eq!(schedule.next(false, true), Some(PriorityClass::Standard));
        assert_eq!(schedule.next(true, false), Some(PriorityClass::High));
        assert_eq!(schedule.next(false, false), None);
    }
}
