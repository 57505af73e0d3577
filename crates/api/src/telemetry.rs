//! Structured logs on stderr.

use tracing_subscriber::EnvFilter;

use crate::configuration::{LogFormat, LogSettings};

/// The broker's client complains of every connection and channel that it loses.
/// Whoever had it says so once, so these are left out unless `log.level` names them.
const TOLD_BY_OTHERS: &str = "lapin=off";

/// Starts logging for the process. A second call, as in tests, changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(&settings.level))
        .with_writer(std::io::stderr);
    // The only error is that logging has started already.
    let _started = match settings.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

fn filter(level: &str) -> EnvFilter {
    // The later of two directives for the same target counts.
    EnvFilter::new(format!("{TOLD_BY_OTHERS},{level}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_client_speaks_when_it_is_asked_to() {
        assert!(filter("info").to_string().contains("lapin=off"));
        let asked = filter("info,lapin=debug").to_string();
        assert!(
            asked.contains("lapin=debug") && !asked.contains("lapin=off"),
            "{asked}"
        );
    }
}
