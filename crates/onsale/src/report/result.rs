//! The result of a run, as machines read it. `docs/LOAD.md` explains every field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::faults::FaultFigures;
use super::latency::Percentiles;
use super::series::Series;
use crate::outcome::tally::{Step, Why};
use crate::outcome::{Ending, MetricsFigures, WatcherFigures};
use crate::provenance::Provenance;
use crate::scenario::sale::Outline;

/// What a run was, beside its scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// Before the names of its shows and users.
    pub(crate) run: String,
    /// Repeats everything that was drawn.
    pub(crate) seed: u64,
    /// `memory`, `services` or the URL.
    pub(crate) on: String,
    /// How long it took to make the users.
    pub(crate) users_seconds: Option<f64>,
    /// What its figures stand on.
    #[serde(flatten)]
    pub(crate) provenance: Provenance,
}

/// The result of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// 1; other numbers mean other fields.
    pub(crate) format: u32,
    /// Whether nothing is wrong and every limit was kept.
    pub(crate) passed: bool,
    /// How often each kind of violation was found.
    pub(crate) violations: BTreeMap<String, u64>,
    /// The first violations of each kind, in words.
    pub(crate) examples: Vec<String>,
    /// Limits of the scenario that were not kept, what processes did that no fault
    /// explains, and metrics that do not agree, in words.
    pub(crate) missed: Vec<String>,
    /// Why the sale ended.
    pub(crate) ending: Ending,
    /// What the run was.
    pub(crate) setting: Setting,
    /// What was run.
    pub(crate) scenario: Outline,
    /// What became of the orders.
    pub(crate) orders: Orders,
    /// Verdicts of the store.
    pub(crate) verdicts: Verdicts,
    /// What holders asked for and were told.
    pub(crate) holds: Holds,
    /// How fast it went.
    pub(crate) pace: Pace,
    /// Latencies, by what took the time.
    pub(crate) latency_micros: BTreeMap<String, Percentiles>,
    /// From the intended instant to the sending: what the client itself cost.
    pub(crate) lateness_micros: BTreeMap<String, Percentiles>,
    /// Answers by request, status and code.
    pub(crate) answers: Vec<AnswerCount>,
    /// Requests without an answer.
    pub(crate) unanswered: Vec<UnansweredCount>,
    /// Connections of the client.
    pub(crate) connections: Connections,
    /// How buyers learned their verdict.
    pub(crate) readers: Readers,
    /// What was broken meanwhile, in sequence.
    pub(crate) faults: Vec<FaultFigures>,
    /// Processes on this machine.
    pub(crate) processes: Vec<ProcessFigures>,
    /// What happened over time.
    pub(crate) series: Series,
    /// What processes told Prometheus; `None` where it was not compared.
    #[serde(default)]
    pub(crate) metrics: Option<MetricsFigures>,
}

/// What became of the orders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Of the scenario.
    pub(crate) planned: u64,
    /// Sent at least once.
    pub(crate) sent: u64,
    /// Sendings beside the first ones.
    pub(crate) sent_again: u64,
    /// With an `Idempotency-Key`.
    pub(crate) keyed: u64,
    /// Answered `202` or `200`.
    pub(crate) accepted: u64,
    /// Refused by the sold-out gate.
    pub(crate) sold_out_by_gate: u64,
    /// Refused otherwise; surely not queued.
    pub(crate) refused: u64,
    /// No answer, or `503 outcome_unknown`: may have been queued.
    pub(crate) unknown: u64,
    /// Of these, decided after all.
    pub(crate) unknown_and_decided: u64,
}

/// Verdicts of the store, and where their tickets stand in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdicts {
    /// All of them.
    pub(crate) total: u64,
    /// Seats held at first.
    pub(crate) reserved: u64,
    /// Seats sold at once.
    pub(crate) confirmed: u64,
    /// Too few seats.
    pub(crate) sold_out: u64,
    /// Too many for a user.
    pub(crate) limit_exceeded: u64,
    /// Rejected for another reason.
    pub(crate) rejected_otherwise: u64,
    /// Tickets that stand as confirmed.
    pub(crate) confirmed_at_the_end: u64,
    /// Tickets that stand as expired.
    pub(crate) expired: u64,
    /// Tickets that stand as cancelled.
    pub(crate) cancelled: u64,
    /// Seats there were.
    pub(crate) capacity: u64,
    /// Seats that are sold.
    pub(crate) seats_sold: u64,
    /// Seats that are held.
    pub(crate) seats_held: u64,
}

