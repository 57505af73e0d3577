//! How often a cache of decided state has what it is asked for.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::{CacheInstant, Cached, State, StateCache, StateKey};
use runtime::Count;

use crate::{Labels, Metrics, float};

/// Counts what a cache answers.
pub struct MeasuredStateCache {
    cache: Arc<dyn StateCache>,
    counts: Arc<[Counts; 2]>,
}

/// Of tickets, or of shows.
#[derive(Default)]
struct Counts {
    hits: Count,
    misses: Count,
    unanswered: Count,
}

impl MeasuredStateCache {
    /// A cache in front of `cache`.
    #[must_use]
    pub fn new(cache: Arc<dyn StateCache>, metrics: &mut Metrics) -> Self {
        let counts = Arc::<[Counts; 2]>::default();
        let read = Arc::clone(&counts);
        metrics.counters(
            "tickets_state_cache_reads_total",
            "Reads of the cache for those who only look",
            move || {
                let of = |(kind, counts): (&str, &Counts)| {
                    let Counts {
                        hits,
                        misses,
                        unanswered,
                    } = counts;
                    let results = [("hit", hits), ("miss", misses), ("unanswered", unanswered)];
                    results.map(|(result, count)| {
                        let labels = Labels::from([
                            ("kind", kind.to_owned()),
                            ("result", result.to_owned()),
                        ]);
                        (labels, float(count.total()))
                    })
                };
                ["ticket", "show"]
                    .into_iter()
                    .zip(&*read)
                    .flat_map(of)
                    .collect()
            },
        );
        Self { cache, counts }
    }
}

#[async_trait]
impl StateCache for MeasuredStateCache {
    async fn get(&self, key: &StateKey) -> Option<Cached> {
        let cached = self.cache.get(key).await;
        let [tickets, shows] = &*self.counts;
        let counts = match key {
            StateKey::Ticket(_) => tickets,
            StateKey::Show(_) => shows,
        };
        let count = match &cached {
            None => &counts.unanswered,
            Some(Cached { state: None, .. }) => &counts.misses,
            Some(_) => &counts.hits,
        };
        count.add_one();
        cached
    }

    async fn put(&self, state: State, until: CacheInstant) {
        self.cache.put(state, until).await;
    }

    async fn raise(&self, states: Vec<State>) {
        self.cache.raise(states).await;
    }
}
