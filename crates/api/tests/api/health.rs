//! Health, for people and for orchestrators.

use api::application::Role;
use serde_json::json;

use crate::helpers::{SHOW, TestService};

#[tokio::test]
async fn health_is_as_documented() {
    let service = TestService::start().await;
    let up = json!({"status": "OK", "message": "Server UP!"});
    assert_eq!(service.get("/health").await.body, up);
    assert_eq!(service.get("/health/live").await.body, up);
    // A check that takes too long fails, as it may on a busy machine.
    let ready = service.found("/health/ready").await;
    assert_eq!(ready.text("status"), "ready");
    let dependencies = ready.body["dependencies"].as_array().unwrap();
    let names: Vec<_> = dependencies
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["queue", "store", "files", "lanes", "examination"]);
    for dependency in dependencies {
        assert_eq!(dependency["status"], "up");
        // Three digits, so that people can read it.
        let latency = dependency["latency_ms"].as_f64().unwrap();
        let digits = dependency["latency_ms"].to_string();
        let decimals = digits
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.len());
        assert!(latency >= 0.0 && decimals <= 3, "{digits}");
    }
}

#[tokio::test]
async fn a_worker_serves_health_only() {
    let service = TestService::with(Role::Worker, &[]).await;
    service.found("/health/ready").await;
    service
        .get("/shows")
        .await
        .assert_problem(404, "route_not_found");
}

/// What an answer says may be otherwise a moment later.
#[tokio::test]
async fn no_answer_may_be_stored() {
    let service = TestService::start().await;
    let order = json!({"show_id": SHOW, "user_id": 1});
    for answer in [
        service.get("/health").await,
        service.get("/health/ready").await,
        service.get("/nothing").await,
        service.get("/shows").await,
        service.order(order).await,
        service.order(json!({})).await,
    ] {
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}
