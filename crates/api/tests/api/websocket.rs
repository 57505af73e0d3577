//! `GET /ws`: what is told, to whom, and in which sequence.

use std::time::Instant;

use api::application::Role;
use port_contracts::measured;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::helpers::{SHOW, TestService, USER, send};
use crate::identity::{ADMIN, asking, buyer, claims, decided, guarded, post, seconds, signed};
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, change, hold, order, receipt, with_holds};

fn status_and_version(ticket: &Value) -> (&str, u64) {
    (
        ticket["status"].as_str().unwrap(),
        ticket["ticket_version"].as_u64().unwrap(),
    )
}

#[tokio::test]
async fn a_waiting_ticket_is_told_first_and_then_its_verdict() {
    let service = TestService::with(Role::All, &WITH_RECEIPTS).await;
    let id = receipt("later");
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    let ticket = client.ticket().await;
    assert_eq!(
        ticket,
        json!({"ticket_id": id, "status": "processing", "ticket_version": 0})
    );
    let answer = service.keyed("later", order()).await;
    assert_eq!((answer.status, answer.text("ticket_id")), (202, id.clone()));
    let mut ticket = client.ticket().await;
    assert_eq!(status_and_version(&ticket), ("confirmed", 1));
    // As GET has it, but for the version.
    ticket.as_object_mut().unwrap().remove("ticket_version");
    assert_eq!(ticket, service.get(&format!("/tickets/{id}")).await.body);
    client.assert_silent().await;
}

#[tokio::test]
async fn a_decided_ticket_has_its_state_and_every_change_comes_in_sequence() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    service.decided(&id).await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    assert_eq!(status_and_version(&client.ticket().await), ("reserved", 1));
    change(&service, &id, "confirm").await;
    // Nothing changes, and nothing is told.
    change(&service, &id, "confirm").await;
    change(&service, &id, "cancel").await;
    assert_eq!(status_and_version(&client.ticket().await), ("confirmed", 2));
    assert_eq!(status_and_version(&client.ticket().await), ("cancelled", 3));
    // Known already: an older or equal state is not told again.
    client.subscribe(&[&id], &[]).await;
    client.assert_silent().await;
}

#[tokio::test]
async fn whoever_connects_again_learns_the_state_that_was_missed() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    while client.ticket().await["status"] == "processing" {}
    drop(client);
    change(&service, &id, "confirm").await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&id], &[]).await;
    assert_eq!(status_and_version(&client.ticket().await), ("confirmed", 2));
}

#[tokio::test]
async fn a_show_has_its_counters_and_then_their_changes() {
    let service = with_holds().await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[], &["held"]).await;
    let expected = |available, held, sold, seq| {
        json!({"show_id": "held", "available": available, "held": held, "sold": sold,
            "sold_out": false, "seq": seq})
    };
    assert_eq!(client.show().await, expected(1_000_000, 0, 0, 1));
    let id = service.placed(hold()).await;
    assert_eq!(client.show().await, expected(999_999, 1, 0, 2));
    change(&service, &id, "confirm").await;
    assert_eq!(client.show().await, expected(999_999, 0, 1, 3));
    change(&service, &id, "cancel").await;
    assert_eq!(client.show().await, expected(1_000_000, 0, 0, 4));
}

#[tokio::test]
async fn a_show_that_changes_very_often_is_told_its_latest_state() {
    let service = with_holds().await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[], &["held"]).await;
    for _ in 0..100 {
        service.placed(hold()).await;
    }
    let mut told = Vec::new();
    let last = client
        .show_when(|show| {
            told.push(show["seq"].as_u64().unwrap());
            show["held"] == 100
        })
        .await;
    assert_eq!(last["seq"], 101);
    assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
}

