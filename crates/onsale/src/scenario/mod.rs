//! What a sale looks like, as a file says it: `docs/LOAD.md` explains each field.

pub mod arrivals;
pub mod faults;
mod fields;
pub mod plan;
mod read;
pub mod silences;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize};

use self::arrivals::{Phase, Spacing};
use self::faults::FaultTerms;
use self::silences::SilenceLimits;

/// A sale to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is for, in a sentence.
    pub about: String,
    /// When orders come.
    pub arrivals: Vec<Phase>,
    /// How they are spread along the curve.
    pub spacing: Spacing,
    /// What is on sale.
    pub shows: Shows,
    /// Who orders.
    pub users: Users,
    /// Seats per order with their weights.
    pub quantities: Vec<(u32, f64)>,
    /// Who sends an order more than once.
    pub retries: Retries,
    /// What becomes of holds.
    pub holds: Holds,
    /// How buyers learn their verdict.
    pub readers: Readers,
    /// The client itself.
    pub client: Client,
    /// A deployment that the run starts itself.
    pub service: Service,
    /// What is broken meanwhile.
    pub faults: Option<FaultTerms>,
    /// What fails or ends a run.
    pub limits: Limits,
}

/// What is on sale. All shows have the same terms.
#[derive(Debug, Clone, PartialEq)]
pub struct Shows {
    /// How many.
    pub number: u32,
    /// Seats of each.
    pub seats: u32,
    /// Time to confirm; 0: sold at once.
    pub hold_seconds: u32,
    /// Seats that a user may have of each.
    pub max_per_user: u32,
    /// How orders are spread over them.
    pub popularity: Popularity,
}

/// How orders are spread over shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Popularity {
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
pub struct Users {
    /// How many, of whom each places as many orders, give or take one.
    pub number: u32,
    /// Share of the class `high`.
    pub high_priority: f64,
}

/// Who sends an order more than once.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// Share of orders with an `Idempotency-Key`; nobody else sends again.
    pub keyed: f64,
    /// Share of the keyed orders that are sent once more after their answer.
    pub repeated: f64,
    /// Without an answer for so long, an order is sent again on a new connection.
    pub timeout_ms: u64,
    /// Pause before an order is sent again that was refused with `503`.
    pub pause_ms: u64,
    /// Times that an order is sent again.
    pub at_most: u8,
}

/// What becomes of the holds of buyers who read their verdict. The shares add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Holds {
    /// Share that is confirmed.
    pub confirm: f64,
    /// Share that is cancelled.
    pub cancel: f64,
    /// Share that is left to lapse.
    pub lapse: f64,
    /// From the verdict to the confirmation or cancellation.
    pub think_ms: (u64, u64),
}

/// How buyers learn their verdict. What the shares leave of 1 never looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Readers {
    /// Share that polls `GET /tickets/{id}`.
    pub poll: f64,
    /// From one answer to the next question.
    pub poll_interval_ms: u64,
    /// Share that subscribes to its ticket.
    pub websocket: f64,
    /// WebSocket connections that these share.
    pub websocket_connections: usize,
}

/// The client itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Connections that are open and idle before the start.
    pub connections: usize,
    /// Connections at most, when all are busy.
    pub max_connections: usize,
    /// An answer that takes longer is given up.
    pub timeout_ms: u64,
}

/// A deployment that the run starts itself; another one is left as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Worker processes, on real servers.
    pub workers: u32,
    /// Time by which every answer of the database comes later.
    pub store_latency_ms: u64,
    /// Settings of the service, by name, beside those that a run needs.
    pub settings: BTreeMap<String, String>,
}

/// What fails or ends a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Required: the last verdict, in seconds after the start.
    pub decided_within_seconds: Option<f64>,
    /// Required: orders that are accepted, or refused because their show is sold
    /// out, as a share of all.
    pub answered_at_least: f64,
    /// Required of faults.
    pub silences: SilenceLimits,
    /// Nobody waits longer for a verdict once nothing happens any more.
    pub patience_seconds: u64,
    /// The run is ended after so long, and has failed.
    pub run_seconds: u64,
}

/// Every fault of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioFaults(pub Vec<String>);

impl std::error::Error for ScenarioFaults {}

/// One per line.
impl fmt::Display for ScenarioFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.join("\n"))
    }
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// Every fault of it, by the field's name.
    pub fn load(path: &Path) -> anyhow::Result<(Self, String)> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the scenario {}", path.display()))?;
        let scenario =
            Self::parse(&text).with_context(|| format!("scenario {}", path.display()))?;
        Ok((scenario, text))
    }

    /// Orders in all.
    #[must_use]
    pub fn orders(&self) -> u64 {
        self.arrivals.iter().map(|phase| phase.orders).sum()
    }

    /// How long orders come.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.arrivals.iter().map(|phase| phase.seconds).sum()
    }
}

/// The main figures of a scenario, for reports.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outline {
    /// Its file's name without the ending.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Orders in all.
    pub orders: u64,
    /// How long orders come.
    pub arrival_seconds: f64,
    /// The highest rate of any phase, in orders per second; infinite where all
    /// come at one instant, which JSON has as `null`.
    #[serde(deserialize_with = "null_is_infinite")]
    pub peak_rate: f64,
    /// Shows.
    pub shows: u32,
    /// Seats of each.
    pub seats_per_show: u32,
    /// Time to confirm.
    pub hold_seconds: u32,
    /// Users.
    pub users: u32,
    /// The whole file.
    pub toml: String,
}

fn null_is_infinite<'de, D: Deserializer<'de>>(rate: D) -> Result<f64, D::Error> {
    let rate = Option::deserialize(rate)?;
    Ok(rate.unwrap_or(f64::INFINITY))
}

impl Outline {
    /// Of a scenario that was read from `path`.
    #[must_use]
    pub fn of(scenario: &Scenario, path: &Path, text: String) -> Self {
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
