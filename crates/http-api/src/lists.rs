//! Lists wait for each other, so that those who read leave room for those who order.
//!
//! A list of 500 tickets costs as much of the database and of this process as dozens of orders.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::problem::ApiError;

/// Lists that a process reads at the same time.
const LISTS: usize = 4;
/// Lists that wait for their turn; at the rate of their reading that is about a second.
const WAITING: usize = 256;
/// Longest wait of a list for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// The turns of lists. Audits have one of their own, because one of them may take minutes.
pub(crate) struct Lists {
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
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
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
    pub(crate) async fn audit_turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        match timeout(PATIENCE, self.auditing.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ApiError::ListsExhausted { max: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_list_waits_for_its_turn_but_not_for_long() {
        let lists = Lists::default();
        let mut reading = Vec::new();
        for _ in 0..LISTS {
            reading.push(lists.turn().await.unwrap());
        }
        let started = Instant::now();
        let refused = lists.turn().await.unwrap_err();
        assert_eq!(refused.to_string(), "lists_exhausted");
        assert_eq!(started.elapsed(), PATIENCE);
        let (turn, ()) = tokio::join!(lists.turn(), async { drop(reading.pop()) });
        drop(turn.unwrap());
        // An audit takes as long as it takes.
        let _audit = lists.audit_turn().await.unwrap();
        assert!(lists.turn().await.is_ok());
        assert!(lists.audit_turn().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn past_those_that_may_wait_a_list_is_refused_at_once() {
        let lists = Lists::default();
        let _reading = join_all((0..LISTS).map(|_| lists.turn())).await;
        let started = Instant::now();
        let all = join_all((0..=WAITING).map(|_| async {
            let refused = lists.turn().await.is_err();
            (refused, started.elapsed())
        }));
        let answers = all.await;
        let at_once = (true, Duration::ZERO);
        assert_eq!(answers.iter().filter(|one| **one == at_once).count(), 1);
        assert_eq!(answers[WAITING], at_once);
    }
}
