//! Natural batching: what arrives while one query is under way shares the next.
//! An idle store adds no wait; under load a thousand callers cost one round trip.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;

/// Callers that may wait for their turn.
const MAX_WAITING: usize = 65_536;

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
    /// sequence. `lanes` of it run at a time.
    pub(crate) fn new<F>(
        max: usize,
        lanes: usize,
        run: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<V>, StoreError>> + Send,
    {
        let (calls, waiting) = mpsc::channel(MAX_WAITING);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let run = Arc::new(run);
        for _ in 0..lanes {
            let (waiting, run) = (Arc::clone(&waiting), Arc::clone(&run));
            tokio::spawn(async move {
                loop {
                    let mut batch: Vec<(K, Answer<V>)> = Vec::new();
                    // Held while waiting for the first call only.
                    if waiting.lock().await.recv_many(&mut batch, max).await == 0 {
                        return;
                    }
                    // Whoever has gone away is not asked for.
                    batch.retain(|(_, answer)| !answer.is_closed());
                    if batch.is_empty() {
                        continue;
                    }
                    let (items, answers): (Vec<K>, Vec<Answer<V>>) = batch.into_iter().unzip();
                    send(answers, run(items).await);
                }
            });
        }
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
            Coalescer::new(100, 1, move |items: Vec<u32>| {
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
        let coalescer = Coalescer::new(100, 1, |_: Vec<u32>| async {
            Err::<Vec<u32>, _>(StoreError::Overloaded)
        });
        for result in join_all((0..5).map(|item| coalescer.call(item))).await {
            assert!(matches!(result, Err(StoreError::Overloaded)));
        }
    }
}
