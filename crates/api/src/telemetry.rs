//! Structured logs on stderr.

use tracing_subscriber::EnvFilter;

use crate::configuration::{LogFormat, LogSettings};

/// The broker's client complains of every connection and channel that it loses, the HTTP
/// server of every request that it cannot read. Whoever had it says so once, and the HTTP side
/// once a minute, so these are left out unless `log.level` names them.
const TOLD_BY_OTHERS: &str = "lapin=off,actix_http::h1::dispatcher=off,actix_http::ws=off";

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
    fn what_others_say_better_is_said_when_it_is_asked_for() {
        for target in ["lapin", "actix_http::h1::dispatcher", "actix_http::ws"] {
            let off = format!("{target}=off");
            assert!(filter("info").to_string().contains(&off), "{target}");
        }
        let asked = filter("info,lapin=debug").to_string();
        assert!(
            asked.contains("lapin=debug") && !asked.contains("lapin=off"),
            "{asked}"
        );
    }
}
