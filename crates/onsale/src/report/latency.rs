//! Latencies.

use std::collections::{BTreeMap, HashMap};

use black_box::proof::order::{PlannedOrder, Reader};
use black_box::proof::ticket::StoredTicket;
use black_box::proof::told::{Answer, NEVER};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::outcome::Outcome;
use crate::outcome::tally::{Step, histogram};

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// How many.
    pub(crate) count: u64,
    /// The mean.
    pub(crate) mean: f64,
    /// Half of them are at most that.
    pub(crate) p50: u64,
    pub(crate) p75: u64,
    pub(crate) p90: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) p9999: u64,
    /// The largest.
    pub(crate) max: u64,
}

impl Percentiles {
    /// Of a histogram.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            mean: (histogram.mean() * 10.0).round() / 10.0,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.999_9),
            max: histogram.max(),
        }
    }

    /// The quantiles of plots with their values.
    pub(crate) const fn quantiles(&self) -> [(&'static str, u64); 8] {
        [
            ("p50", self.p50),
            ("p75", self.p75),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("p99.99", self.p9999),
            ("max", self.max),
        ]
    }
}

fn of_values(values: impl Iterator<Item = u64>) -> Option<Percentiles> {
    let mut histogram = histogram().ok()?;
    for value in values {
        histogram.saturating_record(value.max(1));
    }
    Some(Percentiles::of(&histogram))
}

/// From the intended instant to the sending.
pub(super) fn lateness(outcome: &Outcome) -> BTreeMap<String, Percentiles> {
    let [orders, others] = &outcome.tally.lateness;
    [("orders", orders), ("other_requests", others)]
        .into_iter()
        .filter(|(_, histogram)| !histogram.is_empty())
        .map(|(name, histogram)| (name.to_owned(), Percentiles::of(histogram)))
        .collect()
}

/// Every latency of the run, in µs: a list, of which each entry is one by its name.
pub(super) fn latencies(outcome: &Outcome) -> BTreeMap<String, Percentiles> {
    let by_id: HashMap<Uuid, &StoredTicket> = outcome
        .stored
        .tickets
        .iter()
        .map(|ticket| (ticket.id, ticket))
        .collect();
    let orders = || outcome.plan.iter().zip(&outcome.told);
    let accepted =
        || orders().filter(|(_, told)| told.answer == Answer::Accepted && told.answered != NEVER);
    let decided = || {
        accepted().filter_map(|(planned, told)| {
            let ticket = by_id.get(&told.ticket?)?;
            let at = u64::try_from(ticket.decided_at - outcome.started_at).unwrap_or_default();
            Some((planned, told, ticket, at))
        })
    };
    let heard = |reader: Reader| {
        decided()
            .filter(move |(planned, told, _, _)| planned.reader == reader && told.heard != NEVER)
    };
    let tally = &outcome.tally;
    let of_step = |histograms: &BTreeMap<Step, Histogram<u64>>, step: Step| {
        histograms.get(&step).map(Percentiles::of)
    };
    let since_due = |planned: &PlannedOrder, at: u64| at.saturating_sub(planned.at_micros);
    let mut all = BTreeMap::new();
    let mut add = |name: &str, figures: Option<Percentiles>| {
        if let Some(figures) = figures.filter(|figures| figures.count > 0) {
            all.insert(name.to_owned(), figures);
        }
    };
    add("order_answer", of_step(&tally.response, Step::Order));
    add("poll", of_step(&tally.latency, Step::Poll));
    add("confirm", of_step(&tally.latency, Step::Confirm));
    add("cancel", of_step(&tally.latency, Step::Cancel));
    let times = accepted().map(|(planned, told)| since_due(planned, told.answered));
    add("order_to_accepted", of_values(times));
    let times = decided().map(|(planned, _, _, at)| since_due(planned, at));
    add("order_to_verdict", of_values(times));
    let times = decided().map(|(_, _, ticket, _)| {
        u64::try_from(ticket.decided_at - ticket.requested_at).unwrap_or_default()
    });
    add("accepted_to_verdict", of_values(times));
    let times = heard(Reader::Poll).map(|(planned, told, ..)| since_due(planned, told.heard));
    add("order_to_heard_by_poll", of_values(times));
    let times = heard(Reader::WebSocket).map(|(planned, told, ..)| since_due(planned, told.heard));
    add("order_to_heard_by_websocket", of_values(times));
    let times = heard(Reader::WebSocket).map(|(_, told, _, at)| told.heard.saturating_sub(at));
    add("verdict_to_heard_by_websocket", of_values(times));
    all
}
