//! Where spans go, and what becomes of those that cannot go there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Export, SpanProcessor,
};
use parking_lot::Mutex;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use tracing::{info, warn};

use crate::sampler::Sampler;
use crate::span::Span;

/// Spans that wait for the collector: a few megabytes.
const MAX_QUEUED: usize = 4_096;
/// So that the latest traces can be looked at while the sale is on.
const DELAY: Duration = Duration::from_secs(1);
/// For the collector to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two lines of the log about spans that were dropped.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How long the end of the process waits for the collector to take the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Where traces go, and who sends them.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The URL that takes OTLP over HTTP, with its path.
    pub url: String,
    /// The part of requests that is sampled, from 0 to 1.
    pub sample_ratio: f64,
    /// Which of the processes this is.
    pub instance: u32,
    /// The release.
    pub version: &'static str,
}

/// Why no traces are made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The exporter cannot be made of the settings.
    #[error("traces cannot be exported")]
    Exporter(#[from] ExporterBuildError),
    /// The HTTP client cannot be made.
    #[error("there is no HTTP client for traces")]
    Client(#[from] reqwest::Error),
    /// A bug of the HTTP client.
    #[error("the HTTP client for traces panicked")]
    Panicked,
}

/// The traces of a process: which requests are sampled, and where spans go.
pub struct Traces {
    /// Which requests are sampled.
    pub sampler: Sampler,
    /// Has a thread of its own, which alone waits for the collector.
    processor: BatchSpanProcessor,
    losses: Arc<Losses>,
}

impl Traces {
    /// Starts the thread that exports. The collector is not asked: it may come later.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn start(destination: Destination) -> Result<Arc<Self>, StartError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_endpoint(destination.url)
            .with_timeout(PATIENCE)
            .with_protocol(Protocol::HttpBinary)
            .build()?;
        let losses = Arc::<Losses>::default();
        let counting = Counting {
            exporter,
            losses: Arc::clone(&losses),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUED)
            .with_scheduled_delay(DELAY)
            .build();
        let mut processor = BatchSpanProcessor::new(counting, config);
        processor.set_resource(&resource(destination.instance, destination.version));
        Ok(Arc::new(Self {
            sampler: Sampler::new(destination.sample_ratio),
            processor,
            losses,
        }))
    }

    /// Takes a span that has ended now. Never waits: what the collector does not take in time is
    /// dropped and counted.
    pub fn record(&self, span: Span) {
        if self.losses.has_room() {
            self.processor.on_end(span.ended());
        }
    }

    /// How many spans were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.losses.dropped()
    }

    /// Hands the last spans over, if the collector takes them within two seconds.
    pub async fn shut_down(self: Arc<Self>) {
        let last = move || self.processor.shutdown_with_timeout(LAST_SPANS);
        // What is lost by now is counted, or nobody reads the count any more.
        let _handed_over = tokio::task::spawn_blocking(last).await;
    }
}

/// Spans go where the settings say, with the keys of `OTEL_EXPORTER_OTLP_HEADERS`: to no proxy of
/// the environment, and to nobody to whom a collector leads.
fn client() -> Result<Client, StartError> {
    let building = || {
        let client = Client::builder().timeout(PATIENCE).no_proxy();
        client.redirect(Policy::none()).build()
    };
    // A blocking client may not be made where tasks run.
    let built = thread::scope(|scope| scope.spawn(building).join());
    Ok(built.map_err(|_| StartError::Panicked)??)
}

/// What is said of the process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are in it, too.
fn resource(instance: u32, version: &'static str) -> Resource {
    let ours = [
        KeyValue::new("service.instance.id", instance.to_string()),
        KeyValue::new("service.version", version),
    ];
    // Unless it has a name, the library makes one of the program's.
    let found = Resource::builder().build();
    let name = found.get_ref(&"service.name".into());
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let resource = Resource::builder().with_attributes(ours);
    if is_named {
        resource.build()
    } else {
        resource.with_service_name("tickets").build()
    }
}

/// Counts the spans that are on their way, and those that are lost.
#[derive(Debug, Default)]
struct Losses {
    queued: AtomicUsize,
    dropped: AtomicU64,
    /// Whether and when it was logged that spans are dropped.
    said: Mutex<Option<Instant>>,
}

impl Losses {
    /// Takes a place for a span, or counts it as dropped.
    fn has_room(&self) -> bool {
        let has_room = self.queued.fetch_add(1, Ordering::Relaxed) < MAX_QUEUED;
        if !has_room {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            self.drop_some(1, "the collector is too slow");
        }
        has_room
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The collector took spans.
    fn end(&self) {
        if self.said.lock().take().is_some() {
            let dropped = self.dropped();
            info!(spans.dropped = dropped, "the collector takes spans again");
        }
    }

    fn drop_some(&self, spans: u64, error: &str) {
        let dropped = self.dropped.fetch_add(spans, Ordering::Relaxed) + spans;
        let mut said = self.said.lock();
        if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            *said = Some(Instant::now());
            warn!(
                error,
                spans.dropped = dropped,
                "spans of traces are dropped; orders are not affected"
            );
        }
    }
}

/// An exporter whose losses are counted.
#[derive(Debug)]
struct Counting {
    exporter: SpanExporter,
    losses: Arc<Losses>,
}

impl Export for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        self.losses.queued.fetch_sub(spans, Ordering::Relaxed);
        match &exported {
            Err(error) => self.losses.drop_some(spans as u64, &error.to_string()),
            Ok(()) => self.losses.end(),
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
