//! `/health`.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use domain::ports::Dependency;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;

use super::{Answer, State};

/// A dependency that takes longer is down for all that a client would notice.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

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

/// `GET /health/ready`: 503 while a dependency is down or the process stops.
pub(super) async fn ready(state: State) -> Answer {
    #[derive(Serialize)]
    struct ReadyBody {
        status: &'static str,
        dependencies: Vec<DependencyBody>,
    }
    let checks = state.dependencies.iter().map(|one| check(one.as_ref()));
    let dependencies = join_all(checks).await;
    let status = if state.traffic.is_stopping() {
        "stopping"
    } else if dependencies.iter().any(|one| one.reason.is_some()) {
        "not_ready"
    } else {
        "ready"
    };
    let mut response = if status == "ready" {
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
