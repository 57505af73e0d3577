//! `/health`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use domain::ports::Dependency;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;

use super::{Answer, State};

/// A dependency that takes longer is down for all that a client would notice.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What readiness asks.
pub(crate) struct Health {
    /// Without one of these the process cannot do its duty.
    pub(crate) needed: Vec<Arc<dyn Dependency>>,
    /// Without one of these others cannot, and the service as a whole does not.
    pub(crate) of_others: Vec<Arc<dyn Dependency>>,
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
    struct ReadyBody {
        status: &'static str,
        dependencies: Vec<DependencyBody>,
    }
    let health = &state.health;
    let all = health.needed.iter().chain(&health.of_others);
    let dependencies = join_all(all.map(|one| check(one.as_ref()))).await;
    let is_down = |some: &[DependencyBody]| some.iter().any(|one| one.reason.is_some());
    let (needed, of_others) = dependencies.split_at(health.needed.len());
    let status = if state.traffic.is_stopping() {
        "stopping"
    } else if is_down(needed) {
        "not_ready"
    } else if is_down(of_others) {
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
        dependencies,
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
