//! Sides that are measured in turns of one run, so that a busy moment of the
//! machine hits all of them.

use std::fmt;

use anyhow::Context;
use black_box::load::Measured;
use serde::{Deserialize, Serialize};

use super::cpu::CpuMicros;
use crate::digits::{factor, millis, rate};

const NO_ROUND: &str = "no round was measured: raise the number of rounds";

/// One side in one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Orders answered with 202, or refused where that is what is measured.
    pub(crate) accepted_per_second: f64,
    /// Median time from sending to the whole answer.
    pub(crate) p50_micros: u64,
    /// What 99 of 100 answers took at most.
    pub(crate) p99_micros: u64,
    /// CPU time by process.
    pub(crate) cpu_micros_per_order: CpuMicros,
}

impl Round {
    /// Orders answered with `status`, with what they cost.
    pub(crate) fn answered(
        status: u16,
        measured: &Measured,
        cpu_micros_per_order: CpuMicros,
    ) -> Self {
        let latency = &measured.latency_micros;
        Self {
            accepted_per_second: measured.rate(status),
            p50_micros: latency.value_at_quantile(0.5),
            p99_micros: latency.value_at_quantile(0.99),
            cpu_micros_per_order,
        }
    }

    /// Of a table: rate, how the service does beside it, p50 and p99 in ms, and CPU time.
    pub(crate) fn cells(&self, beside: Option<Ratio>) -> [String; 5] {
        [
            rate(self.accepted_per_second),
            beside.map_or(String::new(), |ratio| ratio.to_string()),
            millis(self.p50_micros),
            millis(self.p99_micros),
            self.cpu_micros_per_order.to_string(),
        ]
    }

    /// The round in the middle by rate.
    ///
    /// # Errors
    /// Of no round.
    pub(crate) fn median(mut turns: Vec<Self>) -> anyhow::Result<Self> {
        turns.sort_by(|a, b| a.accepted_per_second.total_cmp(&b.accepted_per_second));
        let middle = turns.len() / 2;
        turns.into_iter().nth(middle).context(NO_ROUND)
    }
}

/// How one side does beside another, round by round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The round in the middle.
    pub(crate) median: f64,
    /// The worst round.
    pub(crate) lowest: f64,
    /// The best round.
    pub(crate) highest: f64,
}

impl Ratio {
    /// Of rates, `side` by `beside`.
    ///
    /// # Errors
    /// Of no round.
    pub(crate) fn of(side: &[Round], beside: &[Round]) -> anyhow::Result<Self> {
        let rates = |rounds: &[Round]| -> Vec<f64> {
            let rounds = rounds.iter();
            rounds.map(|round| round.accepted_per_second).collect()
        };
        Self::of_rates(&rates(side), &rates(beside))
    }

    /// The same of rates alone.
    ///
    /// # Errors
    /// Of no round.
    pub(crate) fn of_rates(side: &[f64], beside: &[f64]) -> anyhow::Result<Self> {
        let rounds = side.iter().zip(beside);
        let mut ratios: Vec<f64> = rounds.map(|(side, beside)| side / beside).collect();
        ratios.sort_by(f64::total_cmp);
        let at = |place| ratios.get(place).copied().context(NO_ROUND);
        Ok(Self {
            median: at(ratios.len() / 2)?,
            lowest: at(0)?,
            highest: at(ratios.len().saturating_sub(1))?,
        })
    }
}

/// `0.45 (0.41 to 0.47)`, the rounds in brackets.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, lowest, highest] = [self.median, self.lowest, self.highest].map(factor);
        write!(f, "{median} ({lowest} to {highest})")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hdrhistogram::Histogram;

    use super::*;
    use crate::benchmarks::cpu::Meter;

    fn turns(accepted: &[u64]) -> Vec<Round> {
        let turn = |accepted: &u64| {
            let measured = Measured {
                by_status: [(202, *accepted)].into(),
                latency_micros: Histogram::new(3).unwrap(),
                started: Instant::now(),
                elapsed: Duration::from_secs(1),
            };
            Round::answered(
                202,
                &measured,
                Meter::start([]).unwrap().per(*accepted).unwrap(),
            )
        };
        accepted.iter().map(turn).collect()
    }

    #[test]
    fn the_ratio_is_that_of_each_round() {
        let ratio = Ratio::of(&turns(&[10, 40, 30]), &turns(&[10, 20, 60])).unwrap();
        assert_eq!((ratio.lowest, ratio.median, ratio.highest), (0.5, 1.0, 2.0));
        assert_eq!(ratio.to_string(), "1.00 (0.50 to 2.00)");
        assert!(Ratio::of(&[], &[]).is_err());
    }

    #[test]
    fn the_median_is_a_round_that_took_place() {
        let median = Round::median(turns(&[30, 10, 20])).unwrap();
        assert!((median.accepted_per_second - 20.0).abs() < 1e-9);
        assert!(Round::median(Vec::new()).is_err());
    }
}
