//! What faults cost: how long nobody got a verdict, and how long no order was
//! accepted.

use std::collections::{BTreeMap, HashMap};

use black_box::proof::told::Answer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::outcome::Outcome;
use crate::scenario::faults::FaultKind;

/// A fault and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaultFigures {
    /// What.
    pub(crate) kind: FaultKind,
    /// To what.
    pub(crate) target: String,
    /// When it began, in seconds from the start.
    pub(crate) at_seconds: f64,
    /// Until it was over and what it had ended was ready again.
    pub(crate) lasted_seconds: f64,
    /// The longest time in which accepted orders waited and none got its verdict.
    pub(crate) without_verdict_seconds: f64,
    /// The same of the orders for one show, of the show where it was longest:
    /// others may have gone on.
    pub(crate) show_without_verdict_seconds: f64,
    /// The longest time in which orders were due that were accepted in the end,
    /// and none was.
    pub(crate) without_acceptance_seconds: f64,
}

/// All faults of one kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KindFigures {
    /// What.
    pub(crate) kind: FaultKind,
    /// How many.
    pub(crate) number: usize,
    /// The longest and the median of each cost, in the sequence of [`COSTS`].
    pub(crate) costs: [(f64, f64); 3],
}

/// What tables call it, and its seconds.
type Cost = (&'static str, fn(&FaultFigures) -> f64);

/// What is measured of a fault.
pub(crate) const COSTS: [Cost; 3] = [
    ("no verdict", |fault| fault.without_verdict_seconds),
    ("none for a show", |fault| {
        fault.show_without_verdict_seconds
    }),
    ("no acceptance", |fault| fault.without_acceptance_seconds),
];

/// Every fault of a run.
pub(super) fn figures(outcome: &Outcome) -> Vec<FaultFigures> {
    let faults = &outcome.chaos.faults;
    let starts: Vec<u64> = faults.iter().map(|fault| fault.at).collect();
    let from_start = |at: i64| u64::try_from(at - outcome.started_at).unwrap_or_default();
    let tickets = outcome.stored.tickets.iter();
    let mut of_shows: HashMap<u32, Vec<Wait>> = HashMap::new();
    let mut accepted: HashMap<Uuid, u64> = HashMap::new();
    for ticket in tickets {
        let from = from_start(ticket.requested_at);
        accepted.insert(ticket.id, from);
        of_shows.entry(ticket.show).or_default().push(Wait {
            from,
            until: from_start(ticket.decided_at),
        });
    }
    let verdicts: Vec<Wait> = of_shows.values().flatten().copied().collect();
    let orders = outcome.plan.iter().zip(&outcome.told);
    let acceptances: Vec<Wait> = orders
        .filter(|(_, told)| told.answer == Answer::Accepted)
        .filter_map(|(planned, told)| {
            let until = *accepted.get(&told.ticket?)?;
            let from = planned.at_micros.min(until);
            Some(Wait { from, until })
        })
        .collect();
    let costs = |waits: &[Wait]| longest_silences(waits, &starts);
    let (all, acceptance) = (costs(&verdicts), costs(&acceptances));
    let mut show = vec![0; faults.len()];
    for waits in of_shows.values() {
        for (longest, silence) in show.iter_mut().zip(costs(waits)) {
            *longest = silence.max(*longest);
        }
    }
    let costs = all.into_iter().zip(show).zip(acceptance);
    faults
        .iter()
        .zip(costs)
        .map(|(fault, ((all, show), acceptance))| FaultFigures {
            kind: fault.kind,
            target: fault.target.clone(),
            at_seconds: seconds(fault.at),
            lasted_seconds: seconds(fault.ended.saturating_sub(fault.at)),
            without_verdict_seconds: seconds(all),
            show_without_verdict_seconds: seconds(show),
            without_acceptance_seconds: seconds(acceptance),
        })
        .collect()
}

/// With ms, which is what it is exact to.
fn seconds(micros: u64) -> f64 {
    (micros as f64 / 1e3).round() / 1e3
}

/// Faults by their kind, in the sequence of [`FaultKind`].
pub(crate) fn by_kind(faults: &[FaultFigures]) -> Vec<KindFigures> {
    let mut kinds: BTreeMap<FaultKind, Vec<&FaultFigures>> = BTreeMap::new();
    for fault in faults {
        kinds.entry(fault.kind).or_default().push(fault);
    }
    let longest_and_median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let longest = values.last().copied().unwrap_or_default();
        (longest, values[values.len() / 2])
    };
    kinds
        .into_iter()
        .map(|(kind, faults)| {
            let all = |cost: fn(&FaultFigures) -> f64| faults.iter().copied().map(cost).collect();
            KindFigures {
                kind,
                number: faults.len(),
                costs: COSTS.map(|(_, cost)| longest_and_median(all(cost))),
            }
        })
        .collect()
}

/// Somebody waits for something, from one instant until another, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wait {
    from: u64,
    until: u64,
}

