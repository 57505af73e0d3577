//! The keys that are valid now, kept current while the process runs.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use parking_lot::RwLock;
use runtime::Outage;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::Algorithm;
use crate::key_set::KeySet;
use crate::key_source::{KeySource, SourceError};

/// How often a source is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two reads: so long a withdrawn key is still accepted.
    pub(crate) refresh: Duration,
    /// Between two reads that unknown keys lead to.
    pub(crate) unknown_key: Duration,
    /// After the first failure; twice as long after each in a row, and up to twice that by jitter.
    /// Ten times this at most.
    pub(crate) retry: Duration,
    /// For one read.
    pub(crate) time_limit: Duration,
}

impl Pace {
    pub(crate) const URL: Self = Self {
        refresh: Duration::from_secs(300),
        unknown_key: Duration::from_secs(60),
        retry: Duration::from_secs(1),
        time_limit: Duration::from_secs(5),
    };
    /// A file costs nobody anything.
    pub(crate) const FILE: Self = Self {
        refresh: Duration::from_secs(10),
        ..Self::URL
    };

    fn retries(self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.retry)
            .with_max_delay(self.retry * 5)
            .without_max_times()
            .with_jitter()
            .build()
    }
}

/// The valid keys of a source.
pub(crate) struct CurrentKeys {
    /// `None` until the source was read for the first time.
    set: RwLock<Option<Arc<KeySet>>>,
    /// Whoever has it reads: one at a time.
    reader: Mutex<Reader>,
    pace: Pace,
}

struct Reader {
    source: KeySource,
    accepted: Vec<Algorithm>,
    /// What the valid keys were made of.
    jwks: Vec<u8>,
    outage: Outage,
    /// When it was last read for an unknown key.
    asked: Option<Instant>,
}

impl CurrentKeys {
    pub(crate) fn of(source: KeySource, accepted: Vec<Algorithm>, pace: Pace) -> Arc<Self> {
        let reader = Reader {
            source,
            accepted,
            jwks: Vec::new(),
            outage: Outage::of("token keys"),
            asked: None,
        };
        Arc::new(Self {
            set: RwLock::new(None),
            reader: Mutex::new(reader),
            pace,
        })
    }

    pub(crate) fn get(&self) -> Option<Arc<KeySet>> {
        self.set.read().clone()
    }

    /// Whether the source has not changed since `set` was got.
    pub(crate) fn is_current(&self, set: &Arc<KeySet>) -> bool {
        let current = self.set.read();
        current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, set))
    }

    /// Reads the source now. The keys stay as they are if that fails.
    pub(crate) async fn refresh(&self) -> Result<(), SourceError> {
        self.read(&mut *self.reader.lock().await).await
    }

    /// Reads the source, unless an unknown key led to that a short time ago. Callers that come
    /// while it is being read wait for that.
    pub(crate) async fn refresh_for_unknown_key(self: &Arc<Self>) {
        let keys = Arc::clone(self);
        // A task of its own, since callers may go away while others wait for it.
        let reading = tokio::spawn(async move {
            let mut reader = keys.reader.lock().await;
            let limit = keys.pace.unknown_key;
            if reader.asked.is_none_or(|asked| asked.elapsed() >= limit) {
                reader.asked = Some(Instant::now());
                // The outage was logged.
                let _read = keys.read(&mut reader).await;
            }
        });
        let _ended = reading.await;
    }

    /// Refreshes again and again until `stop`.
    pub(crate) async fn keep_current(self: Arc<Self>, stop: CancellationToken) {
        let mut retries = self.pace.retries();
        let mut wait = self.pace.refresh;
        if self.get().is_none() {
            wait = retries.next().unwrap_or(wait);
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
            let refreshed = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                refreshed = self.refresh() => refreshed,
            };
            wait = match refreshed {
                Ok(()) => {
                    retries = self.pace.retries();
                    self.pace.refresh
                }
                Err(_) => retries.next().unwrap_or(self.pace.refresh),
            };
        }
    }

    async fn read(&self, reader: &mut Reader) -> Result<(), SourceError> {
        let result = self.try_read(reader).await;
        match &result {
            Ok(()) => reader.outage.record_success(),
            Err(error) => reader.outage.record_failure(error),
        }
        result
    }

    async fn try_read(&self, reader: &mut Reader) -> Result<(), SourceError> {
        let jwks = reader.source.read(self.pace.time_limit).await?;
        if jwks == reader.jwks
            && let Some(set) = self.get()
        {
            return usable(&set);
        }
        let set = Arc::new(KeySet::parse(&jwks, &reader.accepted)?);
        reader.jwks = jwks;
        let before = self.set.write().replace(Arc::clone(&set));
        if before.is_none_or(|before| before.ignored != set.ignored) {
            for key in &set.ignored {
                info!(key.id, key.reason, "a key of the key set is not used");
            }
        }
        usable(&set)
    }
}

/// A set without a usable key withdraws all keys, and is a fault.
fn usable(set: &KeySet) -> Result<(), SourceError> {
    if set.is_empty() {
        return Err(SourceError::NoUsableKey);
    }
    Ok(())
}