/// What holders asked for and were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holds {
    /// Confirmations asked for.
    pub(crate) confirmations: u64,
    /// Answered `200`.
    pub(crate) confirmed: u64,
    /// Cancellations asked for.
    pub(crate) cancellations: u64,
    /// Answered `200`.
    pub(crate) cancelled: u64,
    /// Either, answered `409 hold_expired`.
    pub(crate) too_late: u64,
    /// Either, without an answer that says what happened.
    pub(crate) unknown: u64,
    /// Either, refused for another reason.
    pub(crate) refused: u64,
}

/// How fast it went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// From the start to the first answer of the last accepted order.
    pub(crate) accepted_after_seconds: f64,
    /// Accepted orders by that time.
    pub(crate) accepted_per_second: f64,
    /// From the start to the last verdict.
    pub(crate) decided_after_seconds: f64,
    /// Verdicts by that time.
    pub(crate) decided_per_second: f64,
    /// Most orders that were accepted and undecided at a time.
    pub(crate) backlog_peak: u64,
    /// Time from the start to the end of the clients.
    pub(crate) clients_seconds: f64,
}

/// Answers of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerCount {
    /// What was asked for.
    pub(crate) request: Step,
    /// The status.
    pub(crate) status: u16,
    /// The problem's code, or empty.
    pub(crate) code: String,
    /// How many.
    pub(crate) count: u64,
}

/// Requests without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnansweredCount {
    /// What was asked for.
    pub(crate) request: Step,
    /// Why there is none.
    pub(crate) why: Why,
    /// How many.
    pub(crate) count: u64,
}

/// Connections of the client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Connections {
    /// Open and idle before the start.
    pub(crate) before_start: usize,
    /// How long it took to open them.
    pub(crate) opening_seconds: f64,
    /// Needed in the end.
    pub(crate) used: usize,
    /// Allowed.
    pub(crate) limit: usize,
}

/// How buyers learned their verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Readers {
    /// Orders whose buyer polls, of those that were accepted.
    pub(crate) polling: u64,
    /// Orders whose buyer subscribes, of those that were accepted.
    pub(crate) subscribing: u64,
    /// Orders of either whose buyer heard the verdict.
    pub(crate) heard: u64,
    /// WebSocket connections.
    pub(crate) websocket: WatcherFigures,
}

/// A process on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProcessFigures {
    /// What it is.
    pub(crate) name: String,
    /// Resident memory at the start, in MiB.
    pub(crate) start_mib: f64,
    /// The most that was seen.
    pub(crate) peak_mib: f64,
    /// At the end.
    pub(crate) end_mib: f64,
    /// CPU time by order that was sent, in µs.
    pub(crate) cpu_micros_per_order: f64,
    /// CPU time in seconds.
    pub(crate) cpu_seconds: f64,
    /// Seconds from the start, and resident memory in MiB.
    pub(crate) resident_mib: Vec<(f64, f64)>,
}

impl Report {
    /// Everything for which the run failed, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        let violations = self.violations.iter().filter(|(_, count)| **count > 0);
        violations
            .map(|(kind, count)| format!("{kind}: {count}"))
            .chain(self.examples.iter().map(|example| format!("  {example}")))
            .chain(self.missed.iter().cloned())
            .collect()
    }

    /// Every latency, and how late requests were sent, by its name in words.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (String, &Percentiles)> {
        let late = self.lateness_micros.iter();
        let late = late.map(|(name, figures)| (format!("late sending of {name}"), figures));
        let latencies = self.latency_micros.iter();
        latencies
            .map(|(name, figures)| (name.clone(), figures))
            .chain(late)
            .map(|(name, figures)| (name.replace('_', " "), figures))
    }
}
