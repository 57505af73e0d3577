//! What the client of each order was told.

use std::collections::BTreeMap;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::proof::ticket::States;

/// An instant that never came.
pub const NEVER: u64 = u64::MAX;

/// What the client of one order knows. Instants are µs from the start of the sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When it was first sent.
    pub sent: u64,
    /// When an answer said what became of it, for the first time.
    pub answered: u64,
    /// When its verdict was heard.
    pub heard: u64,
    /// The id that an answer named.
    pub ticket: Option<Uuid>,
    /// What the latest answer that counts said.
    pub answer: Answer,
    /// States that were heard of.
    pub states: States,
    /// What came of confirming or cancelling it.
    pub change: ChangeAnswer,
    /// Times that it was sent.
    pub sends: u8,
    /// Whether a sending ended without a word about what became of it.
    pub uncertain: bool,
    /// Whether a WebSocket connection has subscribed to it.
    pub subscribed: bool,
    /// States that a subscription told.
    pub notified: States,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            sent: NEVER,
            answered: NEVER,
            heard: NEVER,
            ticket: None,
            answer: Answer::Unsent,
            states: States::default(),
            change: ChangeAnswer::NotAsked,
            sends: 0,
            uncertain: false,
            subscribed: false,
            notified: States::default(),
        }
    }
}

/// What placing an order came to, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It was never sent.
    Unsent,
    /// No answer, on any of its sendings.
    Unanswered,
    /// Refused, so that it does not exist: `503`, or anything unexpected.
    Refused,
    /// Refused by the sold-out gate.
    SoldOutByGate,
    /// It may be queued: `503 outcome_unknown`.
    OutcomeUnknown,
    /// It is queued or decided: `202` or `200`.
    Accepted,
}

/// What confirming or cancelling a ticket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeAnswer {
    /// The buyer did not ask for it.
    NotAsked,
    /// No answer that says what happened.
    Unknown,
    /// `200`
    Done,
    /// `409 hold_expired`
    HoldExpired,
    /// Refused for another reason.
    Refused,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `POST /tickets`
    Order,
    /// `GET /tickets/{id}`
    Poll,
    /// `POST /tickets/{id}/confirm`
    Confirm,
    /// `POST /tickets/{id}/cancel`
    Cancel,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Order, Self::Poll, Self::Confirm, Self::Cancel];

    /// As reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Poll => "poll",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }
}

/// What happened to the requests of a run, by what they ask for.
#[derive(Debug)]
pub struct Tally {
    /// Answers by status and, of a problem, its code.
    pub answers: BTreeMap<(Step, u16, String), u64>,
    /// Given up after the time that a client waits.
    pub timed_out: BTreeMap<Step, u64>,
    /// The connection broke before the answer.
    pub broken: BTreeMap<Step, u64>,
    /// No connection could be opened: surely not sent.
    pub unreachable: BTreeMap<Step, u64>,
    /// From the intended instant to the sending, in µs, of orders and of all else.
    pub lateness: [Histogram<u64>; 2],
    /// From sending to the whole answer, in µs.
    pub response: BTreeMap<Step, Histogram<u64>>,
    /// From the intended instant to the whole answer, in µs.
    pub latency: BTreeMap<Step, Histogram<u64>>,
    /// Orders whose client heard the verdict.
    pub heard: u64,
    /// Requests sent.
    pub sent: u64,
    /// Orders accepted.
    pub accepted: u64,
    /// Answers that cannot be true beside another one.
    pub contradicted: u64,
    /// The first of them, in words.
    pub contradictions: Vec<String>,
}

/// The longest that a histogram tells apart: an hour, in µs.
const LONGEST: u64 = 3_600_000_000;

/// A histogram of µs with three digits.
///
/// # Errors
/// Never: three digits are possible.
pub fn histogram() -> anyhow::Result<Histogram<u64>> {
    Histogram::new_with_max(LONGEST, 3).context("histogram")
}

impl Tally {
    /// Of nothing yet.
    ///
    /// # Errors
    /// Never.
    pub fn new() -> anyhow::Result<Self> {
        let by_step = || {
            let all = Step::ALL.into_iter();
            all.map(|step| Ok((step, histogram()?)))
                .collect::<anyhow::Result<_>>()
        };
        Ok(Self {
            answers: BTreeMap::new(),
            timed_out: BTreeMap::new(),
            broken: BTreeMap::new(),
            unreachable: BTreeMap::new(),
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
    pub fn sent(&mut self, step: Step, late_by: u64) {
        self.sent += 1;
        let [orders, others] = &mut self.lateness;
        let lateness = if step == Step::Order { orders } else { others };
        lateness.saturating_record(late_by.max(1));
    }

    /// An answer came: `code` is that of a problem, or empty.
    pub fn answered(&mut self, step: Step, status: u16, code: &str, response: u64, latency: u64) {
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
