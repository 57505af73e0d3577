//! Sweeping: seats of holds that are over become available again.

use domain::use_cases::DecideOrdersError;
use runtime::{Backoff, Outage};
use tokio::time::{Instant, sleep_until};

use crate::Worker;

/// Due holds released in one transaction.
const SWEEP_MAX: usize = 1_000;

impl Worker {
    /// Gives the seats of due holds back, also of shows that nobody orders.
    pub async fn sweep_holds(&self) {
        let mut backoff = Backoff::of(Outage::of("sweep"));
        while !self.stop.is_cancelled() {
            let due = Instant::now() + self.settings.hold_sweep_interval;
            match self.sweep_all().await {
                Ok(()) => backoff.outage.record_success(),
                Err(error) => backoff.wait_after(&error, &*self.jitter, &self.stop).await,
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = sleep_until(due) => {}
            }
        }
    }

    async fn sweep_all(&self) -> Result<(), DecideOrdersError> {
        while !self.stop.is_cancelled() {
            let swept = self.desk.sweep_holds(SWEEP_MAX).await?;
            // That nothing was to be told does not say that it could have been.
            if swept.expired > 0 {
                self.log.note(&swept.announced);
            }
            if swept.expired < SWEEP_MAX {
                break;
            }
        }
        Ok(())
    }
}
