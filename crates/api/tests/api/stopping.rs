//! The graceful stop, from inside of the process.

use std::time::Instant;

use api::application::Role;
use serde_json::json;

use crate::helpers::{DEADLINE, SHOW, TestService};
use crate::live::{WITH_RECEIPTS, WsClient, order, until, within};
use crate::raw::{Connection, pipeline_orders, raw_order};

#[tokio::test]
async fn the_deadline_ends_a_stop_and_says_what_is_left() {
    let variables = [("APP__SERVER__SHUTDOWN_DEADLINE_SECONDS", "1")];
    let service = TestService::with(Role::Api, &variables).await;
    for _ in 0..3 {
        service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    }
    let error = service.stop().await.unwrap_err().to_string();
    assert!(
        error.contains("server.shutdown_deadline_seconds"),
        "{error}"
    );
    assert!(
        error.contains("3 accepted orders are left undecided"),
        "{error}"
    );
}

#[tokio::test]
async fn an_idle_service_stops_without_an_error() {
    let service = TestService::start().await;
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    service.decided(&id).await;
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_stopping_orders_are_refused_and_readiness_fails() {
    let service = TestService::undecided().await;
    let mut buyer = Connection::open(&service.url);
    let mut probe = Connection::open(&service.url);
    // No connection is taken any more once the stop has begun.
    let mut second_probe = Connection::open(&service.url);
    let ready = "GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n";
    // Its order is never decided, so the stop lasts longer than this test.
    buyer.send(&raw_order());
    assert!(buyer.receive().0.starts_with("HTTP/1.1 202"));
    service.stop.cancel();
    let started = Instant::now();
    let (head, body) = loop {
        probe.send(ready);
        let (head, body) = probe.receive();
        if !head.starts_with("HTTP/1.1 200") {
            break (head, body);
        }
        if head.to_lowercase().contains("connection: close") {
            // The stop began between this answer's two ends.
            second_probe.send(ready);
            break second_probe.receive();
        }
        assert!(started.elapsed() < DEADLINE, "still {body}");
    };
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("\"stopping\""), "{body}");
    buyer.send(&raw_order());
    let (head, body) = buyer.receive();
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert!(body.contains("\"shutting_down\""), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_that_are_still_given_are_told_before_the_end() {
    // One a millisecond, so that the stop comes before most of them.
    let variables = [&WITH_RECEIPTS[..], &[("APP__WORKER__BATCH_MAX", "1")]].concat();
    let service = TestService::with(Role::All, &variables).await;
    pipeline_orders(&service.url, 1_000);
    let mut client = WsClient::connect(&service).await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(service.placed(order()).await);
    }
    let all: Vec<_> = ids.iter().map(String::as_str).collect();
    client.subscribe(&all, &[]).await;
    client.ticket().await;
    let stopped = tokio::spawn(service.stop());
    let mut undecided = ids.len();
    loop {
        let message = client.hear().await;
        match message["type"].as_str() {
            Some("ticket") => {
                undecided -= usize::from(message["ticket"]["ticket_version"] == 1);
            }
            Some("closing") => break,
            _ => {}
        }
    }
    // The first one was heard before the stop, in whatever state.
    assert!(undecided <= 1, "{undecided}");
    within("the stop", stopped).await.unwrap().unwrap();
}

/// Until the balancer has seen it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_is_not_ready_and_serves_all_as_before() {
    let variables = [
        &WITH_RECEIPTS[..],
        &[("APP__SERVER__LAME_DUCK_SECONDS", "3600")],
    ]
    .concat();
    let service = TestService::with(Role::All, &variables).await;
    service.stop.cancel();
    until("readiness fails", async || {
        service.get("/health/ready").await.body["status"] == "stopping"
    })
    .await;
    assert_eq!(service.get("/health/ready").await.status, 503);
    let id = service.placed(order()).await;
    assert_eq!(service.decided(&id).await["status"], "confirmed");
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    assert_eq!(client.ticket().await["status"], "confirmed");
}

#[tokio::test]
async fn the_stop_goes_on_when_the_lame_ducks_time_is_over() {
    let variables = [("APP__SERVER__LAME_DUCK_SECONDS", "1")];
    let service = TestService::with(Role::All, &variables).await;
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    service.decided(&id).await;
    within("the stop", service.stop()).await.unwrap();
}
