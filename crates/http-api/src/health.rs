//! Whether what the process needs is there: asked at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::Dependency;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A dependency that takes longer is down for all that a client would notice.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// For so long an answer of the dependencies is that of everybody who asks.
const FRESH: Duration = Duration::from_secs(1);

/// What readiness asks.
pub struct Health {
    /// Without one of these the process cannot do its duty.
    needed: Vec<Arc<dyn Dependency>>,
    /// Without one of these others cannot, and the service as a whole does not.
    of_others: Vec<Arc<dyn Dependency>>,
    /// Held while the dependencies are asked: who comes meanwhile waits for that answer.
    latest: Mutex<Option<(Instant, Arc<Checked>)>>,
}

/// What the dependencies answered.
pub(crate) struct Checked {
    pub(crate) needed: Vec<DependencyBody>,
    pub(crate) of_others: Vec<DependencyBody>,
}

impl Health {
    /// Without one of the `needed` this process is not ready; without one of the others the
    /// service as a whole is `degraded`.
    #[must_use]
    pub fn new(needed: Vec<Arc<dyn Dependency>>, of_others: Vec<Arc<dyn Dependency>>) -> Self {
        Self {
            needed,
            of_others,
            latest: Mutex::default(),
        }
    }

    /// Asks each dependency, at most once in [`FRESH`] however many want to know.
    pub(crate) async fn check(&self) -> Arc<Checked> {
        let mut latest = self.latest.lock().await;
        if let Some((at, checked)) = &*latest
            && at.elapsed() < FRESH
        {
            return Arc::clone(checked);
        }
        let (needed, of_others) = tokio::join!(check_all(&self.needed), check_all(&self.of_others));
        let checked = Arc::new(Checked { needed, of_others });
        *latest = Some((Instant::now(), Arc::clone(&checked)));
        checked
    }
}

async fn check_all(dependencies: &[Arc<dyn Dependency>]) -> Vec<DependencyBody> {
    join_all(dependencies.iter().map(|one| check(one.as_ref()))).await
}

#[derive(Serialize)]
pub(crate) struct DependencyBody {
    name: &'static str,
    status: &'static str,
    /// To a microsecond.
    latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
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
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// Whoever asked first may be gone before the answer.
    #[tokio::test]
    async fn a_check_that_is_given_up_is_done_by_the_next() {
        let slow = Arc::new(Slow {
            asked: AtomicUsize::new(0),
            let_go: Semaphore::new(0),
        });
        let health = Health::new(vec![slow.clone()], Vec::new());
        let given_up = timeout(Duration::ZERO, health.check()).await;
        assert!(given_up.is_err());
        slow.let_go.add_permits(1);
        health.check().await;
        assert_eq!(slow.asked.load(Ordering::Relaxed), 2);
    }
}
