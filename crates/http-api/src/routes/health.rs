//! `/health`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::access::Anybody;
use crate::health::DependencyBody;
use crate::openapi::{Operation, schemas};
use crate::state::{Answer, Process};

/// That the process answers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Up")]
struct UpBody {
    /// `OK`.
    status: &'static str,
    /// The same for people.
    message: &'static str,
}

/// Whether the process can do its duty.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ready")]
struct ReadyBody<'a> {
    /// `ready`, `degraded`, `not_ready` or `stopping`.
    #[schemars(extend("enum" = ["ready", "degraded", "not_ready", "stopping"]))]
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

pub(super) fn health_described() -> Operation {
    up_described("health")
}

pub(super) fn live_described() -> Operation {
    up_described("liveness")
}

fn up_described(id: &'static str) -> Operation {
    let example = json!({"status": "OK", "message": "Server UP!"});
    Operation::new(id, "Whether the process answers").json(
        200,
        "It does.",
        schemas::of::<UpBody>,
        example,
    )
}

pub(super) fn ready_described() -> Operation {
    let store = |status: &str| json!({"name": "store", "status": status, "latency_ms": 0.731});
    let mut down = store("down");
    down["reason"] = "did not answer within 2s".into();
    let ready = schemas::of::<ReadyBody<'static>>;
    Operation::new("readiness", "Whether the process can do its duty")
        .about("`degraded` says that this process does its duty and others do not.")
        .json(
            200,
            "It can.",
            ready,
            json!({"status": "ready", "dependencies": [store("up")]}),
        )
        .json(
            503,
            "A dependency is down, or the process stops.",
            ready,
            json!({"status": "not_ready", "dependencies": [down]}),
        )
}
