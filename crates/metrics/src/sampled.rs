//! Values that are asked for when somebody reads the metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// A value with its labels.
pub struct Sample {
    /// Names and values; the same names for all samples of a metric.
    pub labels: Vec<(&'static str, String)>,
    /// In the metric's unit.
    pub value: f64,
}

/// A gauge whose values are asked for when somebody reads the metrics. It must not wait.
pub struct Sampled {
    name: &'static str,
    help: &'static str,
    samples: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl Sampled {
    /// A gauge without labels.
    pub fn one(
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self::many(name, help, move || {
            vec![Sample {
                labels: Vec::new(),
                value: value(),
            }]
        })
    }

    /// A gauge for each of some labels.
    pub fn many(
        name: &'static str,
        help: &'static str,
        samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            help,
            samples: Box::new(samples),
        }
    }
}

const NO_LABELS: [(&str, &str); 0] = [];

impl fmt::Debug for Sampled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sampled").field(&self.name).finish()
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric =
            encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
        for sample in (self.samples)() {
            let gauge = ConstGauge::new(sample.value);
            if sample.labels.is_empty() {
                gauge.encode(metric.encode_family(&NO_LABELS)?)?;
            } else {
                gauge.encode(metric.encode_family(&sample.labels)?)?;
            }
        }
        Ok(())
    }
}
