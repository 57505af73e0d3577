//! Batching: what arrives while one query is under way shares the next. An idle
//! store adds no wait; under load hundreds of callers cost one round trip.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::error::StoreError;

/// Callers that may wait for their turn.
const MAX_WAITING: usize = 65_536;
/// A query starts no sooner than this after the one before. A server that
/// answers in less would be asked for a few at a time, and a statement costs it
/// as much as twenty of the rows that it finds.
const PACE: Duration = Duration::from_millis(1);

type Answer<V> = oneshot::Sender<Result<V, StoreError>>;

/// Turns concurrent calls for one item each into calls for many.
pub(crate) struct Coalescer<K, V> {
    calls: mpsc::Sender<(K, Answer<V>)>,
}

impl<K, V> Coalescer<K, V>
where
    K: Send + 'static,
    V: Send + 'static,
{
    /// `run` gets 1 to `max` items and returns one result for each, in the same
    /// sequence. It runs once at a time: whoever asks meanwhile shares the next
    /// run, so nobody gets an answer from before the question.
    pub(crate) fn new<F>(max: usize, run: impl Fn(Vec<K>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Vec<V>, StoreError>> + Send,
    {
        let (calls, mut waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(async move {
            let mut batch: Vec<(K, Answer<V>)> = Vec::new();
            let mut next_run = Instant::now();
            while waiting.recv_many(&mut batch, max).await > 0 {
                if batch.len() < max && Instant::now() < next_run {
                    sleep_until(next_run).await;
                    while batch.len() < max
                        && let Ok(call) = waiting.try_recv()
                    {
                        batch.push(call);
                    }
                }
                // Whoever has gone away is not asked for.
                let present = batch.drain(..).filter(|(_, answer)| !answer.is_closed());
                let (items, answers): (Vec<K>, Vec<Answer<V>>) = present.unzip();
                if !items.is_empty() {
                    next_run = Instant::now() + PACE;
                    send(answers, run(items).await);
                }
            }
        });
        Self { calls }
    }

    /// The result for one item.
    pub(crate) async fn call(&self, item: K) -> Result<V, StoreError> {
        let (answer, result) = oneshot::channel();
        self.calls
            .try_send((item, answer))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}

fn send<V>(answers: Vec<Answer<V>>, results: Result<Vec<V>, StoreError>) {
    match results {
        Ok(results) => {
            for (answer, result) in answers.into_iter().zip(results) {
                // Nobody waits for it any more.
                let _unheard = answer.send(Ok(result));
            }
        }
        Err(error) => {
            for answer in answers {
                let _unheard = answer.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_arrives_meanwhile_shares_the_next_call() {
        let gate = Arc::new(Semaphore::new(0));
        let calls = Arc::new(AtomicUsize::new(0));
        let coalescer = {
            let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
            Coalescer::new(100, move |items: Vec<u32>| {
                let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
                async move {
                    calls.fetch_add(1, Ordering::Relaxed);
                    gate.acquire().await.unwrap().forget();
                    Ok(items.into_iter().map(|item| item * 2).collect())
                }
            })
        };
        let all = join_all((0..50).map(|item| coalescer.call(item)));
        let open = async {
            tokio::task::yield_now().await;
            gate.add_permits(50);
        };
        let (results, ()) = tokio::join!(all, open);
        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, (0..50).map(|item| item * 2).collect::<Vec<_>>());
        assert!(calls.load(Ordering::Relaxed) <= 2, "{calls:?}");
    }

    #[tokio::test]
    async fn all_who_waited_get_the_error() {
        let coalescer = Coalescer::new(100, |_: Vec<u32>| async {
            Err::<Vec<u32>, _>(StoreError::Overloaded)
        });
        for result in join_all((0..5).map(|item| coalescer.call(item))).await {
            assert!(matches!(result, Err(StoreError::Overloaded)));
        }
    }
}
