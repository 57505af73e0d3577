//! Orders that are refused, each with the reason that helps its sender.

use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{Answer, SHOW, TestService};

async fn refused(body: Value) -> Answer {
    TestService::start().await.order(body).await
}

async fn raw(content_type: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
    let service = TestService::start().await;
    let mut request = service.request(Method::POST, "/tickets").body(body);
    if let Some(content_type) = content_type {
        request = request.header("Content-Type", content_type);
    }
    Answer::to(request).await
}

#[tokio::test]
async fn not_json() {
    let answer = raw(Some("application/json"), "show_id=1&user_id=1").await;
    answer.assert_problem(400, "not_json");
}

#[tokio::test]
async fn wrong_media_type() {
    let order = r#"{"show_id": "230920", "user_id": 1}"#;
    raw(Some("text/plain"), order)
        .await
        .assert_problem(415, "unsupported_media_type");
    raw(None, order)
        .await
        .assert_problem(415, "unsupported_media_type");
    let parameters = raw(Some("Application/JSON; charset=utf-8"), order).await;
    assert_eq!(parameters.status, 202);
}

#[tokio::test]
async fn a_compressed_body() {
    let service = TestService::start().await;
    let order = json!({"show_id": SHOW, "user_id": 1});
    let with = |encoding: &str| {
        let request = service.request(Method::POST, "/tickets").json(&order);
        Answer::to(request.header("Content-Encoding", encoding))
    };
    let refused = with("gzip").await;
    refused.assert_problem(415, "unsupported_media_type");
    let detail = refused.text("detail");
    assert!(detail.contains("Content-Encoding"), "{detail}");
    assert_eq!(with("identity").await.status, 202);
}

#[tokio::test]
async fn a_body_of_two_mebibytes() {
    let answer = raw(Some("application/json"), vec![b' '; 2 << 20]).await;
    answer.assert_problem(413, "body_too_large");
    assert!(answer.text("detail").contains("16384"));
}

/// An answer is not much larger than its request, however much is wrong.
#[tokio::test]
async fn more_faults_than_anybody_reads() {
    let fields = (0..1_000).map(|number| (format!("f{number}"), json!(0)));
    let answer = refused(Value::Object(fields.collect())).await;
    answer.assert_problem(422, "invalid_fields");
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 32);
    // Two fields are missing, besides.
    assert!(answer.text("detail").ends_with(" 970 more are not listed."));
    let answer = refused(json!({"x".repeat(10_000): 0})).await;
    assert!(answer.body.to_string().len() < 1_000, "{}", answer.body);
}

/// In a path they mean another path, so nobody could ask for them.
#[tokio::test]
async fn ids_that_no_path_can_have() {
    for id in [".", ".."] {
        refused(json!({"show_id": id, "user_id": id}))
            .await
            .assert_invalid_fields(&["/show_id", "/user_id"]);
    }
    assert_eq!(
        refused(json!({"show_id": "...", "user_id": 1}))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn more_seats_than_one_order_may_have() {
    for quantity in [11, 5_000_000_000_u64] {
        let answer = refused(json!({"show_id": SHOW, "user_id": 1, "quantity": quantity})).await;
        answer.assert_invalid_fields(&["/quantity"]);
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("10 (tickets.max_quantity)"), "{detail}");
    }
}

#[tokio::test]
async fn a_missing_field() {
    refused(json!({"show_id": SHOW}))
        .await
        .assert_invalid_fields(&["/user_id"]);
}

#[tokio::test]
async fn an_unknown_field() {
    refused(json!({"show_id": SHOW, "user_id": 1, "seat": "A1"}))
        .await
        .assert_invalid_fields(&["/seat"]);
}

#[tokio::test]
async fn a_repeated_field() {
    let body = r#"{"show_id": "230920", "user_id": 1, "user_id": 2}"#;
    raw(Some("application/json"), body)
        .await
        .assert_invalid_fields(&["/user_id"]);
}

#[tokio::test]
async fn every_fault_at_once() {
    refused(json!({"user_id": true, "quantity": "2", "seat": "A1"}))
        .await
        .assert_invalid_fields(&["/show_id", "/user_id", "/quantity", "/seat"]);
}

#[tokio::test]
async fn not_an_object() {
    refused(json!([])).await.assert_invalid_fields(&[""]);
}

#[tokio::test]
async fn an_empty_id() {
    refused(json!({"show_id": "", "user_id": ""}))
        .await
        .assert_invalid_fields(&["/show_id", "/user_id"]);
}

#[tokio::test]
async fn an_overlong_id() {
    refused(json!({"show_id": "x".repeat(65), "user_id": 1}))
        .await
        .assert_invalid_fields(&["/show_id"]);
}

#[tokio::test]
async fn an_id_with_a_foreign_character() {
    refused(json!({"show_id": "a/b", "user_id": "é"}))
        .await
        .assert_invalid_fields(&["/show_id", "/user_id"]);
}

#[tokio::test]
async fn a_negative_number_as_id() {
    refused(json!({"show_id": SHOW, "user_id": -1}))
        .await
        .assert_invalid_fields(&["/user_id"]);
}

#[tokio::test]
async fn a_fractional_number_as_id() {
    refused(json!({"show_id": 1.5, "user_id": 1}))
        .await
        .assert_invalid_fields(&["/show_id"]);
}

#[tokio::test]
async fn quantity_zero() {
    refused(json!({"show_id": SHOW, "user_id": 1, "quantity": 0}))
        .await
        .assert_invalid_fields(&["/quantity"]);
}

#[tokio::test]
async fn quantity_above_the_limit() {
    refused(json!({"show_id": SHOW, "user_id": 1, "quantity": 11}))
        .await
        .assert_invalid_fields(&["/quantity"]);
}

#[tokio::test]
async fn an_unknown_user() {
    refused(json!({"show_id": SHOW, "user_id": "nobody"}))
        .await
        .assert_problem(404, "user_not_found");
}

#[tokio::test]
async fn an_unknown_show() {
    refused(json!({"show_id": "nothing", "user_id": 1}))
        .await
        .assert_problem(404, "show_not_found");
}

#[tokio::test]
async fn a_show_not_yet_on_sale() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "later", "title": "Later", "capacity": 5,
            "sales_open_at": "2999-01-01T00:00:00Z"}))
        .await;
    let answer = service
        .order(json!({"show_id": "later", "user_id": 1}))
        .await;
    answer.assert_problem(409, "sales_closed");
    assert!(
        answer
            .text("detail")
            .contains("opens at 2999-01-01T00:00:00")
    );
}

#[tokio::test]
async fn a_closed_show() {
    let service = TestService::start().await;
    service
        .create_show(json!({"id": "over", "title": "Over", "capacity": 5,
            "sales_close_at": "2020-01-01T00:00:00Z"}))
        .await;
    let answer = service
        .order(json!({"show_id": "over", "user_id": 1}))
        .await;
    answer.assert_problem(409, "sales_closed");
    assert!(
        answer
            .text("detail")
            .contains("closed at 2020-01-01T00:00:00")
    );
}

#[tokio::test]
async fn the_clients_request_id_comes_back() {
    let service = TestService::start().await;
    let request = service
        .request(Method::POST, "/tickets")
        .header("X-Request-Id", "abc-123")
        .json(&json!({}));
    assert_eq!(Answer::to(request).await.text("request_id"), "abc-123");
    let request = service
        .request(Method::POST, "/tickets")
        .header("X-Request-Id", "a b")
        .json(&json!({}));
    assert_ne!(Answer::to(request).await.text("request_id"), "a b");
}
