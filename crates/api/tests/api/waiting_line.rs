//! Where the line is, told to those who wait.

use api::application::Role;
use serde_json::{Value, json};

use crate::helpers::{SHOW, TestService};
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, order, receipt, until};

const QUICK: [(&str, &str); 2] = [
    ("APP__LIVE__LINE_INTERVAL_MS", "100"),
    ("APP__LIVE__STALLED_AFTER_MS", "1500"),
];

async fn quick(role: Role) -> TestService {
    TestService::with(role, &[&WITH_RECEIPTS[..], &QUICK].concat()).await
}

/// The next thing that is told of the waiting line.
async fn line(client: &mut WsClient) -> Value {
    let mut message = client.hear().await;
    match message["type"].as_str() {
        Some("ticket") => message["ticket"]["waiting_line"].take(),
        Some("waiting_line") => message["waiting_line"].take(),
        _ => panic!("{message}"),
    }
}

#[tokio::test]
async fn orders_ahead_are_counted_and_a_line_that_stands_still_says_so() {
    const AHEAD: usize = 20;
    let service = quick(Role::Api).await;
    let mut id = String::new();
    for _ in 0..AHEAD {
        id = service.placed(order()).await;
    }
    // An order of the same moment as others could be any of them.
    until("the place of the last one", async || {
        let answer = service.get(&format!("/tickets/{id}")).await;
        !answer.body["waiting_line"]["estimated_orders_ahead"].is_null()
    })
    .await;
    id = service.placed(order()).await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    let mut stream = SseClient::connect(&service, &id, None).await;
    let mut of_stream = stream.hear().await.unwrap().1["waiting_line"].take();
    let is_told = |line: &Value| {
        let ahead = line["estimated_orders_ahead"].as_u64();
        ahead.is_some_and(|ahead| ahead.abs_diff(AHEAD as u64) <= 1) && line["stalled"] == true
    };
    while !is_told(&line(&mut client).await) {}
    while !is_told(&of_stream) {
        let (event, data) = stream.hear().await.unwrap();
        assert_eq!(event.event, "waiting_line");
        of_stream = data;
    }
    let answer = service.get(&format!("/tickets/{id}")).await;
    assert!(is_told(&answer.body["waiting_line"]), "{:?}", answer.body);
    // Nothing has changed, so nothing more is told.
    assert_eq!(of_stream["now_serving_at"], Value::Null);
    client.assert_silent().await;
}

#[tokio::test]
async fn while_others_are_decided_the_line_moves_on_and_never_back() {
    let service = quick(Role::All).await;
    // A keyed id tells nothing by itself.
    let id = receipt("waits");
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    assert_eq!(client.ticket().await.get("waiting_line"), None);
    client
        .say(json!({"type": "unsubscribe", "tickets": [id]}))
        .await;
    client
        .say(json!({"type": "subscribe", "tickets": [{"ticket_id": id, "show_id": SHOW}]}))
        .await;
    let mut serving = line(&mut client).await["now_serving_at"].take();
    assert_eq!(serving, Value::Null);
    for _ in 0..5 {
        let other = service.placed(order()).await;
        let decided = service.decided(&other).await["requested_at"].take();
        loop {
            let told = line(&mut client).await["now_serving_at"].take();
            assert!(told.as_str() >= serving.as_str(), "{told} after {serving}");
            serving = told;
            if serving == decided {
                break;
            }
        }
    }
    let path = format!("/tickets/{id}?show_id={SHOW}");
    let answer = service.get(&path).await;
    assert_eq!(answer.body["waiting_line"]["now_serving_at"], serving);
    let answer = service
        .get(&format!("/tickets/{id}?show_id={SHOW}&priority=high"))
        .await;
    assert_eq!(answer.body["waiting_line"]["now_serving_at"], Value::Null);
    // The verdict is the last that is told of it.
    service.keyed("waits", order()).await;
    until("the verdict", async || {
        client.hear().await["type"] == "ticket"
    })
    .await;
    service.decided(&service.placed(order()).await).await;
    client.assert_silent().await;
}

#[tokio::test]
async fn what_is_said_of_a_ticket_is_checked() {
    let service = quick(Role::All).await;
    let path = format!("/tickets/{}", receipt("x"));
    for (query, parameter) in [
        ("show_id=a%20b", "show_id"),
        ("requested_at=soon", "requested_at"),
        ("priority=vip", "priority"),
        ("show=1", "show"),
    ] {
        let answer = service.get(&format!("{path}?{query}")).await;
        answer.assert_invalid_parameter(parameter);
    }
}
