//! What both sides of a process stand on.

use std::sync::Arc;

use anyhow::Context;
use domain::ports::{Clock, Dependency};
use domain::receipt::{ProcessId, Receipts};
use metrics::Metrics;
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use traces::{Destination, Traces};
use tracing::warn;

use super::Role;
use super::metering;
use super::preparation::Preparation;
use super::spans;
use crate::clock::WatchedClock;
use crate::settings::{Settings, TicketSettings};
use crate::wiring::{QueuePorts, QueueUse, StorePorts, StoreUse};

/// What both sides of a process stand on.
pub(super) struct Ground {
    pub(super) settings: Settings,
    pub(super) process: ProcessId,
    pub(super) receipts: Arc<Receipts>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where orders are taken and a store knows the time.
    pub(super) watched_clock: Option<Arc<WatchedClock>>,
    pub(super) store: StorePorts,
    pub(super) queue: QueuePorts,
    /// While tracing is on.
    pub(super) traces: Option<Arc<Traces>>,
    /// Goes on after the start if the store did not answer.
    pub(super) preparing: JoinHandle<()>,
}

impl Ground {
    /// Connects the adapters.
    pub(super) async fn connect(
        settings: Settings,
        role: Role,
        clock: Arc<dyn Clock>,
        metrics: Option<&mut Metrics>,
    ) -> anyhow::Result<Self> {
        let process = ProcessId::new(rand::random());
        let receipts = Arc::new(receipts(&settings.tickets, process)?);
        let usage = if role.accepts() {
            StoreUse::TakesOrders
        } else {
            StoreUse::Changes
        };
        let store = settings.store.adapter();
        let mut store = store.connect(&settings, Arc::clone(&clock), usage)?;
        // Before the queue, which asks the store which deployment this is.
        let preparing = Preparation::new(&store, &settings.store).start().await;
        let is_watched = settings.store.adapter().is_shared() && role.accepts();
        let watched_clock = is_watched.then(|| {
            let store = Arc::clone(&store.dependency);
            let watched = WatchedClock::new(Arc::clone(&clock), store, settings.max_clock_skew);
            Arc::new(watched)
        });
        if let Some(watched) = &watched_clock
            && preparing.is_finished()
        {
            // So that the first order is taken. It is compared again and again.
            let _at_once = timeout(Preparation::AT_ONCE, watched.check()).await;
        }
        let dating = dating(&clock, watched_clock.as_ref());
        let (identity, usage) = (store.identity.clone(), QueueUse::Serves);
        let queue = settings.queue.adapter();
        let queue = queue.connect(&settings, dating, process, identity, usage);
        let mut queue = queue.await?;
        let traces = match &settings.tracing {
            Some(tracing) => Some(Traces::start(Destination {
                url: tracing.otlp_endpoint.clone(),
                sample_ratio: tracing.sample_ratio,
                instance: process.get(),
                version: env!("CARGO_PKG_VERSION"),
            })?),
            None => None,
        };
        if let Some(traces) = &traces {
            spans::trace(&mut store, &mut queue, traces);
        }
        if let Some(metrics) = metrics {
            metering::measure(&mut store, &mut queue, metrics);
            if let Some(traces) = &traces {
                metering::span_losses(traces, metrics);
            }
        }
        Ok(Self {
            settings,
            process,
            receipts,
            clock,
            watched_clock,
            store,
            queue,
            traces,
            preparing,
        })
    }

    /// What dates orders. The store compares the clock itself with its own.
    pub(super) fn dating(&self) -> Arc<dyn Clock> {
        dating(&self.clock, self.watched_clock.as_ref())
    }

    /// The store, for readiness; where orders are taken, only while the clock is right.
    pub(super) fn store_dependency(&self) -> Arc<dyn Dependency> {
        match &self.watched_clock {
            Some(watched) => watched.clone(),
            None => Arc::clone(&self.store.dependency),
        }
    }
}

fn dating(clock: &Arc<dyn Clock>, watched: Option<&Arc<WatchedClock>>) -> Arc<dyn Clock> {
    match watched {
        Some(watched) => watched.clone(),
        None => Arc::clone(clock),
    }
}

fn receipts(settings: &TicketSettings, process: ProcessId) -> anyhow::Result<Receipts> {
    if settings.id_secrets.is_empty() {
        warn!("tickets.id_secrets is not set: anyone who reads the source can forge ids");
    }
    Receipts::new(id_secrets(settings), process).context("tickets.id_secrets")
}

/// What signs what clients bring back: the first signs, all verify.
pub(super) fn id_secrets(settings: &TicketSettings) -> Vec<&str> {
    /// The same for all processes, so that they know each other's ids, and for
    /// everybody who reads this: only what is in memory alone is named so, and nobody protects it.
    const DEVELOPMENT_SECRET: &str = "tickets development secret, known to everybody";

    let secrets = settings.id_secrets.iter();
    let secrets: Vec<_> = secrets.map(ExposeSecret::expose_secret).collect();
    if secrets.is_empty() {
        return vec![DEVELOPMENT_SECRET];
    }
    secrets
}
