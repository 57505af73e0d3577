//! What Prometheus reads of a process. Decorators measure ports ([`MeasuredPublisher`],
//! [`MeasuredLedger`]), [`Sampled`] values are asked for when they are read, and [`serve`]
//! answers `GET /metrics` at an address of its own.
//!
//! Names and labels are listed in `docs/OPERATIONS.md`. Times are in seconds, sizes in bytes. No
//! label has the id of a show, a user or a ticket: each label has a known number of values, and a
//! series for each is there from the start, so that a rate is right from its first event on.

mod buckets;
mod listener;
mod measured_ledger;
mod measured_publisher;
mod process;
mod sampled;

use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::listener::{Served, serve};
pub use self::measured_ledger::MeasuredLedger;
pub use self::measured_publisher::MeasuredPublisher;
pub use self::sampled::{Sample, Sampled};

use self::process::ProcessCollector;

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Those of the process itself: its build, and what it takes of the machine. `role` is the
    /// process's.
    #[must_use]
    pub fn new(version: &'static str, role: &'static str) -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("version", version), ("role", role)]);
        registry.register("tickets_build", "What runs", build);
        registry.register_collector(Box::new(ProcessCollector::new()));
        Self { registry }
    }

    /// Adds values that are asked for when somebody reads the metrics.
    pub fn sample(&mut self, sampled: Sampled) {
        self.registry.register_collector(Box::new(sampled));
    }

    /// All of them, in Prometheus' text format 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _written = encode(&mut text, &self.registry);
        text
    }

    /// The type of [`Self::text`].
    pub const CONTENT_TYPE: &str = CONTENT_TYPE;
}
