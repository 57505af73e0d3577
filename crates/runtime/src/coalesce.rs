//! Batching: what arrives while one query is under way shares the next. An idle
//! store adds no wait; under load hundreds of callers cost one round trip.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// Callers that may wait for their turn.
const MAX_WAITING: usize = 65_536;
/// A query starts no sooner than this after the one before. A server that
/// answers in less would be asked for a few at a time, and a statement costs it
/// as much as twenty of the rows that it finds.
const PACE: Duration = Duration::from_millis(1);

/// Why a call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCalled {
    /// Too many callers wait already.
    Overloaded,
    /// The task that makes the calls has ended.
    Closed,
}

type Answer<V, E> = oneshot::Sender<Result<V, E>>;

/// Turns concurrent calls for one item each into calls for many. An error of a call is that of
/// all who share it.
#[derive(Debug)]
pub struct Coalescer<K, V, E> {
    calls: mpsc::Sender<(K, Answer<V, E>)>,
}

impl<K, V, E> Coalescer<K, V, E>
where
    K: Send + 'static,
    V: Send + 'static,
    E: Clone + From<NotCalled> + Send + 'static,
{
    /// `run` gets 1 to `max` items and returns one result for each, in the same
    /// sequence. It runs once at a time: callers that ask meanwhile share the next
    /// run, so nobody gets an answer from before the question. Must be called inside of a tokio
    /// runtime.
    pub fn new<F>(max: usize, run: impl Fn(Vec<K>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Vec<V>, E>> + Send,
    {
        let (calls, mut waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(async move {
            let mut batch: Vec<(K, Answer<V, E>)> = Vec::new();
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
                // Skips callers that were dropped.
                let present = batch.drain(..).filter(|(_, answer)| !answer.is_closed());
                let (items, answers): (Vec<K>, Vec<Answer<V, E>>) = present.unzip();
                if !items.is_empty() {
                    next_run = Instant::now() + PACE;
                    send(answers, run(items).await);
                }
            }
        });
        Self { calls }
    }

    /// The result for one item.
    ///
    /// # Errors
    /// What `run` failed with, or [`NotCalled`].
    pub async fn call(&self, item: K) -> Result<V, E> {
        let (answer, result) = oneshot::channel();
        self.calls
            .try_send((item, answer))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => NotCalled::Overloaded,
                mpsc::error::TrySendError::Closed(_) => NotCalled::Closed,
            })?;
        result.await.map_err(|_| NotCalled::Closed)?
    }
}

fn send<V, E: Clone>(answers: Vec<Answer<V, E>>, results: Result<Vec<V>, E>) {
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
                    Ok::<_, NotCalled>(items.into_iter().map(|item| item * 2).collect())
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
            Err::<Vec<u32>, _>(NotCalled::Overloaded)
        });
        for result in join_all((0..5).map(|item| coalescer.call(item))).await {
            assert_eq!(result, Err(NotCalled::Overloaded));
        }
    }
}
