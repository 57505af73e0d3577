//! `tracing.*`

use std::collections::HashMap;

use fields::{Fields, number, text};

use super::reader::{setting, variable};
use super::urls;

const ENDPOINT: &str = "tracing.otlp_endpoint";
const RATIO: &str = "tracing.sample_ratio";
/// Where a collector takes traces over HTTP.
const PATH: &str = "/v1/traces";

/// Where traces go, and how many are made.
#[derive(Debug, Clone, PartialEq)]
pub struct TracingSettings {
    /// The URL that takes them, with its path.
    pub otlp_endpoint: String,
    /// The part of requests that is sampled, from 0 to 1.
    pub sample_ratio: f64,
}

/// `None` in it if tracing is off.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<Option<TracingSettings>> {
    let endpoint = setting(fields, ENDPOINT, text(endpoint));
    let sample_ratio = setting(fields, RATIO, number(0.0..=1.0));
    let (endpoint, sample_ratio) = (endpoint?, sample_ratio?);
    Some(endpoint.map(|otlp_endpoint| TracingSettings {
        otlp_endpoint,
        sample_ratio,
    }))
}

/// `None` if it is empty. One without a path leads to that of the standard.
fn endpoint(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    urls::collector(text, PATH).map(Some)
}

/// The variables of OpenTelemetry that stand for settings here. Others are read by its library.
pub(super) const STANDARD: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// Makes settings of OpenTelemetry's variables, unless they are set by this service's own.
pub(super) fn set_by_standard(
    variables: &HashMap<String, String>,
    settings: &mut HashMap<String, String>,
) {
    let [traces, all, ratio] =
        STANDARD.map(|name| variables.get(name).filter(|text| !text.is_empty()));
    let all = all.map(|url| url.trim_end_matches('/').to_owned() + PATH);
    let given = [(ENDPOINT, traces.cloned().or(all)), (RATIO, ratio.cloned())];
    for (key, value) in given {
        if let Some(value) = value {
            settings.entry(variable(key)).or_insert(value);
        }
    }
}
