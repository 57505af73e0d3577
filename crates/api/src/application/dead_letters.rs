//! How many orders could not be decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{DeadLetters, Dependency, DependencyDown};
use tokio::time::{MissedTickBehavior, interval};

/// Counts dead letters again and again: the queue is asked in the background, so that nobody who
/// reads metrics or health waits for it.
pub(super) struct DeadLetterCount {
    letters: Arc<dyn DeadLetters>,
    latest: AtomicUsize,
}

/// The queue did not answer.
const UNKNOWN: usize = usize::MAX;

impl DeadLetterCount {
    pub(super) fn new(letters: Arc<dyn DeadLetters>) -> Self {
        Self {
            letters,
            latest: AtomicUsize::new(UNKNOWN),
        }
    }

    /// As the queue said last, up to 5 s ago.
    pub(super) fn latest(&self) -> Option<usize> {
        let latest = self.latest.load(Ordering::Relaxed);
        (latest != UNKNOWN).then_some(latest)
    }

    /// Never returns.
    pub(super) async fn keep_current(&self) {
        const PERIOD: Duration = Duration::from_secs(5);

        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Readiness and the log say why a queue does not answer.
            let count = self.letters.count().await.unwrap_or(UNKNOWN);
            self.latest.store(count, Ordering::Relaxed);
        }
    }
}

/// Buyers wait for verdicts that do not come until somebody does something.
#[async_trait]
impl Dependency for DeadLetterCount {
    fn name(&self) -> &'static str {
        "dead_letters"
    }

    /// A queue that does not answer is down under its own name.
    async fn check(&self) -> Result<(), DependencyDown> {
        let Some(count) = self.latest().filter(|count| *count > 0) else {
            return Ok(());
        };
        let orders = if count == 1 {
            "1 order was".to_owned()
        } else {
            format!("{count} orders were")
        };
        Err(DependencyDown::because(format!(
            "{orders} put aside undecided: `tickets dead-letters list` says why, and `tickets \
             dead-letters redrive` puts them back"
        )))
    }
}
