//! One look-up for all who ask for the same thing at the same time.

use std::hash::Hash;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::OnceCell;

/// Look-ups under way, by key.
pub(crate) struct Flights<K: Eq + Hash, V> {
    under_way: DashMap<K, Arc<OnceCell<V>>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            under_way: DashMap::new(),
        }
    }

    /// What `look_up` returns, or the same call of somebody else that was under way. The latter
    /// began before this one was asked for, so it counts only if it `suits`.
    pub(crate) async fn join<F: Future<Output = V>>(
        &self,
        key: &K,
        suits: impl Fn(&V) -> bool,
        look_up: impl Fn() -> F,
    ) -> V {
        let mut is_later = false;
        loop {
            let mut began_here = false;
            let flight = Arc::clone(&*self.under_way.entry(key.clone()).or_insert_with(|| {
                began_here = true;
                Arc::default()
            }));
            let passenger = Passenger {
                flights: self,
                key,
                flight,
            };
            let value = passenger.flight.get_or_init(&look_up).await.clone();
            if is_later || began_here || suits(&value) {
                return value;
            }
            // The next one begins after this one has ended.
            is_later = true;
        }
    }
}

/// Somebody who waits for a look-up. The last one to leave, or the first one after it has ended,
/// removes it; those who waited make the look-up whose maker went away.
struct Passenger<'a, K: Eq + Hash, V> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    flight: Arc<OnceCell<V>>,
}

impl<K: Eq + Hash, V> Drop for Passenger<'_, K, V> {
    fn drop(&mut self) {
        self.flights.under_way.remove_if(self.key, |_, flight| {
            let is_last = Arc::strong_count(flight) == 2;
            Arc::ptr_eq(flight, &self.flight) && (is_last || flight.initialized())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Look-ups that wait until they may end, and are numbered.
    struct Sky {
        flights: Flights<u32, usize>,
        begun: AtomicUsize,
        may_end: Semaphore,
    }

    impl Sky {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                flights: Flights::new(),
                begun: AtomicUsize::new(0),
                may_end: Semaphore::new(0),
            })
        }

        /// Those who wait.
        fn passengers(&self) -> usize {
            let flight = self.flights.under_way.get(&7);
            flight.map_or(0, |flight| Arc::strong_count(&flight) - 1)
        }

        async fn ask(&self, suits: bool) -> usize {
            let look_up = || async {
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.may_end.acquire().await.unwrap().forget();
                number
            };
            self.flights.join(&7, |_| suits, look_up).await
        }
    }

    async fn asked(sky: &Arc<Sky>, many: usize, suits: bool) -> JoinSet<usize> {
        let mut waiting = JoinSet::new();
        for _ in 0..many {
            let sky = Arc::clone(sky);
            waiting.spawn(async move { sky.ask(suits).await });
        }
        yield_now().await;
        waiting
    }

    #[tokio::test]
    async fn all_who_ask_meanwhile_share_a_look_up() {
        let sky = Sky::new();
        let waiting = asked(&sky, 1_000, true).await;
        sky.may_end.add_permits(1);
        assert_eq!(waiting.join_all().await, vec![1; 1_000]);
        assert!(sky.flights.under_way.is_empty());
    }

    #[tokio::test]
    async fn what_does_not_suit_is_looked_up_once_more_for_all() {
        let sky = Sky::new();
        let waiting = asked(&sky, 1_000, false).await;
        sky.may_end.add_permits(1);
        // All but the one that began the first wait for the second.
        while sky.begun.load(Ordering::Relaxed) < 2 || sky.passengers() < 999 {
            yield_now().await;
        }
        sky.may_end.add_permits(1);
        let mut heard = waiting.join_all().await;
        heard.sort_unstable();
        // Whoever began it asked before it, so it suits them.
        assert_eq!((heard[0], &heard[1..]), (1, &vec![2; 999][..]));
        assert!(sky.flights.under_way.is_empty());
    }

    #[tokio::test]
    async fn those_who_wait_go_on_when_the_maker_is_gone_and_nothing_stays_behind() {
        let sky = Sky::new();
        let mut maker = asked(&sky, 1, true).await;
        let waiting = asked(&sky, 10, true).await;
        maker.shutdown().await;
        sky.may_end.add_permits(1);
        assert_eq!(waiting.join_all().await, vec![2; 10]);
        let mut gone = asked(&sky, 10, true).await;
        assert_eq!(sky.flights.under_way.len(), 1);
        gone.shutdown().await;
        assert!(sky.flights.under_way.is_empty());
    }
}
