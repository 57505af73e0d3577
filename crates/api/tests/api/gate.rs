//! Orders for a show without seats are refused at the door, and let in again.

use std::time::{Duration, Instant};

use api::application::Role;
use port_contracts::measured;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::helpers::{Answer, DEADLINE, TestService};

fn order() -> Value {
    json!({"show_id": "club", "user_id": 1})
}

/// Puts a show with one seat on sale, which is confirmed at once.
async fn club(service: &TestService) {
    service
        .create_show(json!({"id": "club", "title": "Club", "capacity": 1, "max_per_user": 9}))
        .await;
}

/// Orders until the answer has that status, and says how long that took.
async fn ordered_until(service: &TestService, status: u16) -> (Answer, Duration) {
    let started = Instant::now();
    loop {
        let answer = service.order(order()).await;
        if answer.status == status {
            return (answer, started.elapsed());
        }
        assert!(started.elapsed() < DEADLINE, "{}", answer.body);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_sold_out_show_refuses_orders_until_a_seat_comes_back() {
    let service = TestService::start().await;
    club(&service).await;
    let first = service.keyed("first", order()).await;
    let winner = first.text("ticket_id");
    assert_eq!(service.decided(&winner).await["status"], "confirmed");
    let (refused, _) = ordered_until(&service, 409).await;
    refused.assert_problem(409, "sold_out");

    // A repeated request may be that of the winner.
    let again = service.keyed("first", order()).await;
    assert_eq!(
        (again.status, &again.body["status"]),
        (200, &json!("confirmed"))
    );
    let other = service.keyed("other", order()).await;
    assert_eq!(other.status, 202);
    let other = service.decided(&other.text("ticket_id")).await;
    assert_eq!(other["reason"], "sold_out");

    let cancelled = service
        .post(&format!("/tickets/{winner}/cancel"), Value::Null)
        .await;
    assert_eq!(cancelled.status, 200);
    let (accepted, took) = ordered_until(&service, 202).await;
    measured("gate open for a cancelled seat", took);
    let next = service.decided(&accepted.text("ticket_id")).await;
    assert_eq!(next["status"], "confirmed");

    ordered_until(&service, 409).await;
    let raised = service.patch("/shows/club", json!({"capacity": 2})).await;
    assert_eq!(raised.status, 200);
    let (_, took) = ordered_until(&service, 202).await;
    measured("gate open for a new seat", took);
}

/// Its seat may come back at any moment.
#[tokio::test]
async fn a_held_seat_keeps_the_sale_open() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "club", "title": "Club", "capacity": 1, "hold_seconds": 600}))
        .await;
    let first = service.placed(order()).await;
    assert_eq!(service.decided(&first).await["status"], "reserved");
    for _ in 0..20 {
        let id = service.placed(order()).await;
        assert_eq!(service.decided(&id).await["reason"], "sold_out");
    }
}

#[tokio::test]
async fn without_the_gate_every_order_gets_a_verdict() {
    let variables = [("APP__TICKETS__SOLD_OUT_GATE", "false")];
    let service = TestService::with(Role::All, &variables).await;
    club(&service).await;
    let first = service.placed(order()).await;
    assert_eq!(service.decided(&first).await["status"], "confirmed");
    for _ in 0..20 {
        let id = service.placed(order()).await;
        assert_eq!(service.decided(&id).await["reason"], "sold_out");
    }
}
