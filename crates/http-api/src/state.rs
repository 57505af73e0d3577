//! What handlers share.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use domain::use_cases::BoxOffice;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::sleep;

use crate::client_limits::ClientLimits;
use crate::guard::Guard;
use crate::health::Health;
use crate::lists::Lists;
use crate::live::Live;
use crate::problem::{ApiError, FailureLog, Refusals};
use crate::request_counts::RequestCounts;
use crate::spans::Tracing;
use crate::traffic::Traffic;

/// What a handler gives.
pub(crate) type Answer = Result<HttpResponse, ApiError>;
/// One per thread, which counts its users without meeting other threads.
pub(crate) type Process = web::Data<Arc<ProcessState>>;
/// Of a process that accepts orders; one per thread.
pub(crate) type State = web::Data<Arc<AcceptingState>>;

/// What all handlers share.
pub struct ProcessState {
    /// Requests in flight, and whether the process stops.
    pub traffic: Traffic,
    /// What one client may ask for.
    pub limits: Arc<ClientLimits>,
    /// What was answered.
    pub requests: RequestCounts,
    /// What makes spans, while tracing is on.
    pub(crate) tracing: Option<Arc<dyn Tracing>>,
    threads: Mutex<Vec<RuntimeMetrics>>,
    pub(crate) health: Health,
    pub(crate) failures: FailureLog,
    pub(crate) refusals: Refusals,
}

impl ProcessState {
    /// Without a request so far.
    #[must_use]
    pub fn new(
        health: Health,
        limits: Arc<ClientLimits>,
        tracing: Option<Arc<dyn Tracing>>,
    ) -> Self {
        Self {
            traffic: Traffic::default(),
            limits,
            requests: RequestCounts::new(),
            tracing,
            threads: Mutex::default(),
            health,
            failures: FailureLog::default(),
            refusals: Refusals::default(),
        }
    }

    /// Takes note of the runtime of this thread, which serves.
    pub(crate) fn note_thread(&self) {
        if let Ok(runtime) = Handle::try_current() {
            self.threads.lock().push(runtime.metrics());
        }
    }

    /// The runtimes of the threads that serve.
    #[must_use]
    pub fn threads(&self) -> Vec<RuntimeMetrics> {
        self.threads.lock().clone()
    }

    /// Logs every 10 s how many requests were refused, if any were. Never returns.
    pub async fn log_refusals(&self) {
        const PERIOD: Duration = Duration::from_secs(10);

        loop {
            sleep(PERIOD).await;
            self.refusals.log(self.limits.count_wrong_ids());
        }
    }
}

/// What the handlers of a process that accepts orders share, beside [`ProcessState`].
pub struct AcceptingState {
    /// The use cases that handlers call.
    pub office: Arc<BoxOffice>,
    /// Those who are told.
    pub live: Arc<Live>,
    pub(crate) process: Arc<ProcessState>,
    pub(crate) lists: Lists,
    pub(crate) guard: Guard,
}

impl AcceptingState {
    /// `guard` tells who calls.
    #[must_use]
    pub fn new(
        process: Arc<ProcessState>,
        office: Arc<BoxOffice>,
        live: Arc<Live>,
        guard: Guard,
    ) -> Self {
        Self {
            office,
            live,
            process,
            lists: Lists::default(),
            guard,
        }
    }
}
