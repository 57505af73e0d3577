//! What a sale looks like, as a file says it: `docs/LOAD.md` explains each field.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::arrivals::{Phase, Spacing};
use super::faults::FaultTerms;
use super::silences::SilenceLimits;

/// A sale to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is for, in a sentence.
    pub(crate) about: String,
    /// When orders come.
    pub(crate) arrivals: Vec<Phase>,
    /// How they are spread along the curve.
    pub(crate) spacing: Spacing,
    /// What is on sale.
    pub(crate) shows: Shows,
    /// Who orders.
    pub(crate) users: Users,
    /// Seats per order with their weights.
    pub(crate) quantities: Vec<(u32, f64)>,
    /// Who sends an order more than once.
    pub(crate) retries: Retries,
    /// What becomes of holds.
    pub(crate) holds: Holds,
    /// How buyers learn their verdict.
    pub(crate) readers: Readers,
    /// The client itself.
    pub(crate) client: Client,
    /// A deployment that the run starts itself.
    pub(crate) service: Service,
    /// What is broken meanwhile.
    pub(crate) faults: Option<FaultTerms>,
    /// What fails or ends a run.
    pub(crate) limits: Limits,
}

/// What is on sale. All shows have the same terms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shows {
    /// How many.
    pub(crate) number: u32,
    /// Seats of each.
    pub(crate) seats: u32,
    /// Time to confirm; 0: sold at once.
    pub(crate) hold_seconds: u32,
    /// Seats that a user may have of each.
    pub(crate) max_per_user: u32,
    /// How orders are spread over them.
    pub(crate) popularity: Popularity,
}

/// How orders are spread over shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Popularity {
    /// Evenly.
    Uniform,
    /// A share of the orders for the first show, the others evenly.
    Hot {
        /// Of the first show.
        share: f64,
    },
    /// The show of rank n gets orders in proportion to n to the power of -exponent.
    Zipf {
        /// The exponent.
        exponent: f64,
    },
}

/// Who orders.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Users {
    /// How many, of whom each places as many orders, give or take one.
    pub(crate) number: u32,
    /// Share of the class `high`.
    pub(crate) high_priority: f64,
}

/// Who sends an order more than once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retries {
    /// Share of orders with an `Idempotency-Key`; nobody else sends again.
    pub(crate) keyed: f64,
    /// Share of the keyed orders that are sent once more after their answer.
    pub(crate) repeated: f64,
    /// Without an answer for so long, an order is sent again on a new connection.
    pub(crate) timeout_ms: u64,
    /// Pause before an order is sent again that was refused with `503`.
    pub(crate) pause_ms: u64,
    /// Times that an order is sent again.
    pub(crate) at_most: u8,
}

/// What becomes of the holds of buyers who read their verdict. The shares add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Holds {
    /// Share that is confirmed.
    pub(crate) confirm: f64,
    /// Share that is cancelled.
    pub(crate) cancel: f64,
    /// Share that is left to lapse.
    pub(crate) lapse: f64,
    /// From the verdict to the confirmation or cancellation.
    pub(crate) think_ms: (u64, u64),
}

/// How buyers learn their verdict. What the shares leave of 1 never looks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Readers {
    /// Share that polls `GET /tickets/{id}`.
    pub(crate) poll: f64,
    /// From one answer to the next question.
    pub(crate) poll_interval_ms: u64,
    /// Share that subscribes to its ticket.
    pub(crate) websocket: f64,
    /// WebSocket connections that these share.
    pub(crate) websocket_connections: usize,
}

/// The client itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Client {
    /// Connections that are open and idle before the start.
    pub(crate) connections: usize,
    /// Connections at most, when all are busy.
    pub(crate) max_connections: usize,
    /// An answer that takes longer is given up.
    pub(crate) timeout_ms: u64,
}

/// A deployment that the run starts itself; another one is left as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    /// Worker processes, on real servers.
    pub(crate) workers: u32,
    /// Time by which every answer of the database comes later.
    pub(crate) store_latency_ms: u64,
    /// Settings of the service, by name, beside those that a run needs.
    pub(crate) settings: BTreeMap<String, String>,
}

/// What fails or ends a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    /// Required: the last verdict, in seconds after the start.
    pub(crate) decided_within_seconds: Option<f64>,
    /// Required: orders that are accepted, or refused because their show is sold
    /// out, as a share of all.
    pub(crate) answered_at_least: f64,
    /// Required of faults.
    pub(crate) silences: SilenceLimits,
    /// Nobody waits longer for a verdict once nothing happens any more.
    pub(crate) patience_seconds: u64,
    /// The run is ended after so long, and has failed.
    pub(crate) run_seconds: u64,
}

impl Scenario {
    /// Orders in all.
    pub(crate) fn orders(&self) -> u64 {
        self.arrivals.iter().map(|phase| phase.orders).sum()
    }

    /// How long orders come.
    pub(crate) fn seconds(&self) -> f64 {
        self.arrivals.iter().map(|phase| phase.seconds).sum()
    }
}

/// The main figures of a scenario, for reports.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outline {
    /// Its file's name without the ending.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) about: String,
    /// Orders in all.
    pub(crate) orders: u64,
    /// How long orders come.
    pub(crate) arrival_seconds: f64,
    /// The highest rate of any phase, in orders per second; infinite where all
    /// come at one instant, which JSON has as `null`.
    #[serde(deserialize_with = "null_is_infinite")]
    pub(crate) peak_rate: f64,
    /// Shows.
    pub(crate) shows: u32,
    /// Seats of each.
    pub(crate) seats_per_show: u32,
    /// Time to confirm.
    pub(crate) hold_seconds: u32,
    /// Users.
    pub(crate) users: u32,
    /// The whole file.
    pub(crate) toml: String,
}

fn null_is_infinite<'de, D: Deserializer<'de>>(rate: D) -> Result<f64, D::Error> {
    let rate = Option::deserialize(rate)?;
    Ok(rate.unwrap_or(f64::INFINITY))
}

impl Outline {
    /// Of a scenario that was read from `path`.
    pub(crate) fn of(scenario: &Scenario, path: &Path, text: String) -> Self {
        let stem = path.file_stem().unwrap_or_default();
        let peaks = scenario.arrivals.iter().map(Phase::peak_rate);
        Self {
            name: stem.to_string_lossy().into_owned(),
            about: scenario.about.clone(),
            orders: scenario.orders(),
            arrival_seconds: scenario.seconds(),
            peak_rate: peaks.fold(0.0, f64::max),
            shows: scenario.shows.number,
            seats_per_show: scenario.shows.seats,
            hold_seconds: scenario.shows.hold_seconds,
            users: scenario.users.number,
            toml: text,
        }
    }
}
