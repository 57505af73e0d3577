//! What Prometheus reads of a process. Decorators measure ports ([`MeasuredPublisher`],
//! [`MeasuredLedger`], [`MeasuredStateCache`]), other values are asked for where they are counted,
//! when they are read, and [`serve`] answers `GET /metrics` at an address of its own.
//!
//! Names and labels are listed in `docs/OPERATIONS.md`. Times are in seconds, sizes in bytes. No
//! label has the id of a show, a user or a ticket: each has a known number of values. Nothing looks
//! a label up while it serves an order: each value has its own counter, from which the text is
//! written.

mod listener;
mod measured_ledger;
mod measured_publisher;
mod measured_state_cache;
mod process;
mod sampled;

use std::sync::Arc;

use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use prometheus_client::registry::Registry;
use runtime::{Timed, Timing};

pub use self::listener::{Served, serve};
pub use self::measured_ledger::MeasuredLedger;
pub use self::measured_publisher::MeasuredPublisher;
pub use self::measured_state_cache::MeasuredStateCache;
pub use self::sampled::{Labels, float};

use self::process::ProcessCollector;
use self::sampled::{Sampled, Values};

/// All metrics of a process.
#[derive(Default)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The type of [`Self::text`].
    pub const CONTENT_TYPE: &str = CONTENT_TYPE;

    /// Those of the process itself: what it takes of the machine.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self::default();
        let process = Box::new(ProcessCollector);
        metrics.registry.register_collector(process);
        metrics
    }

    /// Numbers that go up and down. `read` is asked when somebody reads the metrics, and must not
    /// wait.
    pub fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(Labels, f64)> + Send + Sync + 'static,
    ) {
        self.sample(name, help, Values::Gauges(Box::new(read)));
    }

    /// One such number, while it is known.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        let read = move || read().map(|value| (Labels::new(), value));
        self.gauges(name, help, move || read().into_iter().collect());
    }

    /// Numbers that only grow; their `name` ends with `_total`. `read` is as for [`Self::gauges`].
    pub fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(Labels, f64)> + Send + Sync + 'static,
    ) {
        self.sample(name, help, Values::Counters(Box::new(read)));
    }

    /// Times. `read` is as for [`Self::gauges`].
    pub fn timings(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(Labels, Timed)> + Send + Sync + 'static,
    ) {
        self.sample(name, help, Values::Timings(Box::new(read)));
    }

    /// A new one that has no labels.
    fn timing(&mut self, name: &'static str, help: &'static str, timing: Timing) -> Arc<Timing> {
        let timing = Arc::new(timing);
        let read = Arc::clone(&timing);
        self.timings(name, help, move || vec![(Labels::new(), read.read())]);
        timing
    }

    fn sample(&mut self, name: &'static str, help: &'static str, values: Values) {
        let sampled = Sampled { name, help, values };
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
}
