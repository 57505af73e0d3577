//! What a limit asks of a store that processes share, and what it does without it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::join_all;
use limits::{Lease, Limit, SharedTokens, Subject, TokenStore, TokensUnavailable, Want};
use parking_lot::Mutex;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_millis(40);

/// Gives every client as much as it wants, and writes down what it was asked.
#[derive(Default)]
struct Generous {
    is_down: AtomicBool,
    /// How long each answer takes.
    distance: Mutex<Duration>,
    asked: Mutex<Vec<Vec<Want>>>,
}

#[async_trait]
impl TokenStore for Generous {
    async fn lease(&self, wants: &[Want]) -> Result<Vec<Lease>, TokensUnavailable> {
        self.asked.lock().push(wants.to_vec());
        if self.is_down.load(Ordering::Relaxed) {
            return Err(TokensUnavailable("down".into()));
        }
        let distance = *self.distance.lock();
        sleep(distance).await;
        tokio::task::yield_now().await;
        let leases = wants.iter().map(|want| Lease {
            tokens: want.tokens,
            next_in: Duration::ZERO,
        });
        Ok(leases.collect())
    }
}

async fn sharing(store: &Arc<Generous>, rate: &str) -> (Arc<Limit>, Arc<SharedTokens>) {
    let tokens = Arc::new(SharedTokens::start(store.clone(), PATIENCE).await);
    store.asked.lock().clear();
    let limit = Limit::new("limit", rate.parse().unwrap(), Some(&tokens));
    (Arc::new(limit), tokens)
}

async fn limit(store: &Arc<Generous>, rate: &str) -> Arc<Limit> {
    sharing(store, rate).await.0
}

impl Generous {
    fn calls(&self) -> usize {
        self.asked.lock().len()
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_ask_together_share_a_call() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "100/h").await;
    let users: Vec<_> = (0..100).map(|user| user.to_string()).collect();
    let asking = users.iter().map(|user| limit.take(Subject::User(user)));
    join_all(asking).await.into_iter().for_each(Result::unwrap);
    assert!(store.calls() <= 2, "{}", store.calls());
    let asked = store.asked.lock().concat();
    assert_eq!(asked.len(), 100);
    assert!(asked.iter().all(|want| want.tokens == 1));
}

#[tokio::test(start_paused = true)]
async fn one_client_is_asked_for_once_and_in_portions() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "200/h").await;
    let ada = Subject::User("ada");
    let asking = (0..9).map(|_| limit.take(ada));
    join_all(asking).await.into_iter().for_each(Result::unwrap);
    assert_eq!(store.asked.lock().concat().len(), 1);
    for _ in 0..100 {
        limit.take(ada).await.unwrap();
    }
    let asked: Vec<_> = store.asked.lock().concat();
    let portions: Vec<_> = asked.iter().map(|want| want.tokens).collect();
    assert_eq!(portions[..3], [9, 10, 10]);
    assert_eq!(portions.len(), 11);
}

/// However much the store gives, for one process alone its own limit holds.
#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_everything_gives_a_client_no_more_than_the_limit_of_the_process() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "20/h").await;
    for _ in 0..20 {
        limit.take(Subject::User("ada")).await.unwrap();
    }
    let refused = limit.take(Subject::User("ada")).await.unwrap_err();
    assert!((1..=180).contains(&refused.retry_after()), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_not_waited_for_again_until_it_answers() {
    let store = Arc::new(Generous::default());
    let (limit, tokens) = sharing(&store, "3/h").await;
    let ada = Subject::User("ada");
    limit.take(ada).await.unwrap();
    assert_eq!(tokens.failure(), None);
    store.is_down.store(true, Ordering::Relaxed);
    limit.take(ada).await.unwrap();
    assert!(tokens.failure().unwrap().ends_with(": down"));
    let calls = store.calls();
    // It has been counted all the time. Nobody waits.
    limit.take(ada).now_or_never().unwrap().unwrap();
    limit.take(ada).now_or_never().unwrap().unwrap_err();
    assert_eq!(store.calls(), calls);
    sleep(Duration::from_secs(60)).await;
    assert!(store.calls() > calls, "it is asked meanwhile");
    store.is_down.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(1)).await;
    let bob = Subject::User("bob");
    assert!(limit.take(bob).now_or_never().is_none());
    limit.take(bob).await.unwrap();
    assert_eq!(tokens.failure(), None);
}

