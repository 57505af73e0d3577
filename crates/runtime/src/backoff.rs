use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Outage;

/// Draws a number of a range.
pub type Draw = dyn Fn(RangeInclusive<u64>) -> u64 + Send + Sync;

/// An [`Outage`] that waits after each failure: twice as long after each in a row, from 50 ms
/// to 2 s, less up to a half by jitter.
#[derive(Debug)]
pub struct Backoff {
    /// Counts the failures and logs the outage.
    pub outage: Outage,
}

impl Backoff {
    const FIRST_MS: u64 = 50;
    const LONGEST_MS: u64 = 2_000;

    /// Without a failure so far.
    #[must_use]
    pub const fn of(outage: Outage) -> Self {
        Self { outage }
    }

    /// Records a failure and waits, until `stop` at most.
    pub async fn wait_after(
        &mut self,
        error: &(dyn Error + Send + Sync + 'static),
        jitter: &Draw,
        stop: &CancellationToken,
    ) {
        let longest = (Self::FIRST_MS << self.outage.failures().min(10)).min(Self::LONGEST_MS);
        self.outage.record_failure(error);
        let wait = jitter(longest / 2..=longest);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = sleep(Duration::from_millis(wait)) => {}
        }
    }
}
