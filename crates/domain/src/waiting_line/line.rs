//! One line: the orders of a lane and class.

use super::SETTLES_AFTER_MICROS;
use super::curve::{ArrivalCurve, PARTS};
use super::rate::DecideRate;
use crate::event::AcceptedOrders;
use crate::order::Order;
use crate::receipt::ProcessId;
use crate::time::Timestamp;

/// The most accepting processes of one line.
pub(super) const MAX_PROCESSES: usize = 32;
/// When the line has moved on for so long without an order of a process, those
/// of its orders that are older than the line by as much are decided, and were not heard.
const MOVED_ON_MICROS: u32 = 2_000_000;
/// A process that is not heard of for so long is gone, unless its orders wait.
const GONE_AFTER_MICROS: u64 = 60_000_000;

#[derive(Debug)]
struct Process {
    id: ProcessId,
    arrivals: ArrivalCurve,
    /// The latest of its places that was decided.
    served: Option<Timestamp>,
    /// When that was heard; before the first time, when the process was.
    served_at: Timestamp,
    /// When anything was heard.
    heard_at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    processes: Vec<Process>,
    now_serving_at: Option<Timestamp>,
    /// When the line last moved.
    moved_at: Option<Timestamp>,
    rate: DecideRate,
}

impl Line {
    pub(super) fn accepted(&mut self, orders: &AcceptedOrders, now: Timestamp) {
        let process = self.process(orders.accepted_by, now);
        process.arrivals.extend(orders.through, orders.total);
        process.forget_served();
    }

    pub(super) fn decided(&mut self, order: &Order, now: Timestamp, longest_micros: u64) {
        let place = order.requested_at;
        let process = self.process(order.accepted_by, now);
        // A repetition, or a later change of an old ticket.
        if process.served >= Some(place) {
            return;
        }
        process.served = Some(place);
        process.served_at = now;
        process.forget_served();
        // From when on the worker could have decided it: after the one before,
        // once it was there. Longer than `longest_micros` is a fault, not a rate.
        let began = self.moved_at.map_or(place, |moved_at| moved_at.max(place));
        self.rate
            .count(now, now.micros_since(began).min(longest_micros));
        self.moved_at = Some(now);
        self.now_serving_at = self.now_serving_at.max(Some(place));
    }

    /// It was put aside once all before it were decided or put aside, too, so it waits no
    /// longer; when it was decided says nothing about how fast the line is.
    pub(super) fn redriven(&mut self, order: &Order) {
        let mut processes = self.processes.iter_mut();
        if let Some(process) = processes.find(|it| it.id == order.accepted_by) {
            process.served = process.served.max(Some(order.requested_at));
            process.forget_served();
        }
    }

    fn process(&mut self, id: ProcessId, now: Timestamp) -> &mut Process {
        let index = match self.processes.iter().position(|it| it.id == id) {
            Some(index) => index,
            None => {
                self.make_room(now);
                self.processes.push(Process {
                    id,
                    arrivals: ArrivalCurve::default(),
                    served: None,
                    served_at: now,
                    heard_at: now,
                });
                self.processes.len() - 1
            }
        };
        let process = &mut self.processes[index];
        process.heard_at = now;
        process
    }

    /// Processes come and go; orders that wait keep theirs known.
    fn make_room(&mut self, now: Timestamp) {
        let (moved_at, serving) = (self.moved_at, self.now_serving_at);
        self.processes.retain(|it| {
            now.micros_since(it.heard_at) < GONE_AFTER_MICROS
                || it.waiting(it.served_until(moved_at, serving)) > 0
        });
        if self.processes.len() >= MAX_PROCESSES
            && let Some(longest_silent) = (0..self.processes.len()).min_by_key(|index| {
                let it = &self.processes[*index];
                let waiting = it.waiting(it.served_until(moved_at, serving));
                (waiting > 0, it.heard_at)
            })
        {
            self.processes.swap_remove(longest_silent);
        }
    }

    pub(super) const fn now_serving_at(&self) -> Option<Timestamp> {
        self.now_serving_at
    }

    pub(super) fn wait_ms(&self, orders: u64, now: Timestamp) -> Option<u64> {
        self.rate.wait_ms(orders, now)
    }

