//! What happened over time, in intervals of equal length.

use black_box::administration::Seats;
use black_box::proof::told::{Answer, NEVER};
use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, SeatsSample};

/// Intervals at most.
const MAX_POINTS: u64 = 150;
/// Lengths that an interval may have, in µs.
const LENGTHS: [u64; 11] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    600_000_000,
];

/// Everything that is plotted over time: one value per interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Series {
    /// Length of an interval.
    pub(crate) interval_seconds: f64,
    /// Orders that were due, per second.
    pub(crate) arrivals_per_second: Vec<f64>,
    /// Orders that were first sent, per second.
    pub(crate) sent_per_second: Vec<f64>,
    /// Orders that were accepted, per second.
    pub(crate) accepted_per_second: Vec<f64>,
    /// Orders that the gate refused, per second.
    pub(crate) refused_by_gate_per_second: Vec<f64>,
    /// Verdicts per second.
    pub(crate) verdicts_per_second: Vec<f64>,
    /// Buyers who heard their verdict, per second.
    pub(crate) heard_per_second: Vec<f64>,
    /// Orders that are accepted and not decided, at the end of the interval.
    pub(crate) backlog: Vec<u64>,
    /// How all seats stood before the first order.
    #[serde(default)]
    pub(crate) seats_before: Option<Seats>,
    /// Seats that are left, at the end of the interval.
    pub(crate) available: Vec<u64>,
    /// Seats of reserved tickets.
    pub(crate) held: Vec<u64>,
    /// Seats of confirmed tickets.
    pub(crate) sold: Vec<u64>,
}

impl Series {
    /// Of a sale that is over.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let end = end(outcome);
        let length = LENGTHS
            .into_iter()
            .find(|length| end / length < MAX_POINTS)
            .unwrap_or(LENGTHS[LENGTHS.len() - 1]);
        let points = usize::try_from(end / length + 1).unwrap_or(1);
        let seconds = length as f64 / 1e6;
        let count = |instants: &mut dyn Iterator<Item = u64>| {
            let mut counts = vec![0_u64; points];
            for at in instants {
                let place = usize::try_from(at / length).unwrap_or(points);
                if let Some(count) = counts.get_mut(place) {
                    *count += 1;
                }
            }
            counts
        };
        let rates = |counts: &[u64]| -> Vec<f64> {
            let rates = counts.iter().map(|count| *count as f64 / seconds);
            rates.collect()
        };
        let told = || outcome.told.iter();
        let answered = |answer: Answer| {
            let answered = told().filter(move |told| told.answer == answer);
            answered.map(|told| told.answered).filter(|at| *at != NEVER)
        };
        let accepted = count(&mut answered(Answer::Accepted));
        let decided = count(&mut decided(outcome));
        let ends = (0..=points as u64).map(|point| point * length);
        let mut seats = seats(outcome, ends.collect());
        // Nobody has looked before the first order if one is missing.
        let seats_before = (seats.len() > points).then(|| seats.remove(0));
        Self {
            interval_seconds: seconds,
            arrivals_per_second: rates(&count(
                &mut outcome.plan.iter().map(|order| order.at_micros),
            )),
            sent_per_second: rates(&count(
                &mut told().map(|told| told.sent).filter(|at| *at != NEVER),
            )),
            accepted_per_second: rates(&accepted),
            refused_by_gate_per_second: rates(&count(&mut answered(Answer::SoldOutByGate))),
            verdicts_per_second: rates(&decided),
            heard_per_second: rates(&count(
                &mut told().map(|told| told.heard).filter(|at| *at != NEVER),
            )),
            backlog: backlog(&accepted, &decided),
            seats_before,
            available: seats.iter().map(|seats| seats.available).collect(),
            held: seats.iter().map(|seats| seats.held).collect(),
            sold: seats.iter().map(|seats| seats.sold).collect(),
        }
    }

    /// The end of each interval, in seconds from the start.
    pub(crate) fn instants(&self) -> Vec<f64> {
        (1..=self.arrivals_per_second.len())
            .map(|point| point as f64 * self.interval_seconds)
            .collect()
    }
}

