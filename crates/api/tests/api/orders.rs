//! Orders that are taken, and their verdicts.

use serde_json::{Value, json};

use crate::helpers::{SHOW, TestService, USER};

#[tokio::test]
async fn an_order_is_answered_processing_and_then_confirmed() {
    let service = TestService::start().await;
    let answer = service.order(json!({"show_id": SHOW, "user_id": 1})).await;
    assert_eq!(answer.status, 202);
    let id = answer.text("ticket_id");
    assert_eq!(
        answer.body,
        json!({"ticket_id": id, "show_id": SHOW, "user_id": USER, "quantity": 1, "status": "processing"})
    );
    assert_eq!(answer.header("location"), format!("/tickets/{id}"));
    let ticket = service.decided(&id).await;
    assert_eq!(ticket["status"], "confirmed");
    assert_eq!(ticket["decision_seq"], 2);
    assert!(ticket["requested_at"].as_str() <= ticket["decided_at"].as_str());
    assert_eq!(ticket.get("reason"), None);
    let show = service.get(&format!("/shows/{SHOW}")).await.body;
    assert_eq!(
        (&show["sold"], &show["available"]),
        (&json!(1), &json!(49_999))
    );
}

#[tokio::test]
async fn ids_may_be_numbers_and_quantities_several() {
    let service = TestService::start().await;
    let order = json!({"show_id": 230_920, "user_id": USER, "quantity": 3});
    let id = service.placed(order).await;
    let ticket = service.decided(&id).await;
    assert_eq!(
        (&ticket["show_id"], &ticket["quantity"]),
        (&json!(SHOW), &json!(3))
    );
}

#[tokio::test]
async fn a_created_show_and_user_can_order() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "123", "title": "Finals", "capacity": 2}))
        .await;
    service.create_user("456").await;
    let id = service
        .placed(json!({"show_id": "123", "user_id": "456"}))
        .await;
    assert_eq!(service.decided(&id).await["status"], "confirmed");
}

#[tokio::test]
async fn seats_run_out_and_are_given_all_or_none() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "small", "title": "Club", "capacity": 3, "max_per_user": 9}))
        .await;
    let order = |quantity: u32| json!({"show_id": "small", "user_id": 1, "quantity": quantity});
    let mut verdicts = Vec::new();
    for (number, quantity) in [2, 2, 1, 1].into_iter().enumerate() {
        // With a key, because the last one would else be refused at the gate.
        let answer = service.keyed(&number.to_string(), order(quantity)).await;
        let ticket = service.decided(&answer.text("ticket_id")).await;
        verdicts.push(verdict(&ticket));
    }
    assert_eq!(verdicts, ["confirmed", "sold_out", "confirmed", "sold_out"]);
}

#[tokio::test]
async fn a_user_gets_at_most_max_per_user() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "fair", "title": "Fair", "capacity": 9, "max_per_user": 2}))
        .await;
    service.create_user("2").await;
    let mut verdicts = Vec::new();
    for user in [1, 1, 1, 2] {
        let id = service
            .placed(json!({"show_id": "fair", "user_id": user}))
            .await;
        verdicts.push(verdict(&service.decided(&id).await));
    }
    assert_eq!(
        verdicts,
        ["confirmed", "confirmed", "limit_exceeded", "confirmed"]
    );
}

#[tokio::test]
async fn an_undecided_ticket_tells_what_its_id_knows() {
    let service = TestService::undecided().await;
    let id = service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    let answer = service.get(&format!("/tickets/{id}")).await;
    assert_eq!(answer.status, 200);
    // Not known at first; on a busy machine it is by now.
    let ahead = &answer.body["waiting_line"]["estimated_orders_ahead"];
    assert!(ahead.is_null() || *ahead == 0, "{ahead}");
    assert_eq!(
        answer.body,
        json!({
            "ticket_id": id,
            "status": "processing",
            "requested_at": answer.text("requested_at"),
            "waiting_line": {
                "now_serving_at": null,
                "estimated_orders_ahead": ahead,
                "estimated_wait_ms": null,
                "stalled": false,
            },
        })
    );
}

fn verdict(ticket: &Value) -> String {
    let field = if ticket["status"] == "rejected" {
        "reason"
    } else {
        "status"
    };
    ticket[field].as_str().unwrap().to_owned()
}
