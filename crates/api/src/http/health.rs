//! `/health`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use domain::ports::Dependency;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Answer, State};

/// A dependency that takes longer is down for all that a client would notice.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// For so long an answer of the dependencies is that of everybody who asks.
const FRESH: Duration = Duration::from_secs(1);

/// What readiness asks.
pub(crate) struct Health {
    /// Without one of these the process cannot do its duty.
    needed: Vec<Arc<dyn Dependency>>,
    /// Without one of these others cannot, and the service as a whole does not.
    of_others: Vec<Arc<dyn Dependency>>,
    /// Held while the dependencies are asked: who comes meanwhile waits for that answer.
    latest: Mutex<Option<(Instant, Arc<Checked>)>>,
}

/// What the dependencies answered.
struct Checked {
    needed: Vec<DependencyBody>,
    of_others: Vec<DependencyBody>,
}

impl Health {
    pub(crate) fn new(
        needed: Vec<Arc<dyn Dependency>>,
        of_others: Vec<Arc<dyn Dependency>>,
    ) -> Self {
        Self {
            needed,
            of_others,
            latest: Mutex::default(),
        }
    }

    /// Asks each dependency, at most once in [`FRESH`] however many want to know.
    async fn check(&self) -> Arc<Checked> {
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

/// Whether the path asks only if the process answers.
pub(super) fn is_liveness(path: &str) -> bool {
    matches!(path, "/health" | "/health/live")
}

/// `GET /health` and `GET /health/live`: the process answers.
pub(super) async fn up() -> Answer {
    #[derive(Serialize)]
    struct UpBody {
        status: &'static str,
        message: &'static str,
    }
    Ok(HttpResponse::Ok().json(UpBody {
        status: "OK",
        message: "Server UP!",
    }))
}

#[derive(Serialize)]
struct DependencyBody {
    name: &'static str,
    status: &'static str,
    /// To a microsecond.
    latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `GET /health/ready`: 503 while a dependency is down or the process stops. `degraded`, with
/// 200, says that this process does its duty and others do not.
pub(super) async fn ready(state: State) -> Answer {
    #[derive(Serialize)]
    struct ReadyBody<'a> {
        status: &'static str,
        dependencies: Vec<&'a DependencyBody>,
    }
    let checked = state.health.check().await;
    let is_down = |some: &[DependencyBody]| some.iter().any(|one| one.reason.is_some());
    let status = if state.traffic.is_leaving() {
        "stopping"
    } else if is_down(&checked.needed) {
        "not_ready"
    } else if is_down(&checked.of_others) {
        "degraded"
    } else {
        "ready"
    };
    let mut response = if matches!(status, "ready" | "degraded") {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    Ok(response.json(ReadyBody {
        status,
        dependencies: checked.needed.iter().chain(&checked.of_others).collect(),
    }))
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