/// Instants of all verdicts, in µs from the start.
fn decided(outcome: &Outcome) -> impl Iterator<Item = u64> {
    let tickets = outcome.stored.tickets.iter();
    tickets.filter_map(|ticket| u64::try_from(ticket.decided_at - outcome.started_at).ok())
}

/// When the last thing happened that is plotted.
fn end(outcome: &Outcome) -> u64 {
    let arrival = outcome.plan.last().map(|order| order.at_micros);
    let heard = outcome
        .told
        .iter()
        .flat_map(|told| [told.answered, told.heard]);
    let heard = heard.filter(|at| *at != NEVER);
    let seats = settled(&outcome.seats);
    decided(outcome)
        .chain(arrival)
        .chain(heard)
        .chain(seats)
        .max()
        .unwrap_or_default()
}

/// When the seats were first seen as they stayed: they are looked at for as long
/// as verdicts are read, which nobody wants to see.
fn settled(seats: &[SeatsSample]) -> Option<u64> {
    let last = seats.last()?.seats;
    let same = seats.iter().rev();
    let same = same.take_while(|sample| sample.seats == last);
    same.last().map(|sample| sample.at)
}

/// Accepted so far without those decided so far; a verdict may come before the
/// answer that says accepted.
fn backlog(accepted: &[u64], decided: &[u64]) -> Vec<u64> {
    let mut total = (0_u64, 0_u64);
    accepted
        .iter()
        .zip(decided)
        .map(|(accepted, decided)| {
            total = (total.0 + accepted, total.1 + decided);
            total.0.saturating_sub(total.1)
        })
        .collect()
}

/// The most orders that were accepted and undecided at any instant.
pub(super) fn backlog_peak(outcome: &Outcome) -> u64 {
    let accepted = outcome
        .told
        .iter()
        .filter(|told| told.answer == Answer::Accepted && told.answered != NEVER)
        .map(|told| (told.answered, 1_i64));
    let mut changes: Vec<(u64, i64)> = accepted
        .chain(decided(outcome).map(|at| (at, -1)))
        .collect();
    changes.sort_unstable();
    let mut waiting = 0_i64;
    let peak = changes.iter().map(|(_, change)| {
        waiting += change;
        waiting
    });
    u64::try_from(peak.max().unwrap_or_default()).unwrap_or_default()
}

/// Seats at these instants from the start: by every change where the store can
/// be read, or else as they were last seen.
fn seats(outcome: &Outcome, instants: Vec<u64>) -> Vec<Seats> {
    if let Some(history) = &outcome.history {
        let since_1970 = |at: u64| outcome.started_at + i64::try_from(at).unwrap_or_default();
        let since_1970: Vec<i64> = instants.into_iter().map(since_1970).collect();
        let whole = |seats: i64| u64::try_from(seats).unwrap_or_default();
        let totals = history.totals_at(&since_1970).into_iter();
        return totals
            .map(|total| Seats {
                available: whole(total.available),
                held: whole(total.held),
                sold: whole(total.sold),
            })
            .collect();
    }
    let at = instants.into_iter().filter_map(|instant| {
        let seen = outcome.seats.partition_point(|sample| sample.at <= instant);
        Some(outcome.seats.get(seen.checked_sub(1)?)?.seats)
    });
    at.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_is_what_was_accepted_and_not_decided() {
        assert_eq!(backlog(&[5, 3, 0], &[1, 4, 3]), [4, 3, 0]);
        assert_eq!(backlog(&[0, 1], &[1, 0]), [0, 0]);
    }

    #[test]
    fn looking_on_after_the_last_change_does_not_make_a_sale_longer() {
        let seen = |at: u64, sold: u64| SeatsSample {
            at,
            seats: Seats {
                available: 10 - sold,
                held: 0,
                sold,
            },
        };
        assert_eq!(settled(&[]), None);
        assert_eq!(settled(&[seen(0, 0)]), Some(0));
        let seats = [
            seen(0, 0),
            seen(25, 7),
            seen(50, 9),
            seen(75, 9),
            seen(99, 9),
        ];
        assert_eq!(settled(&seats), Some(50));
    }
}
