//! `Idempotency-Key`.

use reqwest::Method;
use serde_json::json;

use crate::helpers::{Answer, SHOW, TestService};

#[tokio::test]
async fn a_repeated_order_gets_its_ticket_and_takes_no_second_seat() {
    let service = TestService::start().await;
    let order = json!({"show_id": SHOW, "user_id": 1, "quantity": 2});
    let first = service.keyed("k1", order.clone()).await;
    assert_eq!(first.status, 202);
    let id = first.text("ticket_id");
    let ticket = service.decided(&id).await;
    let second = service.keyed("k1", order).await;
    assert_eq!((second.status, &second.body), (200, &ticket));
    assert_eq!(second.header("location"), format!("/tickets/{id}"));
    let show = service.get(&format!("/shows/{SHOW}")).await.body;
    assert_eq!(show["sold"], 2);
}

#[tokio::test]
async fn while_queued_both_get_the_same_id_and_one_ticket() {
    let service = TestService::undecided().await;
    let order = json!({"show_id": SHOW, "user_id": 1});
    let first = service.keyed("k1", order.clone()).await;
    let second = service.keyed("k1", order).await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.body, second.body);
    // The id alone does not tell where the order waits.
    let path = format!("/tickets/{}", first.text("ticket_id"));
    let read = service.get(&path).await;
    let processing = json!({"ticket_id": first.text("ticket_id"), "status": "processing"});
    assert_eq!(read.body, processing);
    // The address that the answer gave does.
    let location = first.header("location");
    let query = format!("{path}?show_id={SHOW}&requested_at=2");
    assert!(location.starts_with(&query), "{location}");
    assert!(location.ends_with("Z&priority=standard"), "{location}");
    let read = service.get(location).await;
    assert_eq!(
        (read.status, &read.body["waiting_line"]["stalled"]),
        (200, &json!(false))
    );
    for query in [
        "show_id=a%20b",
        "requested_at=soon",
        "priority=low",
        "show=1",
        "show_id=1&show_id=2",
    ] {
        let refused = service.get(&format!("{path}?{query}")).await;
        refused.assert_problem(400, "invalid_parameter");
    }
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_conflict() {
    let service = TestService::start().await;
    let first = service
        .keyed("k1", json!({"show_id": SHOW, "user_id": 1}))
        .await;
    service.decided(&first.text("ticket_id")).await;
    let changed = json!({"show_id": SHOW, "user_id": 1, "quantity": 2});
    let conflict = service.keyed("k1", changed).await;
    conflict.assert_problem(422, "idempotency_conflict");
    assert_eq!(conflict.body.get("ticket_id"), None);
}

#[tokio::test]
async fn a_conflicting_copy_in_the_queue_takes_no_seat() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "other", "title": "Other", "capacity": 5}))
        .await;
    // Another lane may decide the copy first, so either of them can be the ticket.
    let copies =
        [SHOW, "other"].map(|show| service.keyed("k1", json!({"show_id": show, "user_id": 1})));
    for copy in copies {
        let answer = copy.await;
        assert!(matches!(answer.status, 202 | 422), "{:?}", answer.body);
    }
    let probe = service
        .placed(json!({"show_id": "other", "user_id": 1}))
        .await;
    service.decided(&probe).await;
    let sold = |body: serde_json::Value| body["sold"].as_u64().unwrap();
    let both = sold(service.get(&format!("/shows/{SHOW}")).await.body)
        + sold(service.get("/shows/other").await.body);
    assert_eq!(both, 2, "the keyed ticket and the probe");
}

#[tokio::test]
async fn another_users_key_is_another_ticket() {
    let service = TestService::start().await;
    service.create_user("2").await;
    let first = service
        .keyed("k1", json!({"show_id": SHOW, "user_id": 1}))
        .await;
    service.decided(&first.text("ticket_id")).await;
    let other = service
        .keyed("k1", json!({"show_id": SHOW, "user_id": 2}))
        .await;
    assert_eq!(other.status, 202);
    assert_ne!(other.text("ticket_id"), first.text("ticket_id"));
    let ticket = service.decided(&other.text("ticket_id")).await;
    assert_eq!(ticket["user_id"], "2");
}

#[tokio::test]
async fn a_repetition_after_the_sale_closed_still_gets_its_ticket() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "short", "title": "Short", "capacity": 5}))
        .await;
    let order = json!({"show_id": "short", "user_id": 1});
    let first = service.keyed("k1", order.clone()).await;
    service.decided(&first.text("ticket_id")).await;
    let closed = json!({"sales_close_at": "2020-01-01T00:00:00Z"});
    assert_eq!(service.patch("/shows/short", closed).await.status, 200);
    let second = service.keyed("k1", order).await;
    assert_eq!(
        (second.status, second.text("status")),
        (200, "confirmed".to_owned())
    );
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let service = TestService::start().await;
    let order = json!({"show_id": SHOW, "user_id": 1});
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = service.keyed(key, order.clone()).await;
        answer.assert_problem(400, "invalid_parameter");
        assert_eq!(answer.body["errors"][0]["header"], "Idempotency-Key");
    }
    let twice = service
        .request(Method::POST, "/tickets")
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b")
        .json(&order);
    Answer::to(twice)
        .await
        .assert_problem(400, "invalid_parameter");
}