#[tokio::test]
async fn a_sold_out_show_says_so_and_that_it_is_not_any_more() {
    let service = with_holds().await;
    service
        .create_show(json!({"id": "one", "title": "One seat", "capacity": 1}))
        .await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[], &["one"]).await;
    assert_eq!(client.show().await["sold_out"], false);
    let order = json!({"show_id": "one", "user_id": 1});
    let id = service.placed(order).await;
    assert_eq!(client.show().await["sold_out"], true);
    change(&service, &id, "cancel").await;
    assert_eq!(client.show().await["sold_out"], false);
}

#[tokio::test]
async fn what_was_unsubscribed_is_not_told_and_the_rest_is() {
    let service = with_holds().await;
    let ids = [service.placed(hold()).await, service.placed(hold()).await];
    for id in &ids {
        service.decided(id).await;
    }
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&ids[0], &ids[1]], &[SHOW]).await;
    client.ticket().await;
    client.ticket().await;
    client.show().await;
    client
        .say(json!({"type": "unsubscribe", "tickets": [ids[0]], "shows": [SHOW]}))
        .await;
    client.assert_silent().await;
    change(&service, &ids[0], "confirm").await;
    change(&service, &ids[1], "confirm").await;
    assert_eq!(client.ticket().await["ticket_id"], ids[1]);
    // Again means from the start.
    client.subscribe(&[&ids[0]], &[]).await;
    assert_eq!(status_and_version(&client.ticket().await), ("confirmed", 2));
}

#[tokio::test]
async fn everybody_who_listens_to_a_ticket_hears_of_it() {
    let service = TestService::with(Role::All, &WITH_RECEIPTS).await;
    let id = receipt("shared");
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = WsClient::connect(&service).await;
        client.subscribe(&[&id], &[]).await;
        assert_eq!(client.ticket().await["status"], "processing");
        clients.push(client);
    }
    service.keyed("shared", order()).await;
    for client in &mut clients {
        assert_eq!(client.ticket().await["status"], "confirmed");
    }
}

#[tokio::test]
async fn verdicts_are_told_when_they_are_given() {
    const ORDERS: u32 = 10;
    let service = TestService::with(Role::All, &WITH_RECEIPTS).await;
    let mut client = WsClient::connect(&service).await;
    let started = Instant::now();
    for number in 0..ORDERS {
        let key = number.to_string();
        client.subscribe(&[&receipt(&key)], &[]).await;
        assert_eq!(client.ticket().await["status"], "processing");
        service.keyed(&key, order()).await;
        assert_eq!(client.ticket().await["status"], "confirmed");
    }
    // By reading again every few seconds it would take half a minute: `live/tests.rs`
    // has that in simulated time.
    measured("ten verdicts told one after the other", started.elapsed());
}

#[tokio::test]
async fn unknown_ids_are_named_and_the_others_go_on() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    service.decided(&id).await;
    let mut client = WsClient::connect(&service).await;
    let unknown = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    for _ in 0..2 {
        client.subscribe(&[unknown], &["nowhere"]).await;
        let (code, error) = client.error().await;
        assert_eq!(
            (code.as_str(), &error["ticket_id"]),
            ("ticket_not_found", &json!(unknown))
        );
        let (code, error) = client.error().await;
        assert_eq!(
            (code.as_str(), &error["show_id"]),
            ("show_not_found", &json!("nowhere"))
        );
    }
    client
        .subscribe(&[unknown, &id], &["nowhere", "held"])
        .await;
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let message = client.hear().await;
        kinds.push(message["type"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["error", "error", "show", "ticket"]);
}