/// Those who ask while a call is under way wait for two: each call has its own time.
#[tokio::test(start_paused = true)]
async fn a_store_that_answers_in_time_is_asked_for_everybody() {
    let store = Arc::new(Generous::default());
    let (limit, tokens) = sharing(&store, "3/h").await;
    *store.distance.lock() = PATIENCE * 9 / 10;
    let mut asking = Vec::new();
    for user in 0..50 {
        let user = user.to_string();
        asking.push(tokio::spawn(limit.take(Subject::User(&user))));
        sleep(PATIENCE / 10).await;
    }
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(tokens.failure(), None);
    assert_eq!(store.asked.lock().concat().len(), 50);
}

/// What nobody answers is decided here, and that is said.
#[tokio::test(start_paused = true)]
async fn more_clients_than_the_store_can_answer_for_are_a_failure_of_it() {
    let store = Arc::new(Generous::default());
    let (limit, tokens) = sharing(&store, "3/h").await;
    *store.distance.lock() = PATIENCE * 9 / 10;
    let asking = (0..2_000).map(|user| {
        let user = user.to_string();
        limit.take(Subject::User(&user))
    });
    join_all(asking).await.into_iter().for_each(Result::unwrap);
    let failure = tokens.failure().unwrap();
    assert!(failure.contains("took longer than 80ms"), "{failure}");
}

/// Those who wait for their turn meanwhile do not make it fail again.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_once_however_many_wait() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "3/h").await;
    store.is_down.store(true, Ordering::Relaxed);
    let users: Vec<_> = (0..1_000).map(|user| user.to_string()).collect();
    let asking = users.iter().map(|user| limit.take(Subject::User(user)));
    join_all(asking).await.into_iter().for_each(Result::unwrap);
    assert_eq!(store.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_or_slow_at_the_start_is_not_asked() {
    for takes in [Duration::ZERO, PATIENCE * 2] {
        let store = Arc::new(Generous::default());
        store.is_down.store(takes.is_zero(), Ordering::Relaxed);
        *store.distance.lock() = takes;
        let limit = limit(&store, "3/h").await;
        // It is looked at all the time.
        for _ in 0..3 {
            let asked = limit.take(Subject::User("ada"));
            asked.now_or_never().unwrap().unwrap();
            sleep(Duration::from_secs(10)).await;
        }
        limit.take(Subject::User("ada")).await.unwrap_err();
    }
}

/// Also one whose turn comes late: the call under way, and its own.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_more_than_two_calls() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "3/h").await;
    *store.distance.lock() = PATIENCE * 2;
    let late = async {
        sleep(PATIENCE / 4).await;
        let started = tokio::time::Instant::now();
        limit.take(Subject::User("bob")).await.unwrap();
        started.elapsed()
    };
    let (early, waited) = tokio::join!(limit.take(Subject::User("ada")), late);
    early.unwrap();
    // In simulated time, as below.
    assert!(
        waited <= PATIENCE * 2 + Duration::from_millis(2),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_takes_nothing_out_of_the_store() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "3/h").await;
    limit.check(Subject::User("ada")).await.unwrap();
    assert_eq!(store.asked.lock().concat()[0].tokens, 0);
}

/// Says that there is nothing, for ever.
struct Wrong;

#[async_trait]
impl TokenStore for Wrong {
    async fn lease(&self, wants: &[Want]) -> Result<Vec<Lease>, TokensUnavailable> {
        let nothing = Lease {
            tokens: 0,
            next_in: Duration::MAX,
        };
        Ok(vec![nothing; wants.len()])
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_wrong_keeps_nobody_out_for_longer_than_a_token_takes() {
    let tokens = Arc::new(SharedTokens::start(Arc::new(Wrong), PATIENCE).await);
    let rate = "2/h".parse().unwrap();
    let limit = Arc::new(Limit::new("limit", rate, Some(&tokens)));
    let refused = limit.take(Subject::User("ada")).await.unwrap_err();
    assert_eq!(refused.retry_after(), 1_800);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_a_store_that_hangs() {
    let store = Arc::new(Generous::default());
    let limit = limit(&store, "3/h").await;
    *store.distance.lock() = PATIENCE * 25;
    let started = tokio::time::Instant::now();
    let asking = (0..50).map(|user| {
        let user = user.to_string();
        limit.take(Subject::User(&user))
    });
    join_all(asking).await.into_iter().for_each(Result::unwrap);
    // In simulated time, which a busy machine does not change.
    assert!(started.elapsed() <= PATIENCE + Duration::from_millis(2));
    sleep(Duration::from_millis(2)).await;
    let started = tokio::time::Instant::now();
    limit.take(Subject::User("next")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}
