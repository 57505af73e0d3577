//! What happened to the requests of a run.

use std::collections::BTreeMap;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// What a request asks for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Step {
    /// `POST /tickets`
    Order,
    /// `GET /tickets/{id}`
    Poll,
    /// `POST /tickets/{id}/confirm`
    Confirm,
    /// `POST /tickets/{id}/cancel`
    Cancel,
}

/// Why a request has no answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Why {
    /// Given up after the time that a client waits.
    TimedOut,
    /// The connection broke before the answer.
    Broken,
    /// No connection could be opened: surely not sent.
    Unreachable,
}

/// What happened to the requests of a run, by what they ask for.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answers by status and, of a problem, its code.
    pub(crate) answers: BTreeMap<(Step, u16, String), u64>,
    /// Requests without one.
    pub(crate) unanswered: BTreeMap<(Why, Step), u64>,
    /// From the intended instant to the sending, in µs, of orders and of all else.
    pub(crate) lateness: [Histogram<u64>; 2],
    /// From sending to the whole answer, in µs.
    pub(crate) response: BTreeMap<Step, Histogram<u64>>,
    /// From the intended instant to the whole answer, in µs.
    pub(crate) latency: BTreeMap<Step, Histogram<u64>>,
    /// Orders whose client heard the verdict.
    pub(crate) heard: u64,
    /// Requests sent.
    pub(crate) sent: u64,
    /// Orders accepted.
    pub(crate) accepted: u64,
    /// Answers that cannot be true beside another one.
    pub(crate) contradicted: u64,
    /// The first of them, in words.
    pub(crate) contradictions: Vec<String>,
}

/// The longest that a histogram tells apart: an hour, in µs.
const LONGEST: u64 = 3_600_000_000;

/// A histogram of µs with three digits.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Histogram::new_with_max(LONGEST, 3).context("histogram")
}

impl Tally {
    /// Of nothing yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let by_step = || {
            let all = Step::VARIANTS.iter();
            all.map(|step| Ok((*step, histogram()?)))
                .collect::<anyhow::Result<_>>()
        };
        Ok(Self {
            answers: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            lateness: [histogram()?, histogram()?],
            response: by_step()?,
            latency: by_step()?,
            heard: 0,
            sent: 0,
            accepted: 0,
            contradicted: 0,
            contradictions: Vec::new(),
        })
    }

    /// A request is sent.
    pub(crate) fn sent(&mut self, step: Step, late_by: u64) {
        self.sent += 1;
        let [orders, others] = &mut self.lateness;
        let lateness = if step == Step::Order { orders } else { others };
        lateness.saturating_record(late_by.max(1));
    }

    /// No answer came.
    pub(crate) fn unanswered(&mut self, step: Step, why: Why) {
        *self.unanswered.entry((why, step)).or_default() += 1;
    }

    /// An answer came: `code` is that of a problem, or empty.
    pub(crate) fn answered(
        &mut self,
        step: Step,
        status: u16,
        code: &str,
        response: u64,
        latency: u64,
    ) {
        let answer = (step, status, code.to_owned());
        *self.answers.entry(answer).or_default() += 1;
        if let Some(histogram) = self.response.get_mut(&step) {
            histogram.saturating_record(response.max(1));
        }
        if let Some(histogram) = self.latency.get_mut(&step) {
            histogram.saturating_record(latency.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_told_from_a_second() {
        let mut tally = Tally::new().unwrap();
        tally.sent(Step::Order, 60_000_000);
        tally.answered(Step::Order, 202, "", 1_000_000, 60_000_000);
        tally.answered(Step::Order, 503, "queue_unavailable", 1, 1);
        let near = |micros: u64, expected: u64| {
            assert!(
                micros.abs_diff(expected) <= expected / 500,
                "{micros} is not {expected}"
            );
        };
        near(tally.lateness[0].max(), 60_000_000);
        near(tally.latency[&Step::Order].max(), 60_000_000);
        near(tally.response[&Step::Order].max(), 1_000_000);
        let refused = (Step::Order, 503, "queue_unavailable".to_owned());
        assert_eq!(tally.answers[&refused], 1);
        assert!(tally.lateness[1].is_empty());
    }
}