/// For each of these ascending instants, the longest silence of its time, which
/// goes up to the next instant, or without end for the last.
///
/// A silence is a stretch in which somebody waits all the time and no wait ends.
/// It begins when the wait before ended, or, if nobody waited then, when the
/// first of those began that wait at its end. One that is in the time of several
/// instants counts whole, for the one that has most of it: which of two faults
/// an outage is due to is not known, but it is never told in parts, nor twice.
fn longest_silences(waits: &[Wait], instants: &[u64]) -> Vec<u64> {
    let mut longest = vec![0; instants.len()];
    for silence in silences(waits) {
        // The time before the first instant is nobody's.
        let first = instants.partition_point(|instant| *instant <= silence.from);
        let end = instants.partition_point(|instant| *instant < silence.until);
        let part = |place: &usize| {
            let from = place.checked_sub(1).map_or(0, |before| instants[before]);
            let until = instants.get(*place).copied().unwrap_or(u64::MAX);
            until.min(silence.until) - from.max(silence.from)
        };
        let most = (first..=end).max_by_key(part);
        let place = most.and_then(|place| place.checked_sub(1));
        if let Some(longest) = place.and_then(|place| longest.get_mut(place)) {
            *longest = silence.length().max(*longest);
        }
    }
    longest
}

fn silences(waits: &[Wait]) -> Vec<Wait> {
    let mut waits = waits.to_vec();
    waits.sort_by_key(|wait| wait.until);
    // Since when the longest of those waits that is not over before this place.
    let mut earliest = u64::MAX;
    let mut silences = Vec::new();
    for place in (0..waits.len()).rev() {
        earliest = earliest.min(waits[place].from);
        let before = place.checked_sub(1).map_or(0, |before| waits[before].until);
        let silence = Wait {
            from: earliest.max(before),
            until: waits[place].until,
        };
        if silence.from < silence.until {
            silences.push(silence);
        }
    }
    silences
}

impl Wait {
    const fn length(self) -> u64 {
        self.until - self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(all: &[(u64, u64)]) -> Vec<Wait> {
        all.iter()
            .map(|(from, until)| Wait {
                from: *from,
                until: *until,
            })
            .collect()
    }

    /// Everybody waits for 1, one comes every 10; nothing happens from 50 to 80.
    fn outage() -> Vec<Wait> {
        let mut all: Vec<_> = (0..20).map(|at| (at * 10, at * 10 + 1)).collect();
        for late in [5, 6, 7] {
            all[late].1 = 80;
        }
        waits(&all)
    }

    #[test]
    fn a_silence_lasts_from_when_somebody_waits_to_the_next_end_of_a_wait() {
        assert_eq!(longest_silences(&outage(), &[45]), [30]);
    }

    #[test]
    fn nobody_waits_is_no_silence() {
        let apart = waits(&[(0, 1), (1_000, 1_005)]);
        assert_eq!(longest_silences(&apart, &[0]), [5]);
        assert_eq!(longest_silences(&[], &[0, 7]), [0, 0]);
    }

    #[test]
    fn a_silence_is_of_the_fault_that_has_most_of_it_and_of_no_other() {
        // From 20 on 1 is the longest until 50, where the outage begins.
        assert_eq!(longest_silences(&outage(), &[20, 49, 90]), [1, 30, 1]);
        assert_eq!(longest_silences(&outage(), &[20, 52, 90]), [1, 30, 1]);
        assert_eq!(longest_silences(&outage(), &[20, 70, 90]), [30, 1, 1]);
        assert_eq!(longest_silences(&outage(), &[52, 58, 75]), [0, 30, 1]);
        assert_eq!(longest_silences(&outage(), &[70]), [1]);
    }

    #[test]
    fn a_wait_that_others_overtake_is_no_silence() {
        let mut all = outage();
        all.push(Wait {
            from: 0,
            until: 195,
        });
        all.push(Wait {
            from: 91,
            until: 92,
        });
        assert_eq!(longest_silences(&all, &[82]), [10]);
    }

    #[test]
    fn kinds_are_summed_up() {
        let fault = |kind, verdict: f64| FaultFigures {
            kind,
            target: "x".to_owned(),
            at_seconds: 0.0,
            lasted_seconds: 0.0,
            without_verdict_seconds: verdict,
            show_without_verdict_seconds: verdict * 2.0,
            without_acceptance_seconds: verdict / 2.0,
        };
        let faults = [
            fault(FaultKind::StoreCut, 4.0),
            fault(FaultKind::WorkerKilled, 2.0),
            fault(FaultKind::StoreCut, 1.0),
            fault(FaultKind::StoreCut, 2.0),
        ];
        let kinds = by_kind(&faults);
        assert_eq!(kinds.len(), 2);
        assert_eq!(
            (kinds[0].kind, kinds[0].number),
            (FaultKind::WorkerKilled, 1)
        );
        assert_eq!(kinds[1].number, 3);
        assert_eq!(kinds[1].costs, [(4.0, 2.0), (8.0, 4.0), (2.0, 1.0)]);
    }
}
