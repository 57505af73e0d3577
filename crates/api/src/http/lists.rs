//! Lists wait for each other, so that those who read leave room for those who order.
//!
//! A list of 500 tickets costs as much of the database and of this process as dozens of orders.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::problem::ApiError;

/// Lists that a process reads at the same time.
const LISTS: usize = 4;
/// Lists that wait for their turn; at the rate of their reading that is about a second.
const WAITING: usize = 256;
/// Longest wait of a list for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The turns of lists. Audits have one of their own, because one of them may take minutes.
pub(super) struct Lists {
    reading: Semaphore,
    waiting: Semaphore,
    auditing: Semaphore,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            reading: Semaphore::new(LISTS),
            waiting: Semaphore::new(WAITING),
            auditing: Semaphore::new(1),
        }
    }
}

impl Lists {
    /// A list may be read until the result is dropped.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let exhausted = || ApiError::ListsExhausted { max: LISTS };
        if let Ok(turn) = self.reading.try_acquire() {
            return Ok(turn);
        }
        let _place = self.waiting.try_acquire().map_err(|_| exhausted())?;
        match timeout(PATIENCE, self.reading.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(exhausted()),
        }
    }

    /// An audit may run until the result is dropped.
    pub(super) async fn audit_turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        match timeout(PATIENCE, self.auditing.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ApiError::ListsExhausted { max: 1 }),
        }
    }
}
