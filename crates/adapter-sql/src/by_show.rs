//! Batching by show: a show that somebody keeps locked keeps nobody from the others.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::ShowId;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::{Fault, SqlError};
use runtime::Coalescer;

/// Shows that have batches at the same time; one too many only shares fewer transactions.
const SHOWS: u64 = 10_000;
/// After so long without a call a show is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// Makes what a show's calls go through.
type Make<K, V, E> = Box<dyn Fn(&ShowId) -> Coalescer<K, V, E> + Send + Sync>;

/// A [`Coalescer`] for each show.
pub(crate) struct ByShow<K, V, E> {
    shows: Cache<ShowId, Arc<Coalescer<K, V, E>>>,
    make: Make<K, V, E>,
}

impl<K, V, E> ByShow<K, V, E>
where
    K: Send + 'static,
    V: Send + 'static,
    E: SqlError,
{
    /// `run` gets 1 to `max` items of one show and returns one result for each, in the same
    /// sequence; it runs once at a time for each show, for at most `shows_at_once` of them. The
    /// others wait for their turn for up to `limit`.
    pub(crate) fn new<R, F>(max: usize, shows_at_once: u32, limit: Duration, run: R) -> Self
    where
        R: Fn(ShowId, Vec<K>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Vec<V>, E>> + Send + 'static,
    {
        let connections = usize::try_from(shows_at_once).unwrap_or(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(connections));
        let make = move |show: &ShowId| {
            let (show, run, places) = (show.clone(), run.clone(), Arc::clone(&places));
            Coalescer::new(max, move |items| {
                let (show, run, places) = (show.clone(), run.clone(), Arc::clone(&places));
                async move {
                    let Ok(_place) = timeout(limit, places.acquire()).await else {
                        return Err(Fault::AllBusy {
                            connections,
                            limit,
                            setting: E::MAX_CONNECTIONS,
                        }
                        .into());
                    };
                    run(show, items).await
                }
            })
        };
        Self {
            shows: Cache::builder()
                .max_capacity(SHOWS)
                .time_to_idle(IDLE)
                .build(),
            make: Box::new(make),
        }
    }

    /// The result for one item of a show.
    pub(crate) async fn call(&self, show: &ShowId, item: K) -> Result<V, E> {
        let shared = self
            .shows
            .get_with_by_ref(show, || Arc::new((self.make)(show)));
        shared.call(item).await
    }
}
