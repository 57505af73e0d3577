//! All that is known when a sale is over.

pub(crate) mod tally;

use std::collections::BTreeMap;
use std::fmt;

use black_box::administration::Seats;
use black_box::proof::audit::AuditedShow;
use black_box::proof::findings::Findings;
use black_box::proof::history::History;
use black_box::proof::order::PlannedOrder;
use black_box::proof::told::Told;
use black_box::store::Stored;
use serde::{Deserialize, Serialize};

use self::tally::Tally;
use crate::scenario::faults::FaultKind;

/// A sale that is over.
pub(crate) struct Outcome {
    /// Every order, by number.
    pub(crate) plan: Vec<PlannedOrder>,
    /// What the client of each was told.
    pub(crate) told: Vec<Told>,
    /// What happened to requests.
    pub(crate) tally: Tally,
    /// Why it ended.
    pub(crate) ending: Ending,
    /// When it ended for the clients, in µs from the start.
    pub(crate) ended: u64,
    /// Connections that were needed.
    pub(crate) connections: usize,
    /// What happened on WebSocket connections.
    pub(crate) watchers: WatcherFigures,
    /// What the store says.
    pub(crate) stored: Stored,
    /// Every change replayed, where the store can be read.
    pub(crate) history: Option<History>,
    /// The service's own audit, by number of the show.
    pub(crate) audited: Vec<(u32, AuditedShow)>,
    /// What processes used.
    pub(crate) usage: Vec<Usage>,
    /// Seats as they were seen.
    pub(crate) seats: Vec<SeatsSample>,
    /// The start, in µs since 1970.
    pub(crate) started_at: i64,
    /// How long it took to open the connections before it.
    pub(crate) opening_seconds: f64,
    /// What was broken meanwhile.
    pub(crate) chaos: Chaos,
    /// What is wrong.
    pub(crate) findings: Findings,
    /// What processes told Prometheus of it, where that was read.
    pub(crate) metrics: Option<MetricsFigures>,
}

/// What processes told Prometheus of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetricsFigures {
    /// How many were asked.
    pub(crate) processes: usize,
    /// Figures that were compared.
    pub(crate) compared: usize,
    /// Those that are not what clients or the store say, in words.
    pub(crate) differences: Vec<String>,
}

/// Why the sale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Ending {
    /// All that clients wanted has happened.
    Complete,
    /// Nothing has happened for as long as the clients are patient.
    OutOfPatience,
    /// It took longer than it may.
    OutOfTime,
}

/// What a process used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    /// What reports call it.
    pub(crate) name: String,
    /// Resident memory by instant in µs from the start, in KiB; 0 while there is
    /// no such process.
    pub(crate) resident_kib: Vec<(i64, u64)>,
    /// CPU time from the start to the end, in µs. Of one that was replaced, what
    /// it spent after the last look at it is missing.
    pub(crate) cpu_micros: u64,
}

/// How they stood at an instant, in µs from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeatsSample {
    /// When.
    pub(crate) at: u64,
    /// How.
    pub(crate) seats: Seats,
}

/// What happened on WebSocket connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatcherFigures {
    /// Connections at the start.
    pub(crate) connections: usize,
    /// Times that one was opened again.
    pub(crate) reopened: u64,
    /// Tickets subscribed to.
    pub(crate) subscriptions: u64,
    /// Buyers who had to wait for a subscription, because every connection had
    /// all that it may have.
    pub(crate) waited_for_subscription: u64,
    /// Messages, by type, and by code of errors and closings.
    pub(crate) messages: BTreeMap<String, u64>,
}

/// A fault that has happened. Instants are µs from the start of the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What.
    pub(crate) kind: FaultKind,
    /// To what.
    pub(crate) target: String,
    /// When it began.
    pub(crate) at: u64,
    /// When it was over and what it had ended was ready again.
    pub(crate) ended: u64,
}

/// `12.3 s  worker_killed of tickets worker 1, 0.8 s`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: u64| micros as f64 / 1e6;
        write!(
            f,
            "{:.1} s  {} of {}, {:.1} s",
            seconds(self.at),
            self.kind.name(),
            self.target,
            seconds(self.ended.saturating_sub(self.at))
        )
    }
}

/// What came of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chaos {
    /// Every fault, in sequence.
    pub(crate) faults: Vec<Fault>,
    /// What went wrong although a fault does not explain it: processes that
    /// ended by themselves, did not end when told to, or did not start again.
    pub(crate) wrong: Vec<String>,
}
