//! Whether what the process needs is there: asked at most once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::ports::Dependency;
use futures_util::future::join_all;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

/// A dependency that takes longer is down for all that a client would notice.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// For so long an answer of the dependencies is that of everybody who asks.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the path, decoded, asks for health: answered to whoever asks, by whatever name.
pub(crate) fn is_health(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/")
}

/// The dependencies that readiness checks, with their latest answers.
pub struct Health {
    asked: Arc<Asked>,
    /// Of the last check, which may be under way: callers meanwhile wait for it.
    latest: Mutex<Option<watch::Receiver<Option<Arc<Checked>>>>>,
}

struct Asked {
    /// Without one of these the process cannot do its duty.
    needed: Vec<Arc<dyn Dependency>>,
    /// Without one of these it can, and the service as a whole is not as it should be.
    of_others: Vec<Arc<dyn Dependency>>,
    /// All that is needed was up at one time.
    has_started: AtomicBool,
}

/// What the dependencies answered.
pub(crate) struct Checked {
    at: Instant,
    pub(crate) needed: Vec<DependencyBody>,
    pub(crate) of_others: Vec<DependencyBody>,
}

impl Health {
    /// Without one of the `needed` this process is not ready; without one of the others the
    /// service as a whole is `degraded`.
    #[must_use]
    pub fn new(needed: Vec<Arc<dyn Dependency>>, of_others: Vec<Arc<dyn Dependency>>) -> Self {
        Self {
            asked: Arc::new(Asked {
                needed,
                of_others,
                has_started: AtomicBool::new(false),
            }),
            latest: Mutex::default(),
        }
    }

    /// Whether all that is needed has been up at one time, as far as anybody asked.
    pub(crate) fn has_started(&self) -> bool {
        self.asked.has_started.load(Ordering::Relaxed)
    }

    /// Asks each dependency, at most once in [`FRESH`] however many want to know. The check runs in
    /// a task: it continues when the caller is dropped, gives back the connection of the store
    /// that it has borrowed, and answers the next caller.
    pub(crate) async fn check(&self) -> Arc<Checked> {
        let mut answer = {
            let mut latest = self.latest.lock();
            match latest.as_ref().filter(|answer| is_fresh(answer)) {
                Some(answer) => answer.clone(),
                None => latest.insert(ask(Arc::clone(&self.asked))).clone(),
            }
        };
        let told = answer.wait_for(Option::is_some).await;
        let told = told.ok().and_then(|told| told.clone());
        // Its task has ended without an answer: the process stops.
        told.unwrap_or_else(|| Arc::new(self.asked.nobody_answered()))
    }
}

/// Whether the answer is of this moment, or on its way.
fn is_fresh(answer: &watch::Receiver<Option<Arc<Checked>>>) -> bool {
    match &*answer.borrow() {
        Some(checked) => checked.at.elapsed() < FRESH,
        None => answer.has_changed().is_ok(),
    }
}

fn ask(asked: Arc<Asked>) -> watch::Receiver<Option<Arc<Checked>>> {
    let (tell, answer) = watch::channel(None);
    tokio::spawn(async move {
        let (needed, of_others) =
            tokio::join!(check_all(&asked.needed), check_all(&asked.of_others));
        let checked = Checked {
            at: Instant::now(),
            needed,
            of_others,
        };
        if checked.is_able() {
            asked.has_started.store(true, Ordering::Relaxed);
        }
        tell.send_replace(Some(Arc::new(checked)));
    });
    answer
}

impl Asked {
    fn nobody_answered(&self) -> Checked {
        let down = |of: &[Arc<dyn Dependency>]| {
            let of = of.iter();
            of.map(|one| DependencyBody {
                name: one.name(),
                status: "down",
                latency_ms: 0.0,
                reason: Some("could not be asked".to_owned()),
            })
            .collect()
        };
        Checked {
            at: Instant::now(),
            needed: down(&self.needed),
            of_others: down(&self.of_others),
        }
    }
}

impl Checked {
    /// Whether all that the process needs is up.
    pub(crate) fn is_able(&self) -> bool {
        !self.needed.iter().any(DependencyBody::is_down)
    }
}

async fn check_all(dependencies: &[Arc<dyn Dependency>]) -> Vec<DependencyBody> {
    join_all(dependencies.iter().map(|one| check(one.as_ref()))).await
}

/// What a dependency answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Dependency")]
pub(crate) struct DependencyBody {
    /// Its name, such as `store`.
    pub(crate) name: &'static str,
    /// `up` or `down`.
    status: &'static str,
    /// Of the answer, to a microsecond.
    pub(crate) latency_ms: f64,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl DependencyBody {
    pub(crate) fn is_down(&self) -> bool {
        self.reason.is_some()
    }
}

async fn check(dependency: &dyn Dependency) -> DependencyBody {
    let started = Instant::now();
    let reason = match timeout(CHECK_TIMEOUT, dependency.check()).await {
        Ok(Ok(())) => None,
        Ok(Err(down)) => Some(down.reason),
        Err(_) => Some(format!("did not answer within {CHECK_TIMEOUT:?}")),
    };
    DependencyBody {
        name: dependency.name(),
        status: if reason.is_none() { "up" } else { "down" },
        latency_ms: (started.elapsed().as_secs_f64() * 1_000_000.0).round() / 1_000.0,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use domain::ports::DependencyDown;
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers when it is let to, and counts how often it was asked.
    struct Slow {
        asked: AtomicUsize,
        let_go: Semaphore,
    }

    #[async_trait]
    impl Dependency for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        async fn check(&self) -> Result<(), DependencyDown> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let _turn = self.let_go.acquire().await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn everybody_who_asks_at_the_same_time_gets_one_answer() {
        let slow = Arc::new(Slow {
            asked: AtomicUsize::new(0),
            let_go: Semaphore::new(0),
        });
        let health = Health::new(vec![slow.clone()], Vec::new());
        let all = join_all((0..1_000).map(|_| health.check()));
        let one_goes_on = async {
            while slow.asked.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            slow.let_go.add_permits(1_000);
        };
        let (answers, ()) = tokio::join!(all, one_goes_on);
        assert_eq!(slow.asked.load(Ordering::Relaxed), 1);
        assert!(answers.iter().all(|one| one.needed[0].reason.is_none()));
    }

    /// A check that is dropped closes the connection of the store that it has borrowed: a client
    /// that asks and hangs up, again and again, would cost the database a login each time.
    #[tokio::test]
    async fn a_check_continues_when_its_caller_is_dropped() {
        let slow = Arc::new(Slow {
            asked: AtomicUsize::new(0),
            let_go: Semaphore::new(0),
        });
        let health = Health::new(vec![slow.clone()], Vec::new());
        for _ in 0..100 {
            let given_up = timeout(Duration::ZERO, health.check()).await;
            assert!(given_up.is_err());
            tokio::task::yield_now().await;
        }
        slow.let_go.add_permits(100);
        let answer = health.check().await;
        assert!(answer.needed[0].reason.is_none());
        assert_eq!(slow.asked.load(Ordering::Relaxed), 1);
    }

    /// An answer that nobody has waited for gets old like any other.
    #[tokio::test]
    async fn an_answer_of_before_is_not_that_of_now() {
        let slow = Arc::new(Slow {
            asked: AtomicUsize::new(0),
            let_go: Semaphore::new(2),
        });
        let health = Health::new(vec![slow.clone()], Vec::new());
        drop(timeout(Duration::ZERO, health.check()).await);
        while slow.asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(FRESH).await;
        health.check().await;
        assert_eq!(slow.asked.load(Ordering::Relaxed), 2);
    }
}
