//! What of all refusals is logged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_http::error::DispatchError;
use actix_web::http::header::HeaderMap;
use runtime::error_chain;
use tracing::{info, warn};

use super::{ApiError, RequestId};

/// Logs what clients are refused for on our account, one line per second: an
/// outage under full load would otherwise fill the disk too.
pub(crate) struct FailureLog {
    started: Instant,
    /// Second since the start in which the next line may be written.
    next: AtomicU64,
    unlogged: AtomicU64,
    /// Minute since the start in which the next line of [`Self::broken_off`] may be written.
    next_minute: AtomicU64,
    malformed: AtomicU64,
    broken_off: AtomicU64,
}

impl Default for FailureLog {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            next: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
            next_minute: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            broken_off: AtomicU64::new(0),
        }
    }
}

impl FailureLog {
    pub(crate) fn log(&self, error: &ApiError, request_id: &RequestId) {
        if let Some(cause) = error.failure() {
            self.write(error.code(), cause, Some(request_id));
        }
    }

    /// A committed change that was not announced. The client is not told, because its change
    /// is done: the line has a request id only if the client gave one.
    pub(crate) fn unannounced(
        &self,
        error: &(dyn std::error::Error + 'static),
        headers: &HeaderMap,
    ) {
        let request_id = RequestId::of(headers);
        self.write("not_announced", error, request_id.as_ref());
    }

    /// A connection that did not end in good order; the client is gone.
    pub(crate) fn broken_off(&self, error: &DispatchError) {
        let is_malformed = matches!(error, DispatchError::Parse(_));
        let counter = if is_malformed {
            &self.malformed
        } else {
            &self.broken_off
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let minute = self.started.elapsed().as_secs() / 60;
        let due = self
            .next_minute
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (minute >= next).then_some(minute + 1)
            });
        if due.is_ok() {
            info!(
                requests.malformed = self.malformed.swap(0, Ordering::Relaxed),
                connections.broken_off = self.broken_off.swap(0, Ordering::Relaxed),
                error = error_chain(error),
                "clients sent malformed HTTP, or closed their connections before the answer"
            );
        }
    }

    fn write(
        &self,
        code: &str,
        error: &(dyn std::error::Error + 'static),
        request_id: Option<&RequestId>,
    ) {
        let second = self.started.elapsed().as_secs();
        let due = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (second >= next).then_some(second + 1)
            });
        if due.is_err() {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        warn!(
            code,
            request.id = request_id.map(display),
            error = error_chain(error),
            failures.unlogged = self.unlogged.swap(0, Ordering::Relaxed),
            "a request failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use actix_http::error::ParseError;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, some: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(some);
            Ok(some.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let written = lines.0.lock();
        let lines = serde_json::Deserializer::from_slice(&written).into_iter();
        lines.map(Result::unwrap).collect()
    }

    /// The line of a change that was not announced, for a request with this id.
    fn unannounced(id: Option<&'static str>) -> Value {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            let name = HeaderName::from_static("x-request-id");
            headers.insert(name, HeaderValue::from_static(id));
        }
        let mut lines = logged(|| {
            FailureLog::default().unannounced(&io::Error::other("no broker"), &headers);
        });
        lines.remove(0)
    }

    #[test]
    fn clients_that_send_nonsense_cost_one_line_a_minute() {
        let lines = logged(|| {
            let failures = FailureLog::default();
            for _ in 0..10_000 {
                failures.broken_off(&DispatchError::Parse(ParseError::Header));
            }
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["requests.malformed"], 1);
    }

    #[test]
    fn a_change_that_was_not_announced_has_its_clients_request_id_or_none() {
        let line = unannounced(Some("from-the-client"));
        assert_eq!(line["code"], "not_announced");
        assert_eq!(line["request.id"], "from-the-client");
        assert_eq!(unannounced(None).get("request.id"), None);
    }
}
