//! How fast a line is being decided.

use crate::time::Timestamp;

const SLOTS: usize = 10;
const SLOT_MICROS: u64 = 500_000;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Since 1970.
    number: u64,
    orders: u64,
    busy_micros: u64,
}

/// Decisions of the last five seconds, and how long they took. Time in which no
/// order waited does not count, so that the rate of a line that was idle is that
/// of the worker, not that of the buyers.
#[derive(Debug, Default)]
pub(super) struct DecideRate {
    slots: [Slot; SLOTS],
}

fn slot_number(instant: Timestamp) -> u64 {
    instant.micros_since(Timestamp::MIN) / SLOT_MICROS
}

impl DecideRate {
    /// Counts an order that took `busy_micros` since the one before it, or
    /// since it came if nothing waited then.
    pub(super) fn count(&mut self, now: Timestamp, busy_micros: u64) {
        let number = slot_number(now);
        let index = usize::try_from(number).unwrap_or(0) % SLOTS;
        let slot = &mut self.slots[index];
        if slot.number != number {
            *slot = Slot {
                number,
                ..Slot::default()
            };
        }
        slot.orders += 1;
        slot.busy_micros += busy_micros;
    }

    /// How long `orders` take, in milliseconds; `None` if none was decided lately.
    pub(super) fn wait_ms(&self, orders: u64, now: Timestamp) -> Option<u64> {
        let newest = slot_number(now);
        let recent = self
            .slots
            .iter()
            .filter(|slot| slot.number <= newest && newest - slot.number < SLOTS as u64);
        let (decided, micros) = recent.fold((0, 0), |(decided, micros), slot| {
            (decided + slot.orders, micros + slot.busy_micros)
        });
        if decided == 0 {
            return None;
        }
        let wait = u128::from(orders) * u128::from(micros) / u128::from(decided) / 1_000;
        Some(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000).unwrap()
    }

    #[test]
    fn tells_the_rate_of_the_last_seconds_only() {
        let mut rate = DecideRate::default();
        assert_eq!(rate.wait_ms(1, at(0)), None);
        for millis in 0..20_000 {
            rate.count(at(millis), 2_000);
        }
        assert_eq!(rate.wait_ms(500, at(20_000)), Some(1_000));
        // Twice as fast from here on; after five seconds that is all it knows.
        for millis in 20_000..25_000 {
            rate.count(at(millis), 1_000);
        }
        assert_eq!(rate.wait_ms(500, at(24_999)), Some(500));
        assert_eq!(rate.wait_ms(500, at(30_000)), None);
        // A clock that was set back knows nothing of later.
        assert_eq!(rate.wait_ms(500, at(100)), None);
    }
}
