//! Confirming, cancelling and letting lapse.

use serde_json::{Value, json};

use crate::helpers::{SHOW, TestService};

/// Orders the only seat, to be held for so long.
async fn ordered(hold_seconds: u32) -> (TestService, String) {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "held", "title": "Held", "capacity": 1,
            "hold_seconds": hold_seconds}))
        .await;
    let id = service
        .placed(json!({"show_id": "held", "user_id": 1}))
        .await;
    (service, id)
}

async fn on_hold() -> (TestService, String) {
    let (service, id) = ordered(600).await;
    let ticket = service.decided(&id).await;
    assert_eq!(ticket["status"], "reserved");
    assert!(ticket["hold_expires_at"].as_str() > ticket["decided_at"].as_str());
    (service, id)
}

async fn seats(service: &TestService) -> [Value; 3] {
    let show = service.get("/shows/held").await.body;
    ["available", "held", "sold"].map(|counter| show[counter].clone())
}

async fn change(service: &TestService, id: &str, what: &str) -> crate::helpers::Answer {
    service
        .post(&format!("/tickets/{id}/{what}"), json!({}))
        .await
}

#[tokio::test]
async fn a_hold_is_confirmed_and_confirming_twice_is_the_same() {
    let (service, id) = on_hold().await;
    assert_eq!(seats(&service).await, [0, 1, 0]);
    let first = change(&service, &id, "confirm").await;
    assert_eq!(
        (first.status, first.text("status")),
        (200, "confirmed".to_owned())
    );
    assert_eq!(first.body.get("hold_expires_at"), None);
    let second = change(&service, &id, "confirm").await;
    assert_eq!((second.status, second.body), (200, first.body));
    assert_eq!(seats(&service).await, [0, 0, 1]);
}

#[tokio::test]
async fn a_cancelled_seat_is_sold_again_and_cancelling_twice_is_the_same() {
    let (service, id) = on_hold().await;
    let first = change(&service, &id, "cancel").await;
    assert_eq!(
        (first.status, first.text("status")),
        (200, "cancelled".to_owned())
    );
    let second = change(&service, &id, "cancel").await;
    assert_eq!((second.status, second.body), (200, first.body));
    assert_eq!(seats(&service).await, [1, 0, 0]);
    let next = service
        .placed(json!({"show_id": "held", "user_id": 1}))
        .await;
    assert_eq!(service.decided(&next).await["status"], "reserved");
}

#[tokio::test]
async fn a_confirmed_ticket_can_be_cancelled_and_a_cancelled_one_not_confirmed() {
    let (service, id) = on_hold().await;
    change(&service, &id, "confirm").await;
    assert_eq!(change(&service, &id, "cancel").await.status, 200);
    assert_eq!(seats(&service).await, [1, 0, 0]);
    change(&service, &id, "confirm")
        .await
        .assert_problem(409, "not_reserved");
}

#[tokio::test]
async fn confirming_after_expiry_is_refused_and_the_seat_is_back() {
    // The hold may be over before anybody has looked.
    let (service, id) = ordered(1).await;
    let ticket = service.ticket_when(&id, |status| status == "expired").await;
    assert_eq!(ticket.get("hold_expires_at"), None);
    assert_eq!(seats(&service).await, [1, 0, 0]);
    change(&service, &id, "confirm")
        .await
        .assert_problem(409, "hold_expired");
    change(&service, &id, "cancel")
        .await
        .assert_problem(409, "hold_expired");
}

#[tokio::test]
async fn a_queued_order_can_be_neither_confirmed_nor_cancelled() {
    let service = TestService::undecided().await;
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    change(&service, &id, "cancel")
        .await
        .assert_problem(409, "not_decided");
    change(&service, &id, "confirm")
        .await
        .assert_problem(409, "not_decided");
}

#[tokio::test]
async fn a_rejected_ticket_has_nothing_to_cancel() {
    let (service, _) = on_hold().await;
    let id = service
        .placed(json!({"show_id": "held", "user_id": 1}))
        .await;
    assert_eq!(service.decided(&id).await["reason"], "sold_out");
    change(&service, &id, "cancel")
        .await
        .assert_problem(409, "ticket_rejected");
    change(&service, &id, "confirm")
        .await
        .assert_problem(409, "not_reserved");
}

#[tokio::test]
async fn an_id_never_issued_is_not_found() {
    let service = TestService::start().await;
    let id = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    change(&service, id, "confirm")
        .await
        .assert_problem(404, "ticket_not_found");
    change(&service, id, "cancel")
        .await
        .assert_problem(404, "ticket_not_found");
    change(&service, "7", "cancel")
        .await
        .assert_invalid_parameter("id");
}
