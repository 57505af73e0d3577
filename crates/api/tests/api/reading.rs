//! Reading tickets, and what stands in paths and queries.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::json;

use crate::helpers::{Answer, SHOW, TestService};

#[tokio::test]
async fn a_malformed_ticket_id() {
    let service = TestService::start().await;
    for id in ["7", "0199a2b47d3e80018a5f3c0d9e412b77", "%FF"] {
        let answer = service.get(&format!("/tickets/{id}")).await;
        answer.assert_invalid_parameter("id");
    }
}

#[tokio::test]
async fn a_well_formed_id_that_was_never_issued() {
    let service = TestService::start().await;
    let answer = service
        .get("/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77")
        .await;
    answer.assert_problem(404, "ticket_not_found");
}

#[tokio::test]
async fn another_process_with_the_same_secret_recognises_the_id() {
    let secrets = [(
        "APP__TICKETS__ID_SECRETS",
        "a secret that both of them know",
    )];
    let role = api::application::Role::Api;
    let one = TestService::with(role, &secrets).await;
    let other = TestService::with(role, &secrets).await;
    let stranger = TestService::undecided().await;
    let id = one.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    let path = format!("/tickets/{id}");
    assert_eq!(other.get(&path).await.text("status"), "processing");
    stranger
        .get(&path)
        .await
        .assert_problem(404, "ticket_not_found");
}

#[tokio::test]
async fn a_users_tickets_come_newest_first_in_pages() {
    let service = TestService::start().await;
    let mut placed = Vec::new();
    for _ in 0..7 {
        let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
        service.decided(&id).await;
        placed.insert(0, id);
    }
    let mut read = Vec::new();
    let mut cursor = String::new();
    for expected in [3, 3, 1] {
        let page = service
            .get(&format!("/tickets?user_id=1&limit=3{cursor}"))
            .await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        let tickets = page.body["tickets"].as_array().unwrap();
        assert_eq!(tickets.len(), expected);
        read.extend(
            tickets
                .iter()
                .map(|t| t["ticket_id"].as_str().unwrap().to_owned()),
        );
        let next = page.body["next_cursor"].as_str();
        cursor = next.map_or_else(String::new, |next| format!("&cursor={next}"));
    }
    assert_eq!((read, cursor), (placed, String::new()));
}

#[tokio::test]
async fn wrong_query_parameters_are_named() {
    let service = TestService::start().await;
    for (query, parameter) in [
        ("", "user_id"),
        ("user_id=", "user_id"),
        ("user_id=.", "user_id"),
        ("user_id=1&limit=0", "limit"),
        ("user_id=1&limit=501", "limit"),
        ("user_id=1&cursor=x", "cursor"),
        ("user_id=1&page=2", "page"),
        ("user_id=1&user_id=2", "user_id"),
    ] {
        let answer = service.get(&format!("/tickets?{query}")).await;
        answer.assert_invalid_parameter(parameter);
    }
    service
        .get("/tickets?user_id=nobody")
        .await
        .assert_problem(404, "user_not_found");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let service = TestService::start().await;
    service
        .get("/ticket")
        .await
        .assert_problem(404, "route_not_found");
    let answer = Answer::to(service.request(Method::DELETE, "/tickets")).await;
    answer.assert_problem(405, "method_not_allowed");
    let allowed: HashSet<_> = answer.header("allow").split(", ").collect();
    assert_eq!(allowed, HashSet::from(["GET", "HEAD", "POST"]));
    let head = Answer::to(service.request(Method::HEAD, "/health")).await;
    assert_eq!((head.status, head.body), (200, json!("")));
}

#[tokio::test]
async fn a_query_with_thousands_of_faults_gets_the_first_ones() {
    let service = TestService::start().await;
    let answer = service
        .get(&format!("/shows?{}", "a&".repeat(10_000)))
        .await;
    answer.assert_problem(400, "invalid_parameter");
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 32);
    assert!(
        answer
            .text("detail")
            .ends_with(" 9968 more are not listed.")
    );
}