    /// `None` if a process is known of which it is not known how many of its
    /// orders wait, or if some may not have been announced yet.
    pub(super) fn orders_ahead(
        &self,
        requested_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<u64> {
        let is_settled =
            requested_at.is_none_or(|place| now.micros_since(place) >= SETTLES_AFTER_MICROS);
        if !is_settled || self.processes.is_empty() {
            return None;
        }
        let mut parts = 0_u128;
        for process in &self.processes {
            let served = process.served_until(self.moved_at, self.now_serving_at);
            if let (Some(place), Some(served)) = (requested_at, served)
                && place <= served
            {
                continue;
            }
            let Some(end) = process.arrivals.total() else {
                // Decided orders of a process that announces nothing: it has
                // ended, and nobody knows how many of its orders are left.
                if now.micros_since(process.heard_at) < u64::from(MOVED_ON_MICROS) {
                    return None;
                }
                continue;
            };
            let end = match requested_at {
                // The order itself is not ahead of itself.
                Some(place) => process.arrivals.at(place.minus_micros(1))?,
                None => end,
            };
            parts += end.saturating_sub(process.decided(served)?);
        }
        u64::try_from(parts / PARTS).ok()
    }

    /// The last moment at which the order, or the longest-waiting one, was not
    /// waiting in vain. `None` if nothing waits.
    pub(super) fn waiting_since(&self, requested_at: Option<Timestamp>) -> Option<Timestamp> {
        let came_at = match requested_at {
            Some(place) => place,
            None => self
                .processes
                .iter()
                .filter_map(|it| {
                    let served = it.served_until(self.moved_at, self.now_serving_at);
                    // What was there before the first announcement that was
                    // heard may be decided as well.
                    let decided = it.decided(served).or_else(|| it.arrivals.first())?;
                    it.arrivals.exceeds(decided)
                })
                .min()?,
        };
        Some(
            self.moved_at
                .map_or(came_at, |moved_at| moved_at.max(came_at)),
        )
    }
}

impl Process {
    fn forget_served(&mut self) {
        if let Some(served) = self.served {
            self.arrivals.forget_before(served);
        }
    }

    /// Up to which place its orders are decided.
    fn served_until(
        &self,
        moved_at: Option<Timestamp>,
        serving: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let has_moved_on = moved_at.is_some_and(|moved_at| {
            moved_at.micros_since(self.served_at) >= u64::from(MOVED_ON_MICROS)
        });
        let passed = serving
            .filter(|_| has_moved_on)
            .map(|serving| serving.minus_micros(MOVED_ON_MICROS));
        self.served.max(passed)
    }

    /// How many of its orders are decided, in [`PARTS`].
    fn decided(&self, served: Option<Timestamp>) -> Option<u128> {
        match served {
            Some(served) => self.arrivals.at(served),
            None => self.arrivals.begins_with_none().then_some(0),
        }
    }

    /// How many of its orders wait, in [`PARTS`]; 0 if that is not known.
    fn waiting(&self, served: Option<Timestamp>) -> u128 {
        let total = self.arrivals.total().unwrap_or_default();
        let decided = self.decided(served);
        decided.map_or(0, |decided| total.saturating_sub(decided))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Lanes;
    use crate::user::PriorityClass;

    fn accepted(process: u32, through: Timestamp, total: u64) -> AcceptedOrders {
        AcceptedOrders {
            accepted_by: ProcessId::new(process),
            lane: Lanes::new(1).unwrap().get(0).unwrap(),
            class: PriorityClass::Standard,
            through,
            total,
        }
    }

    /// Restarts for years: processes without waiting orders make room first.
    #[test]
    fn remembers_a_bounded_number_of_processes() {
        let mut line = Line::default();
        let now = Timestamp::MIN.plus_seconds(100);
        line.accepted(&accepted(0, now, 0), now);
        line.accepted(&accepted(0, now.plus_micros(1), 7), now);
        for process in 1..1_000 {
            let now = now.plus_seconds(process);
            line.accepted(&accepted(process, now, 9), now);
            assert!(line.processes.len() <= MAX_PROCESSES);
        }
        assert_eq!(line.processes.len(), MAX_PROCESSES);
        assert_eq!(line.processes[0].waiting(None), 7 * PARTS);
        // Even of those whose orders wait, the ones not heard of for longest go.
        for process in 1_000..2_000 {
            let now = now.plus_seconds(process);
            line.accepted(&accepted(process, now, 0), now);
            line.accepted(&accepted(process, now.plus_micros(1), 1), now);
            assert!(line.processes.len() <= MAX_PROCESSES);
        }
        assert!(line.processes.iter().all(|it| it.waiting(None) == PARTS));
    }
}
