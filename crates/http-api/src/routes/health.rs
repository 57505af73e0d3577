//! `/health`.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{Accept, Header, Quality};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::access::Anybody;
use crate::health::{Checked, DependencyBody};
use crate::openapi::{Operation, schemas};
use crate::state::{Answer, Process};

/// For those who ask for it: draft-inadarei-api-health-check-06.
const HEALTH_JSON: &str = "application/health+json";

/// That the process answers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Up")]
struct UpBody {
    /// `OK`.
    status: &'static str,
    /// The same for people.
    message: &'static str,
}

/// Whether the process has started, or can do its duty.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ready")]
struct ReadyBody<'a> {
    /// `started` or `starting`; `ready`, `degraded`, `not_ready` or `stopping`.
    #[schemars(extend("enum" = [
        "started", "starting", "ready", "degraded", "not_ready", "stopping",
    ]))]
    status: &'static str,
    /// What it depends on, and what others do.
    dependencies: Vec<&'a DependencyBody>,
}

/// The same in the fields of the draft.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct HealthBody<'a> {
    /// `warn` stands for `degraded`.
    #[schemars(extend("enum" = ["pass", "warn", "fail"]))]
    status: &'static str,
    /// The version of the service.
    #[serde(rename = "releaseId")]
    release_id: &'static str,
    /// The status in the service's own words.
    output: &'static str,
    /// By dependency, such as `store:responseTime`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checks: BTreeMap<String, [CheckBody<'a>; 1]>,
}

/// What a dependency answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Check")]
struct CheckBody<'a> {
    /// `warn` if this process can do without, and the service as a whole does not.
    #[schemars(extend("enum" = ["pass", "warn", "fail"]))]
    status: &'static str,
    /// How long its answer took.
    #[serde(rename = "observedValue")]
    observed_value: f64,
    /// `ms`.
    #[serde(rename = "observedUnit")]
    observed_unit: &'static str,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
}

/// `GET /health` and `GET /health/live`: the process answers.
pub(crate) async fn up(_: Anybody, request: HttpRequest) -> Answer {
    if wants_health_json(&request) {
        return Ok(health_json(StatusCode::OK, "OK", None));
    }
    Ok(HttpResponse::Ok().json(UpBody {
        status: "OK",
        message: "Server UP!",
    }))
}

/// `GET /health/startup`: 503 until all that the process needs has been up once.
pub(crate) async fn startup(_: Anybody, process: Process, request: HttpRequest) -> Answer {
    let checked = process.health.check().await;
    let (code, status) = if process.health.has_started() {
        (StatusCode::OK, "started")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    Ok(tell(&request, code, status, &checked))
}

/// `GET /health/ready`: 503 while a dependency is down or the process stops. `degraded`, with
/// 200, says that this process does its duty and something is wrong all the same.
pub(crate) async fn ready(_: Anybody, process: Process, request: HttpRequest) -> Answer {
    let checked = process.health.check().await;
    let (code, status) = if process.traffic.is_leaving() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if !checked.is_able() {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    } else if checked.of_others.iter().any(DependencyBody::is_down) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ready")
    };
    Ok(tell(&request, code, status, &checked))
}

fn tell(
    request: &HttpRequest,
    code: StatusCode,
    status: &'static str,
    checked: &Checked,
) -> HttpResponse {
    if wants_health_json(request) {
        return health_json(code, status, Some(checked));
    }
    HttpResponse::build(code).json(ReadyBody {
        status,
        dependencies: checked.needed.iter().chain(&checked.of_others).collect(),
    })
}

/// Whether the client names it, and likes no other JSON better.
fn wants_health_json(request: &HttpRequest) -> bool {
    let Ok(accepted) = Accept::parse(request) else {
        return false;
    };
    let liked = |media_type| {
        let mut named = accepted.iter();
        let named = named.find(|accepted| accepted.item.essence_str() == media_type);
        named.map_or(Quality::ZERO, |named| named.quality)
    };
    let quality = liked(HEALTH_JSON);
    quality > Quality::ZERO && quality >= liked("application/json")
}

fn health_json(code: StatusCode, status: &'static str, checked: Option<&Checked>) -> HttpResponse {
    let checks = checked.into_iter().flat_map(|checked| {
        let needed = checked.needed.iter().map(|one| check(one, "fail"));
        needed.chain(checked.of_others.iter().map(|one| check(one, "warn")))
    });
    let body = HealthBody {
        status: match status {
            "degraded" => "warn",
            _ if code.is_success() => "pass",
            _ => "fail",
        },
        release_id: env!("CARGO_PKG_VERSION"),
        output: status,
        checks: checks.collect(),
    };
    HttpResponse::build(code)
        .content_type(HEALTH_JSON)
        .json(body)
}

/// `down` says how bad it is if it is down.
fn check<'a>(one: &'a DependencyBody, down: &'static str) -> (String, [CheckBody<'a>; 1]) {
    let check = CheckBody {
        status: if one.is_down() { down } else { "pass" },
        observed_value: one.latency_ms,
        observed_unit: "ms",
        output: one.reason.as_deref(),
    };
    (format!("{}:responseTime", one.name), [check])
}

pub(super) fn health_described() -> Operation {
    up_described("health")
}

pub(super) fn live_described() -> Operation {
    up_described("liveness")
}

fn up_described(id: &'static str) -> Operation {
    let example = json!({"status": "OK", "message": "Server UP!"});
    Operation::new(id, "Whether the process answers")
        .about("Of use to those who restart what hangs.")
        .json(200, "It does.", schemas::of::<UpBody>, example)
        .or_json(
            HEALTH_JSON,
            schemas::of::<HealthBody>,
            example_of("pass", "OK", None),
        )
}

pub(super) fn startup_described() -> Operation {
    let down = "did not answer within 2s";
    Operation::new(
        "startup",
        "Whether all that the process needs has been up once",
    )
    .about("From then on it is `started`, whatever comes.")
    .told(200, "It has.", "started", "pass", None)
    .told(503, "It has not.", "starting", "fail", Some(down))
}

pub(super) fn ready_described() -> Operation {
    let down = "did not answer within 2s";
    let unable = "A dependency is down, or the process stops.";
    Operation::new("readiness", "Whether the process can do its duty")
        .about("`degraded` says that it can, and that something is wrong all the same.")
        .told(200, "It can.", "ready", "pass", None)
        .told(503, unable, "not_ready", "fail", Some(down))
}

impl Operation {
    /// Answers with a status and the store, for example.
    fn told(
        self,
        code: u16,
        description: &'static str,
        status: &str,
        word: &str,
        down: Option<&str>,
    ) -> Self {
        let mut store = json!({"name": "store", "status": "up", "latency_ms": 0.731});
        if let Some(reason) = down {
            store["status"] = "down".into();
            store["reason"] = reason.into();
        }
        let example = json!({"status": status, "dependencies": [store]});
        let mut check = json!({"status": word, "observedValue": 0.731, "observedUnit": "ms"});
        if let Some(reason) = down {
            check["output"] = reason.into();
        }
        let other = example_of(word, status, Some(&check));
        self.json(
            code,
            description,
            schemas::of::<ReadyBody<'static>>,
            example,
        )
        .or_json(HEALTH_JSON, schemas::of::<HealthBody<'static>>, other)
    }
}

fn example_of(word: &str, status: &str, check: Option<&Value>) -> Value {
    let mut example =
        json!({"status": word, "releaseId": env!("CARGO_PKG_VERSION"), "output": status});
    if let Some(check) = check {
        example["checks"] = json!({"store:responseTime": [check]});
    }
    example
}
