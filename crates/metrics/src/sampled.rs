//! Values that are asked for when somebody reads the metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use runtime::Timed;

/// Names and values; the same names for all samples of a metric.
pub type Labels = Vec<(&'static str, String)>;

/// What a metric says when it is read. It must not wait.
pub(crate) type Read<V> = Box<dyn Fn() -> Vec<(Labels, V)> + Send + Sync>;

/// What is read of a metric.
pub(crate) enum Values {
    /// Numbers that go up and down.
    Gauges(Read<f64>),
    /// Numbers that only grow.
    Counters(Read<f64>),
    /// Times.
    Timings(Read<Timed>),
}

/// A metric that is asked for its values when somebody reads it.
pub(crate) struct Sampled {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) values: Values,
}

impl fmt::Debug for Sampled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sampled").field(&self.name).finish()
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, kind) = match &self.values {
            Values::Gauges(_) => (self.name, MetricType::Gauge),
            // The library adds the suffix.
            Values::Counters(_) => {
                let name = self.name.strip_suffix("_total");
                (name.unwrap_or(self.name), MetricType::Counter)
            }
            Values::Timings(_) => (self.name, MetricType::Histogram),
        };
        let metric = encoder.encode_descriptor(name, self.help, None, kind)?;
        match &self.values {
            Values::Gauges(read) => each(metric, read, |value, sample| {
                ConstGauge::new(value).encode(sample)
            }),
            Values::Counters(read) => each(metric, read, |value, sample| {
                ConstCounter::new(value).encode(sample)
            }),
            Values::Timings(read) => each(metric, read, |timed, mut sample| {
                let (sum, count) = (timed.seconds, timed.count);
                sample.encode_histogram::<NoLabelSet>(sum, count, &timed.buckets, None)
            }),
        }
    }
}

fn each<V>(
    mut metric: MetricEncoder<'_>,
    read: &Read<V>,
    write: impl Fn(V, MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    for (labels, value) in read() {
        write(value, metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Exact up to 2^53, which no count here comes near.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub const fn float(count: u64) -> f64 {
    count as f64
}
