//! How many orders one process had accepted by when.

use std::collections::VecDeque;

use super::intervals::ANNOUNCED_EVERY_MICROS;
use crate::time::Timestamp;

/// The most points of a curve: 51 s of announcements in full, hours of them thinned.
pub(super) const MAX_POINTS: usize = 512;
/// The least that a curve may have to do with, if there are many.
pub(super) const FEWEST_POINTS: usize = 16;
/// Numbers of orders between two points are counted in these parts of an order.
pub(super) const PARTS: u128 = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    through: Timestamp,
    total: u64,
}

impl Point {
    fn parts(self) -> u128 {
        u128::from(self.total) * PARTS
    }
}

/// On the straight line from `before` to `next`.
fn between(before: Point, next: Point, instant: Timestamp) -> u128 {
    let gone = u128::from(instant.micros_since(before.through));
    let span = u128::from(next.through.micros_since(before.through)).max(1);
    before.parts() + (next.parts() - before.parts()) * gone / span
}

/// A curve that only grows, known at some points and straight between them.
#[derive(Debug, Default)]
pub(super) struct ArrivalCurve {
    points: VecDeque<Point>,
}

impl ArrivalCurve {
    /// Takes the next point; an older one, or the same again, changes nothing. Keeps at most
    /// `max_points`, or [`FEWEST_POINTS`].
    pub(super) fn extend(&mut self, through: Timestamp, total: u64, max_points: usize) {
        let Some(last) = self.points.back_mut() else {
            self.points.push_back(Point { through, total });
            return;
        };
        if total <= last.total || through < last.through {
            return;
        }
        if through == last.through {
            last.total = total;
            return;
        }
        // Had an order come earlier, it would have been announced earlier.
        let began = through.minus_micros(ANNOUNCED_EVERY_MICROS);
        if began.micros_since(last.through) > u64::from(ANNOUNCED_EVERY_MICROS) {
            let total = last.total;
            self.points.push_back(Point {
                through: began,
                total,
            });
        }
        self.points.push_back(Point { through, total });
        while self.points.len() > max_points.max(FEWEST_POINTS) {
            self.thin();
        }
    }

    /// Leaves out a quarter: of every second point those that the straight line
    /// between their neighbours misses by the fewest orders.
    fn thin(&mut self) {
        let last = self.points.len() - 1;
        let missed_by = |index: usize| {
            let (before, point, next) = (
                self.points[index - 1],
                self.points[index],
                self.points[index + 1],
            );
            between(before, next, point.through).abs_diff(point.parts())
        };
        let misses: Vec<_> = (1..last).step_by(2).map(missed_by).collect();
        let mut sorted = misses.clone();
        sorted.sort_unstable();
        let Some(median) = sorted.get(sorted.len() / 2) else {
            return;
        };
        let mut index = 0;
        self.points.retain(|_| {
            let miss = (index % 2 == 1 && index < last).then(|| misses[index / 2]);
            index += 1;
            miss.is_none_or(|miss| miss > *median)
        });
    }

    /// Drops what is not needed to tell the curve from `from` on.
    pub(super) fn forget_before(&mut self, from: Timestamp) {
        while self.points.get(1).is_some_and(|next| next.through <= from) {
            self.points.pop_front();
        }
    }

    /// Orders with a place up to `instant`, in [`PARTS`]; `None` if the curve
    /// does not reach back that far.
    pub(super) fn at(&self, instant: Timestamp) -> Option<u128> {
        let after = self.points.partition_point(|it| it.through <= instant);
        let next = self.points.get(after);
        let Some(before) = after.checked_sub(1).and_then(|it| self.points.get(it)) else {
            // Before the first order there was none.
            return next.filter(|first| first.total == 0).map(|_| 0);
        };
        let Some(next) = next else {
            return Some(before.parts());
        };
        Some(between(*before, *next, instant))
    }

    /// What [`Self::at`] was at the first point, if nothing is known before it.
    pub(super) fn first(&self) -> Option<u128> {
        self.points.front().map(|first| first.parts())
    }

    /// Whether the curve begins with the first order of all.
    pub(super) fn begins_with_none(&self) -> bool {
        self.points.front().is_some_and(|first| first.total == 0)
    }

    /// All orders so far, in [`PARTS`].
    pub(super) fn total(&self) -> Option<u128> {
        self.points.back().map(|last| last.parts())
    }

