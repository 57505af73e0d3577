//! `/health`.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::access::Anybody;
use crate::health::DependencyBody;
use crate::state::{Answer, Process};

/// That the process answers.
#[derive(Serialize)]
struct UpBody {
    /// `OK`.
    status: &'static str,
    /// The same for people.
    message: &'static str,
}

/// Whether the process can do its duty.
#[derive(Serialize)]
struct ReadyBody<'a> {
    /// `ready`, `degraded`, `not_ready` or `stopping`.
    status: &'static str,
    /// What it depends on, and what others do.
    dependencies: Vec<&'a DependencyBody>,
}

/// `GET /health` and `GET /health/live`: the process answers.
pub(crate) async fn up(_: Anybody) -> Answer {
    Ok(HttpResponse::Ok().json(UpBody {
        status: "OK",
        message: "Server UP!",
    }))
}

/// `GET /health/ready`: 503 while a dependency is down or the process stops. `degraded`, with
/// 200, says that this process does its duty and others do not.
pub(crate) async fn ready(_: Anybody, process: Process) -> Answer {
    let checked = process.health.check().await;
    let is_down = |some: &[DependencyBody]| some.iter().any(|one| one.reason.is_some());
    let status = if process.traffic.is_leaving() {
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
