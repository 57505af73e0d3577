//! The OpenAPI document: how it is served, and what it says of requests. What it says of answers
//! is checked with every test (`contract.rs`).

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::contract::DOCUMENT;
use crate::helpers::{Answer, SHOW, TestService};

#[tokio::test]
async fn the_document_and_the_page_are_sent_once_and_then_only_if_they_changed() {
    let service = TestService::start().await;
    for path in [
        "/openapi.json",
        "/docs",
        "/docs/start.js",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/licenses.txt",
    ] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let tag = answer.header("etag");
        let again = |tag: String| {
            let request = service.request(Method::GET, path);
            Answer::to(request.header("If-None-Match", tag))
        };
        let same = again(tag.to_owned()).await;
        assert_eq!(same.status, 304, "{path}");
        assert_eq!(same.header("etag"), tag);
        assert_eq!(same.body, "");
        assert_eq!(again(format!("\"x\", W/{tag}")).await.status, 304);
        assert_eq!(again("\"x\"".to_owned()).await.status, 200);
        let head = Answer::to(service.request(Method::HEAD, path)).await;
        assert_eq!((head.status, head.header("etag")), (200, tag));
    }
    let document = service.get("/openapi.json").await;
    assert_eq!(document.body, *DOCUMENT);
    service
        .get("/docs/index.html")
        .await
        .assert_problem(404, "route_not_found");
}

/// Only the page may load anything, and only from here.
#[tokio::test]
async fn the_page_has_a_policy_of_its_own_and_nothing_else_has() {
    let service = TestService::start().await;
    let page = service.get("/docs").await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    for part in ["unsafe", "http", "*"] {
        assert!(!policy.contains(part), "{policy}");
    }
    let document = service.get("/openapi.json").await;
    let policy = document.header("content-security-policy");
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
}

/// Method, path and what is said of them.
fn operations() -> impl Iterator<Item = (Method, &'static str, &'static Value)> {
    let document: &'static Value = &DOCUMENT;
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        let methods = methods.filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            (method, path.as_str(), operation)
        })
    })
}

fn named(parameters: &Value, place: &str) -> BTreeSet<String> {
    let parameters = parameters.as_array().unwrap().iter();
    let named = parameters.filter(|one| one["in"] == place);
    named
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a fault says that it knows.
fn known(fault: &Value) -> BTreeSet<String> {
    let detail = fault["detail"].as_str().unwrap();
    let known = detail.strip_prefix("is unknown; known are ").unwrap();
    known.split(", ").map(str::to_owned).collect()
}

async fn of_what_is_there(service: &TestService, path: &str) -> String {
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    let path = path.replace("/tickets/{id}", &format!("/tickets/{id}"));
    let path = path.replace("/users/{id}", "/users/1");
    path.replace("{id}", SHOW)
}

#[tokio::test]
async fn the_parameters_of_queries_are_those_that_are_read() {
    let service = TestService::start().await;
    let mut seen = 0;
    for (method, path, operation) in operations() {
        if method != Method::GET {
            continue;
        }
        let mut told = named(&operation["parameters"], "query");
        if told.is_empty() {
            continue;
        }
        let asked = format!("{}?%7B%7D=1", of_what_is_there(&service, path).await);
        let refused = service.get(&asked).await;
        refused.assert_problem(400, "invalid_parameter");
        let faults = refused.body["errors"].as_array().unwrap();
        let fault = faults.iter().find(|fault| fault["parameter"] == "{}");
        let security = operation["security"].to_string();
        told.extend(security.contains("liveTicket").then(|| "ticket".to_owned()));
        assert_eq!(known(fault.unwrap()), told, "{path}");
        seen += 1;
    }
    assert!(seen >= 7, "{seen}");
}

#[tokio::test]
async fn the_fields_of_bodies_are_those_that_are_read() {
    let service = TestService::start().await;
    let mut seen = 0;
    for (method, path, operation) in operations() {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(told) = schema["properties"].as_object() else {
            continue;
        };
        let asked = of_what_is_there(&service, path).await;
        let request = service.request(method, &asked).json(&json!({"{}": 1}));
        let refused = Answer::to(request).await;
        refused.assert_problem(422, "invalid_fields");
        let faults = refused.body["errors"].as_array().unwrap();
        let fault = faults.iter().find(|fault| fault["pointer"] == "/{}");
        let told: BTreeSet<_> = told.keys().cloned().collect();
        assert_eq!(known(fault.unwrap()), told, "{path}");
        let missing = faults
            .iter()
            .filter(|fault| fault["detail"] == "is missing");
        let missing: BTreeSet<_> = missing
            .map(|fault| fault["pointer"].as_str().unwrap()[1..].to_owned())
            .collect();
        let required = schema["required"].as_array().unwrap().iter();
        let required: BTreeSet<_> = required.map(|it| it.as_str().unwrap().to_owned()).collect();
        // Without tokens nobody is a buyer, who alone may leave it out.
        let of_buyers = BTreeSet::from(["user_id".to_owned()]);
        let missing: BTreeSet<_> = missing.difference(&of_buyers).cloned().collect();
        assert_eq!(missing, required, "{path}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}

/// As a reader would try them, one after the other.
#[tokio::test]
async fn the_examples_of_bodies_are_taken() {
    let service = TestService::start().await;
    let example = |method: &Method, path: &str| {
        let mut operations = operations();
        let found = operations.find(|(other, at, _)| (other, *at) == (method, path));
        found.unwrap().2["requestBody"]["content"]["application/json"]["example"].clone()
    };
    for (method, path, at, status) in [
        (Method::POST, "/users", "/users", 201),
        (Method::PATCH, "/users/{id}", "/users/456", 200),
        (Method::POST, "/shows", "/shows", 201),
        (Method::PATCH, "/shows/{id}", "/shows/123", 200),
        (Method::POST, "/tickets", "/tickets", 202),
    ] {
        let body = example(&method, path);
        let request = service.request(method.clone(), at).json(&body);
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {:?}", answer.body);
    }
}