    /// By when the curve has certainly risen above `level` (in [`PARTS`]).
    pub(super) fn exceeds(&self, level: u128) -> Option<Timestamp> {
        let index = self.points.partition_point(|it| it.parts() <= level);
        self.points.get(index).map(|point| point.through)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.points.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000).unwrap()
    }

    fn orders(curve: &ArrivalCurve, millis: i64) -> Option<u128> {
        curve.at(at(millis)).map(|parts| parts / PARTS)
    }

    #[test]
    fn is_straight_between_points_flat_after_them_and_unknown_before() {
        let mut curve = ArrivalCurve::default();
        assert_eq!(orders(&curve, 1), None);
        curve.extend(at(1_000), 50, MAX_POINTS);
        curve.extend(at(1_100), 150, MAX_POINTS);
        assert_eq!(orders(&curve, 999), None);
        assert_eq!(orders(&curve, 1_000), Some(50));
        assert_eq!(orders(&curve, 1_025), Some(75));
        assert_eq!(orders(&curve, 9_000), Some(150));
        assert_eq!(curve.exceeds(49 * PARTS), Some(at(1_000)));
        assert_eq!(curve.exceeds(50 * PARTS), Some(at(1_100)));
        assert_eq!(curve.exceeds(150 * PARTS), None);
    }

    #[test]
    fn before_the_first_order_there_was_none() {
        let mut curve = ArrivalCurve::default();
        curve.extend(at(1_000), 0, MAX_POINTS);
        assert_eq!(orders(&curve, 1), Some(0));
        assert!(curve.begins_with_none());
    }

    /// Not a slow rise over the hour.
    #[test]
    fn orders_after_a_pause_came_within_the_last_announcement_interval() {
        let mut curve = ArrivalCurve::default();
        curve.extend(at(0), 100, MAX_POINTS);
        curve.extend(at(3_600_000), 300, MAX_POINTS);
        assert_eq!(orders(&curve, 3_599_900), Some(100));
        assert_eq!(orders(&curve, 3_599_950), Some(200));
        assert_eq!(curve.exceeds(100 * PARTS), Some(at(3_600_000)));
    }

    #[test]
    fn repetitions_and_older_points_change_nothing() {
        let mut curve = ArrivalCurve::default();
        curve.extend(at(1_000), 50, MAX_POINTS);
        curve.extend(at(1_100), 150, MAX_POINTS);
        for (millis, total) in [(1_000, 50), (1_100, 150), (1_050, 160), (1_200, 140)] {
            curve.extend(at(millis), total, MAX_POINTS);
            assert_eq!(curve.total(), Some(150 * PARTS));
            assert_eq!(curve.len(), 2);
        }
        // Counted after its place had been announced.
        curve.extend(at(1_100), 151, MAX_POINTS);
        assert_eq!((curve.total(), curve.len()), (Some(151 * PARTS), 2));
    }

    /// Nearly three hours of announcements, in which the rate changes every ten
    /// minutes: the curve keeps the bends and leaves out what is straight.
    #[test]
    fn is_bounded_and_keeps_its_shape_when_thinned() {
        const MINUTE: u64 = 60_000;
        let rate = |millis: u64| 1 + millis / (10 * MINUTE) % 3 * 4;
        let mut curve = ArrivalCurve::default();
        let mut totals = vec![0];
        for number in 1..100_000_u64 {
            totals.push(totals[totals.len() - 1] + rate(number * 100));
            let through = i64::try_from(number * 100).unwrap();
            curve.extend(at(through), totals[totals.len() - 1], MAX_POINTS);
            assert!(curve.len() <= MAX_POINTS);
        }
        let all = totals[totals.len() - 1];
        for (number, total) in (0..).zip(&totals).skip(1) {
            let told = orders(&curve, number * 100).unwrap();
            let off = told.abs_diff(u128::from(*total));
            assert!(off <= 5, "{off} of {all} off at {number}");
        }
        // What is decided is forgotten, up to the point before.
        let half = i64::try_from(MINUTE * 80).unwrap();
        let before = orders(&curve, half);
        curve.forget_before(at(half));
        assert_eq!(orders(&curve, half), before);
        curve.forget_before(Timestamp::MAX);
        assert_eq!(curve.len(), 1);
        assert_eq!(orders(&curve, 9_999_900), Some(u128::from(all)));
        assert_eq!(orders(&curve, 100), None);
    }
}
