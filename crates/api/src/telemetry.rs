//! Structured logs on stderr.

use tracing_subscriber::EnvFilter;

use crate::configuration::{LogFormat, LogSettings};

/// Starts logging for the process. A second call, as in tests, changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(settings.level.as_str()))
        .with_writer(std::io::stderr);
    // The only error is that logging has started already.
    let _started = match settings.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