#[tokio::test]
async fn a_message_that_is_not_understood_names_the_field_and_ends_nothing() {
    let service = with_holds().await;
    let id = service.placed(hold()).await;
    let mut client = WsClient::connect(&service).await;
    for (message, pointers) in [
        ("", vec![""]),
        ("[]", vec![""]),
        (r#"{"type": "subscribe"}"#, vec![""]),
        (r#"{"type": "sing", "tickets": []}"#, vec!["/type"]),
        (
            r#"{"type": "subscribe", "tickets": ["7"], "shows": ["a b", 1.5]}"#,
            vec!["/shows/0", "/shows/1", "/tickets/0"],
        ),
        (
            r#"{"type": "unsubscribe", "tickets": [{}], "since": 1}"#,
            vec!["/tickets/0", "/since"],
        ),
        (
            r#"{"type": "subscribe", "tickets": [{"ticket_id": 1, "requested_at": "soon"}]}"#,
            vec!["/tickets/0/ticket_id", "/tickets/0/requested_at"],
        ),
    ] {
        client.say_anything(message).await;
        let (code, error) = client.error().await;
        assert_eq!(code, "invalid_message");
        let errors = error["errors"].as_array().unwrap();
        let found: Vec<_> = errors
            .iter()
            .map(|e| e["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(found, pointers, "{message}: {error}");
    }
    client.subscribe(&[&id], &[]).await;
    client.ticket().await;
}

#[tokio::test]
async fn what_is_not_a_handshake_gets_a_problem() {
    let service = TestService::start().await;
    let answer = service.get("/ws").await;
    answer.assert_problem(426, "not_a_websocket");
    assert_eq!(answer.header("upgrade"), "websocket");
    let answer = service.post("/ws", json!({})).await;
    answer.assert_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_browser_listens_by_a_ticket_that_is_good_once() {
    let service = guarded(&[]).await;
    let issued = post(&service, &buyer(USER), "/live-tickets", Value::Null).await;
    assert_eq!(issued.status, 201);
    let ticket = issued.text("ticket");
    let mut socket = WsClient::by_ticket(&service, &ticket).await;
    let id = decided(&service, &buyer(USER), json!({"show_id": SHOW})).await;
    socket.subscribe(&[&id], &[]).await;
    assert_eq!(socket.hear().await["ticket"]["ticket_id"], json!(id));
    let again = service.get(&format!("/ws?ticket={ticket}")).await;
    again.assert_problem(401, "unauthorized");
    let tampered = format!("{}A{}", &ticket[..9], &ticket[10..]);
    for forged in ["", "x", &tampered] {
        let refused = service
            .get(&format!("/tickets/{id}/events?ticket={forged}"))
            .await;
        refused.assert_problem(401, "unauthorized");
    }
    // And what it hears is its own.
    let other = post(&service, &buyer("2"), "/live-tickets", Value::Null).await;
    let stream = format!("/tickets/{id}/events?ticket={}", other.text("ticket"));
    service
        .get(&stream)
        .await
        .assert_problem(404, "ticket_not_found");
}

/// Subscribed before the verdict, when the store does not know yet whose it is.
#[tokio::test]
async fn nobody_hears_the_verdict_on_somebody_elses_order() {
    let service = guarded(&[]).await;
    service.create_user_by(ADMIN, "2").await;
    let mut sockets = Vec::new();
    for user in [USER, "2"] {
        let issued = post(&service, &buyer(user), "/live-tickets", Value::Null).await;
        sockets.push(WsClient::by_ticket(&service, &issued.text("ticket")).await);
    }
    let placed = post(&service, &buyer(USER), "/tickets", json!({"show_id": SHOW})).await;
    let id = placed.text("ticket_id");
    for socket in &mut sockets {
        socket.subscribe(&[&id], &[]).await;
    }
    let [own, foreign] = &mut sockets[..] else {
        panic!("two");
    };
    while own.hear().await["ticket"]["status"] != "confirmed" {}
    let mut heard = foreign.hear().await;
    if heard["ticket"]["status"] == "processing" {
        heard = foreign.hear().await;
    }
    assert_eq!(heard["code"], "ticket_not_found", "{heard}");
}

/// Its id tells whose it is, but for one in 1,024.
#[tokio::test]
async fn an_order_that_waits_is_not_there_for_other_listeners() {
    let service = guarded(&WITH_RECEIPTS).await;
    let id = receipt("waits");
    for (user, status, code) in [
        (USER, json!("processing"), Value::Null),
        ("2", Value::Null, json!("ticket_not_found")),
    ] {
        let issued = post(&service, &buyer(user), "/live-tickets", Value::Null).await;
        let mut socket = WsClient::by_ticket(&service, &issued.text("ticket")).await;
        socket.subscribe(&[&id], &[]).await;
        let heard = socket.hear().await;
        let told = (&heard["ticket"]["status"], &heard["code"]);
        assert_eq!(told, (&status, &code));
    }
}

/// Opened with a token, and by the ticket of one; both kinds.
#[tokio::test]
async fn streams_end_with_their_token() {
    let service = guarded(&[("APP__AUTH__LEEWAY_SECONDS", "0")]).await;
    let show = json!({"id": "held", "title": "Held", "capacity": 5, "hold_seconds": 600});
    assert_eq!(post(&service, ADMIN, "/shows", show).await.status, 201);
    let id = decided(&service, &buyer(USER), json!({"show_id": "held"})).await;
    let mut short = claims(USER, "");
    short["exp"] = json!(seconds() + 5);
    let short = signed(&short);
    let tickets = [
        post(&service, &short, "/live-tickets", Value::Null).await,
        post(&service, &buyer(USER), "/live-tickets", Value::Null).await,
    ]
    .map(|issued| issued.text("ticket"));
    let mut ending = WsClient::by_ticket(&service, &tickets[0]).await;
    let mut lasting = WsClient::by_ticket(&service, &tickets[1]).await;
    let stream = format!("/tickets/{id}/events");
    let opened = send(asking(&service, &short, Method::GET, &stream)).await;
    let mut events = SseClient::of(opened.unwrap());
    events.hear_a("ticket").await;
    ending.subscribe(&[&id], &[]).await;
    let (why, code) = ending.closing().await;
    assert_eq!((why.as_str(), code), ("token_expired", CloseCode::Policy));
    let (_, closing) = events.hear_a("closing").await;
    assert_eq!(closing["code"], "token_expired");
    events.assert_end().await;
    lasting.subscribe(&[&id], &[]).await;
    assert_eq!(lasting.ticket().await["ticket_id"], json!(id));
}

/// Neither a request that fails for another reason, nor one that comes at once, uses it up.
#[tokio::test]
async fn a_ticket_is_used_up_by_the_stream_that_it_opens_alone() {
    let service = guarded(&[("APP__LIVE__MAX_CONNECTIONS", "1")]).await;
    let show = json!({"id": "held", "title": "Held", "capacity": 5, "hold_seconds": 600});
    assert_eq!(post(&service, ADMIN, "/shows", show).await.status, 201);
    let id = decided(&service, &buyer(USER), json!({"show_id": "held"})).await;
    let issued = async || {
        let issued = post(&service, &buyer(USER), "/live-tickets", Value::Null).await;
        issued.text("ticket")
    };
    let (first, ticket) = (issued().await, issued().await);
    let stream = format!("/tickets/{id}/events?ticket={ticket}");
    let other = "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77/events";
    for (path, code) in [
        (format!("{stream}&lastEventId=x"), "invalid_parameter"),
        (format!("{other}?ticket={ticket}"), "ticket_not_found"),
        (format!("/ws?ticket={ticket}"), "not_a_websocket"),
    ] {
        let refused = service.get(&path).await;
        assert_eq!(refused.text("code"), code, "{path}");
    }
    let socket = WsClient::by_ticket(&service, &first).await;
    let refused = service.get(&stream).await;
    refused.assert_problem(503, "live_connections_exhausted");
    drop(socket);
    let opened = loop {
        let answer = send(service.request(Method::GET, &stream)).await.unwrap();
        if answer.status() != 503 {
            break answer;
        }
    };
    let mut events = SseClient::of(opened);
    assert_eq!(events.hear_a("ticket").await.1["ticket_id"], json!(id));
    let again = service.get(&stream).await;
    again.assert_problem(401, "unauthorized");
}
