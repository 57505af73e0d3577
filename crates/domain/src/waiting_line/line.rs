//! One line: the orders of a lane and class.

use std::collections::BTreeMap;

use super::curve::{ArrivalCurve, MAX_POINTS, PARTS};
use super::intervals::SETTLES_AFTER_MICROS;
use super::rate::DecideRate;
use crate::event::AcceptedOrders;
use crate::order::Order;
use crate::receipt::ProcessId;
use crate::time::Timestamp;

/// The most accepting processes of one line. Past it nothing can be told.
pub(super) const MAX_PROCESSES: usize = 1_024;
/// The most points of all curves together.
const ALL_POINTS: usize = 32 * MAX_POINTS;
/// When the line has moved on for so long without an order of a process, those
/// of its orders that are older than the line by as much are decided, and were not heard.
const MOVED_ON_MICROS: u32 = 2_000_000;
/// A process that is not heard of for so long is gone, unless its orders wait.
const GONE_AFTER_MICROS: u64 = 60_000_000;

#[derive(Debug)]
struct Process {
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
    processes: BTreeMap<ProcessId, Process>,
    now_serving_at: Option<Timestamp>,
    /// When the line last moved.
    moved_at: Option<Timestamp>,
    rate: DecideRate,
}

impl Line {
    pub(super) fn hear_accepted(&mut self, orders: &AcceptedOrders, now: Timestamp) {
        let max_points = (ALL_POINTS / (self.processes.len() + 1)).min(MAX_POINTS);
        let process = self.process(orders.accepted_by, now);
        let arrivals = &mut process.arrivals;
        arrivals.extend(orders.through, orders.total, max_points);
        process.forget_served();
    }

    pub(super) fn hear_decided(&mut self, order: &Order, now: Timestamp, longest_micros: u64) {
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

    /// The line has moved, at no rate that would tell how long a verdict takes.
    pub(super) fn hear_settled(
        &mut self,
        accepted_by: ProcessId,
        through: Timestamp,
        now: Timestamp,
    ) {
        let Some(process) = self.processes.get_mut(&accepted_by) else {
            return;
        };
        if process.served >= Some(through) {
            return;
        }
        process.served = Some(through);
        process.served_at = now;
        process.heard_at = now;
        process.forget_served();
        self.moved_at = Some(now);
        self.now_serving_at = self.now_serving_at.max(Some(through));
    }

    /// It was put aside once all before it were decided or put aside, too, so it waits no
    /// longer; when it was decided says nothing about how fast the line is.
    pub(super) fn hear_redriven(&mut self, order: &Order) {
        if let Some(process) = self.processes.get_mut(&order.accepted_by) {
            process.served = process.served.max(Some(order.requested_at));
            process.forget_served();
        }
    }

    fn process(&mut self, id: ProcessId, now: Timestamp) -> &mut Process {
        if !self.processes.contains_key(&id) {
            self.make_room(now);
        }
        let process = self.processes.entry(id).or_insert_with(|| Process {
            arrivals: ArrivalCurve::default(),
            served: None,
            served_at: now,
            heard_at: now,
        });
        process.heard_at = now;
        process
    }

    /// Processes come and go; orders that wait keep theirs known.
    fn make_room(&mut self, now: Timestamp) {
        let (moved_at, serving) = (self.moved_at, self.now_serving_at);
        self.processes.retain(|_, it| {
            now.micros_since(it.heard_at) < GONE_AFTER_MICROS
                || it.waiting(it.served_until(moved_at, serving)) > 0
        });
        if self.processes.len() >= MAX_PROCESSES
            && let Some((longest_silent, _)) = self.processes.iter().min_by_key(|(_, it)| {
                let waiting = it.waiting(it.served_until(moved_at, serving));
                (waiting > 0, it.heard_at)
            })
        {
            let longest_silent = *longest_silent;
            self.processes.remove(&longest_silent);
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
        for process in self.processes.values() {
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
        let came_at = requested_at.or_else(|| self.oldest_waiting())?;
        Some(
            self.moved_at
                .map_or(came_at, |moved_at| moved_at.max(came_at)),
        )
    }

    /// By when the longest-waiting order had come. `None` if nothing waits.
    pub(super) fn oldest_waiting(&self) -> Option<Timestamp> {
        let waiting = self.processes.values().filter_map(|it| {
            let served = it.served_until(self.moved_at, self.now_serving_at);
            // What was there before the first announcement that was
            // heard may be decided as well.
            let decided = it.decided(served).or_else(|| it.arrivals.first())?;
            it.arrivals.exceeds(decided)
        });
        waiting.min()
    }

    /// Whether no process was heard of.
    pub(super) fn is_unheard(&self) -> bool {
        self.processes.is_empty()
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
        const MANY: u32 = 3_000;
        let mut line = Line::default();
        let now = Timestamp::MIN.plus_seconds(100);
        line.hear_accepted(&accepted(0, now, 0), now);
        line.hear_accepted(&accepted(0, now.plus_micros(1), 7), now);
        for process in 1..MANY {
            let now = now.plus_micros(process * 1_000);
            line.hear_accepted(&accepted(process, now, 9), now);
            assert!(line.processes.len() <= MAX_PROCESSES);
        }
        assert_eq!(line.processes.len(), MAX_PROCESSES);
        assert_eq!(line.processes[&ProcessId::new(0)].waiting(None), 7 * PARTS);
        // Even of those whose orders wait, the ones not heard of for longest go.
        for process in MANY..2 * MANY {
            let now = now.plus_micros(process * 1_000);
            line.hear_accepted(&accepted(process, now, 0), now);
            line.hear_accepted(&accepted(process, now.plus_micros(1), 1), now);
            assert!(line.processes.len() <= MAX_PROCESSES);
        }
        assert!(line.processes.values().all(|it| it.waiting(None) == PARTS));
    }

    #[test]
    fn tells_how_many_are_ahead_however_many_processes_accept() {
        const PROCESSES: u32 = 500;
        const EACH: u64 = 20;
        let mut line = Line::default();
        let start = Timestamp::MIN.plus_seconds(100);
        for tick in 0..=EACH {
            let now = start.plus_micros(u32::try_from(tick).unwrap() * 100_000);
            for process in 0..PROCESSES {
                line.hear_accepted(&accepted(process, now, tick), now);
            }
        }
        let last = start.plus_seconds(2);
        let now = last.plus_seconds(1);
        assert_eq!(
            line.orders_ahead(None, now),
            Some(u64::from(PROCESSES) * EACH)
        );
        let points = line.processes.values().map(|it| it.arrivals.len());
        assert!(points.sum::<usize>() <= ALL_POINTS);
        let half = line.orders_ahead(Some(start.plus_seconds(1)), now).unwrap();
        assert!(
            half.abs_diff(u64::from(PROCESSES) * EACH / 2) <= u64::from(PROCESSES),
            "{half}"
        );
    }
}
