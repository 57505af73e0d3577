//! Health, for people and for orchestrators.

use api::application::Role;
use reqwest::Method;
use serde_json::json;

use crate::helpers::{Answer, SHOW, TestService};

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
    let expected = [
        "queue",
        "store",
        "files",
        "lanes",
        "examination",
        "dead_letters",
    ];
    assert_eq!(names, expected);
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

/// draft-inadarei-api-health-check-06, for those who ask for it by name.
#[tokio::test]
async fn health_is_told_in_the_fields_of_the_draft() {
    const TYPE: &str = "application/health+json";
    let service = TestService::start().await;
    let told = async |path: &str, accept: &str| {
        let request = service.request(Method::GET, path).header("Accept", accept);
        Answer::to(request).await
    };
    for (path, output) in [
        ("/health", "OK"),
        ("/health/live", "OK"),
        ("/health/startup", "started"),
        ("/health/ready", "ready"),
    ] {
        let answer = told(path, TYPE).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), TYPE);
        assert_eq!(answer.text("status"), "pass");
        assert_eq!(answer.text("output"), output);
        let has_checks = answer.body["checks"].is_object();
        assert_eq!(has_checks, !matches!(path, "/health" | "/health/live"));
    }
    let ready = told("/health/ready", TYPE).await;
    let store = &ready.body["checks"]["store:responseTime"][0];
    assert_eq!(store["status"], "pass");
    assert_eq!(store["observedUnit"], "ms");
    assert!(store["observedValue"].as_f64().unwrap() >= 0.0);
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/health+json;q=0", "application/json"),
        (
            "application/health+json;q=0.4, application/json;q=0.5",
            "application/json",
        ),
        (
            "application/json;q=0.5, application/health+json;q=0.6",
            TYPE,
        ),
        ("application/health+json, text/html", TYPE),
        ("no media type", "application/json"),
    ] {
        let answer = told("/health/ready", accept).await;
        assert_eq!(answer.header("content-type"), expected, "{accept}");
    }
}

#[tokio::test]
async fn a_worker_serves_health_only() {
    let service = TestService::with(Role::Worker, &[]).await;
    service.found("/health/ready").await;
    service.found("/health/startup").await;
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
