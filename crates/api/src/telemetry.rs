//! Structured logs on stderr. A log that cannot be written is dropped: it is never worth a sale.

use std::io;
use std::panic;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::{error, warn};
use tracing_subscriber::EnvFilter;

use crate::log_writer::LogWriter;
use crate::settings::{LogFormat, LogSettings, LoggedRequests};

/// The broker's client complains of every connection and channel that it loses, the HTTP
/// server (with h2) of every request that it cannot read. The adapter says so once, and the HTTP side
/// once a minute, so these are left out unless `log.level` names them.
const TOLD_BY_OTHERS: &str = "lapin=off,actix_http::h1::dispatcher=off,actix_http::ws=off,h2=off";
/// How long the end of the process waits for the reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);

static LOG: OnceLock<Arc<LogWriter>> = OnceLock::new();

/// Starts logging for the process. A second call, as in tests, changes nothing.
///
/// # Errors
/// When the system gives no thread to write with.
pub(crate) fn start(settings: &LogSettings) -> io::Result<()> {
    if tracing::dispatcher::has_been_set() {
        return Ok(());
    }
    let writer = LogWriter::start(io::stderr(), |dropped| {
        warn!(
            lines.dropped = dropped,
            "log lines were dropped here: the reader was too slow, or the log could not be written"
        );
    })?;
    let writer = Arc::new(writer);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(settings))
        .with_writer(Arc::clone(&writer))
        // It would panic where stderr cannot be written.
        .log_internal_errors(false);
    let started = match settings.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // The only error is that logging has started already.
    if started.is_ok() {
        LOG.get_or_init(|| writer);
    }
    Ok(())
}

/// Writes what was logged so far, unless nobody reads it. Before the process ends.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.flush(LAST_LINES);
    }
}

/// From now on a panic is a line of the log: nobody who panics waits for stderr.
pub(crate) fn log_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if LOG.get().is_some() {
            error!(%panic, "panicked");
        } else {
            print(panic);
        }
    }));
}

fn filter(settings: &LogSettings) -> EnvFilter {
    let requests = match settings.requests {
        LoggedRequests::Off => "off",
        LoggedRequests::Failed => "warn",
        LoggedRequests::All => "info",
    };
    let level = &settings.level;
    // The later of two directives for the same target counts.
    EnvFilter::new(format!("{TOLD_BY_OTHERS},requests={requests},{level}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use domain::trace::TraceContext;

    use super::*;

    /// As docs/OPERATIONS.md has it; at any level.
    #[test]
    fn a_line_within_a_sampled_request_has_its_ids() {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("error"))
            .with_writer(move || written.clone())
            .json()
            .flatten_event(true)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let context = TraceContext {
                trace_id: 0xa,
                span_id: 0xb,
            };
            traces::log_span(context).in_scope(|| error!("within"));
            error!("outside");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["span"]["trace_id"], format!("{:032x}", 0xa));
        assert_eq!(lines[0]["span"]["span_id"], format!("{:016x}", 0xb));
        assert_eq!(lines[1].get("span"), None);
    }

    fn of(requests: LoggedRequests, level: &str) -> String {
        let settings = LogSettings {
            level: level.to_owned(),
            requests,
            format: LogFormat::Json,
        };
        filter(&settings).to_string()
    }

    #[test]
    fn requests_have_a_level_of_their_own() {
        for (requests, level) in [
            (LoggedRequests::Off, "requests=off"),
            (LoggedRequests::Failed, "requests=warn"),
            (LoggedRequests::All, "requests=info"),
        ] {
            assert!(of(requests, "error").contains(level));
        }
    }

    #[test]
    fn what_others_say_better_is_said_when_it_is_asked_for() {
        for target in [
            "lapin",
            "actix_http::h1::dispatcher",
            "actix_http::ws",
            "h2",
        ] {
            let off = format!("{target}=off");
            let filter = of(LoggedRequests::Off, "info");
            assert!(filter.contains(&off), "{target}");
        }
        let asked = of(LoggedRequests::Off, "info,lapin=debug");
        assert!(
            asked.contains("lapin=debug") && !asked.contains("lapin=off"),
            "{asked}"
        );
    }
}
