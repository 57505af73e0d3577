//! What live connections may cost, and what becomes of those that cost more.

use api::application::Role;
use futures_util::SinkExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::helpers::{Answer, SHOW, TestService};
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, change, clog, hold, receipt, until, within};

async fn limited(limits: &[(&str, &str)]) -> TestService {
    let variables = [&WITH_RECEIPTS, limits].concat();
    TestService::with(Role::All, &variables).await
}

#[tokio::test]
async fn connections_of_both_kinds_are_limited_together() {
    let service = limited(&[("APP__LIVE__MAX_CONNECTIONS", "2")]).await;
    let id = receipt("x");
    let client = WsClient::connect(&service).await;
    let stream = SseClient::connect(&service, &id, None).await;
    let path = format!("/tickets/{id}/events");
    let refused = service.get(&path).await;
    refused.assert_problem(503, "live_connections_exhausted");
    assert!(refused.text("detail").contains("live.max_connections"));
    let handshake = service
        .request(reqwest::Method::GET, "/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let refused = Answer::to(handshake).await;
    refused.assert_problem(503, "live_connections_exhausted");
    // A client that goes makes room.
    drop(client);
    until("room for another stream", async || {
        SseClient::request(&service, &id, None).await.status() == 200
    })
    .await;
    drop(stream);
}

#[tokio::test]
async fn subscriptions_are_limited_and_the_limit_is_named() {
    let service = limited(&[("APP__LIVE__MAX_SUBSCRIPTIONS", "2")]).await;
    let ids = [receipt("a"), receipt("b"), receipt("c")];
    let mut client = WsClient::connect(&service).await;
    client
        .subscribe(&[&ids[0], &ids[1], &ids[2]], &[SHOW])
        .await;
    let (code, error) = client.error().await;
    assert_eq!(code, "too_many_subscriptions");
    let detail = error["detail"].as_str().unwrap();
    assert!(
        detail.contains("live.max_subscriptions") && detail.contains("2 were left out"),
        "{detail}"
    );
    for id in &ids[..2] {
        assert_eq!(client.ticket().await["ticket_id"], *id);
    }
    client
        .say(json!({"type": "unsubscribe", "tickets": [ids[0]]}))
        .await;
    client.subscribe(&[], &[SHOW]).await;
    assert_eq!(client.show().await["show_id"], SHOW);
    // Those that were never issued take no room.
    client
        .say(json!({"type": "unsubscribe", "tickets": [ids[1]]}))
        .await;
    let unknown = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    client.subscribe(&[unknown], &[]).await;
    assert_eq!(client.error().await.0, "ticket_not_found");
    client.subscribe(&[&ids[2]], &[]).await;
    assert_eq!(client.ticket().await["ticket_id"], ids[2]);
}

/// What costs a client one message costs the service one, too.
#[tokio::test]
async fn an_id_that_is_repeated_counts_once() {
    let service = limited(&[("APP__LIVE__MAX_SUBSCRIPTIONS", "2")]).await;
    let mut client = WsClient::connect(&service).await;
    let repeated = |id: &str| json!(vec![id; 5_000]);
    client
        .say(json!({"type": "subscribe", "shows": repeated(SHOW)}))
        .await;
    assert_eq!(client.show().await["show_id"], SHOW);
    client
        .say(
            json!({"type": "subscribe", "tickets": [receipt("a"), receipt("b")],
            "shows": repeated(SHOW)}),
        )
        .await;
    let (code, error) = client.error().await;
    assert_eq!(code, "too_many_subscriptions");
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains("1 were left out"), "{detail}");
    assert_eq!(client.ticket().await["ticket_id"], receipt("a"));
    // What it has takes no room.
    client.subscribe(&[&receipt("a")], &[SHOW]).await;
    client
        .say(json!({"type": "unsubscribe", "shows": repeated(SHOW)}))
        .await;
    client.subscribe(&[], &[SHOW]).await;
    assert_eq!(client.show().await["show_id"], SHOW);
}

#[tokio::test]
async fn only_the_first_faults_of_a_message_are_told() {
    let service = limited(&[]).await;
    let mut client = WsClient::connect(&service).await;
    let wrong = json!({"type": "subscribe", "shows": vec![json!([]); 20_000]});
    client.say_anything(&wrong.to_string()).await;
    let (code, error) = client.error().await;
    assert_eq!(code, "invalid_message");
    assert_eq!(error["errors"].as_array().unwrap().len(), 32);
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.ends_with(" 19968 more are not listed."), "{detail}");
}

/// Each byte by byte as it goes over the wire, masked with zeros.
#[tokio::test]
async fn what_is_not_a_message_ends_the_connection_with_its_code() {
    let service = limited(&[]).await;
    let masked = [0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (frame, code, close) in [
        // It says that a tebibyte follows, and nothing does.
        (
            [&[0x81][..], &masked].concat(),
            "message_too_large",
            CloseCode::Size,
        ),
        (
            vec![0x81, 0x81, 0, 0, 0, 0, 0xff],
            "invalid_utf8",
            CloseCode::Invalid,
        ),
        (
            vec![0xc1, 0x81, 0, 0, 0, 0, b'x'],
            "protocol_error",
            CloseCode::Protocol,
        ),
        (
            vec![0x83, 0x81, 0, 0, 0, 0, b'x'],
            "protocol_error",
            CloseCode::Protocol,
        ),
        (
            vec![0x81, 0x01, b'x'],
            "protocol_error",
            CloseCode::Protocol,
        ),
    ] {
        let mut client = WsClient::connect(&service).await;
        client.socket.get_mut().write_all(&frame).await.unwrap();
        assert_eq!(
            client.closing().await,
            (code.to_owned(), close),
            "{frame:?}"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let service = limited(&[]).await;
    for parts in [1, 3] {
        let mut client = WsClient::connect(&service).await;
        for part in 0..parts {
            let code = if part == 0 {
                Data::Text
            } else {
                Data::Continue
            };
            let text = "x".repeat(70_000 / parts);
            let frame = Frame::message(text, OpCode::Data(code), part + 1 == parts);
            client.socket.send(Message::Frame(frame)).await.unwrap();
        }
        let closing = client.closing().await;
        assert_eq!(closing, ("message_too_large".to_owned(), CloseCode::Size));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_dropped_and_told_why_and_holds_nobody_up() {
    let limits = [
        ("APP__LIVE__MAX_SUBSCRIPTIONS", "3"),
        // One message is being sent and five wait: it runs over by the last one, just
        // before the client reads again, because who is told is not waited for long.
        ("APP__LIVE__OUTGOING_BUFFER", "5"),
        // Later than this test waits.
        ("APP__LIVE__HEARTBEAT_SECONDS", "3600"),
    ];
    let service = limited(&limits).await;
    service
        .create_show(json!({"id": "held", "title": "Held", "capacity": 9, "hold_seconds": 600}))
        .await;
    let ids = [receipt("a"), receipt("b"), receipt("c")];
    let mut slow = WsClient::with_buffer(&service, Some(4_096)).await;
    let mut quick = WsClient::connect(&service).await;
    for client in [&mut slow, &mut quick] {
        client
            .subscribe(&ids.each_ref().map(String::as_str), &[])
            .await;
        for _ in &ids {
            assert_eq!(client.ticket().await["status"], "processing");
        }
    }
    assert!(!clog(&mut slow).await);
    for (key, id) in ["a", "b", "c"].into_iter().zip(&ids) {
        service.keyed(key, hold()).await;
        assert_eq!(quick.ticket().await["status"], "reserved");
        change(&service, id, "confirm").await;
        assert_eq!(quick.ticket().await["status"], "confirmed");
    }
    let closing = slow.closing().await;
    assert_eq!(closing, ("slow_reader".to_owned(), CloseCode::Policy));
}

/// Its next message is read once the answers to the one before are sent.
#[tokio::test]
async fn who_asks_faster_than_it_is_answered_is_no_slow_reader() {
    let limits = [
        ("APP__LIVE__MAX_SUBSCRIPTIONS", "1"),
        ("APP__LIVE__OUTGOING_BUFFER", "2"),
    ];
    let service = limited(&limits).await;
    let mut client = WsClient::connect(&service).await;
    for _ in 0..200 {
        client.say_anything("?").await;
    }
    for _ in 0..200 {
        assert_eq!(client.error().await.0, "invalid_message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_that_never_reads_again_takes_no_place() {
    let limits = [
        ("APP__LIVE__MAX_CONNECTIONS", "1"),
        ("APP__LIVE__MAX_SUBSCRIPTIONS", "1"),
        ("APP__LIVE__OUTGOING_BUFFER", "2"),
        // Later than this test waits.
        ("APP__LIVE__HEARTBEAT_SECONDS", "3600"),
    ];
    let service = limited(&limits).await;
    service
        .create_show(json!({"id": "held", "title": "Held", "capacity": 9, "hold_seconds": 600}))
        .await;
    let id = receipt("a");
    let mut slow = WsClient::with_buffer(&service, Some(4_096)).await;
    slow.subscribe(&[&id], &[]).await;
    slow.ticket().await;
    assert!(!clog(&mut slow).await);
    service.keyed("a", hold()).await;
    service.decided(&id).await;
    change(&service, &id, "confirm").await;
    change(&service, &id, "cancel").await;
    until("a free place", async || {
        SseClient::request(&service, &id, None).await.status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_at_all_is_cut_off() {
    let service = limited(&[("APP__LIVE__HEARTBEAT_SECONDS", "1")]).await;
    let mut client = WsClient::with_buffer(&service, Some(4_096)).await;
    let is_cut = clog(&mut client).await;
    let connection = client.socket.get_ref();
    until("the connection's end", async || {
        is_cut || connection.take_error().unwrap().is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_no_ping_is_told_and_closed() {
    let service = limited(&[("APP__LIVE__HEARTBEAT_SECONDS", "1")]).await;
    let address = service.url.trim_start_matches("http://");
    let mut dead = TcpStream::connect(address).await.unwrap();
    let handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    dead.write_all(handshake.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 1_024];
    // Its end without an answer is a close frame: code 1008.
    while !heard
        .windows(4)
        .any(|bytes| bytes[0] == 0x88 && bytes[2..] == 1_008_u16.to_be_bytes())
    {
        let read = within("the end", dead.read(&mut buffer)).await.unwrap();
        assert_ne!(read, 0, "ended without a word");
        heard.extend_from_slice(&buffer[..read]);
    }
    assert!(String::from_utf8_lossy(&heard).contains("\"no_heartbeat\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_pings_stays() {
    // Who is silent for twice as long is closed, so a busy machine may stop for that.
    let service = limited(&[("APP__LIVE__HEARTBEAT_SECONDS", "4")]).await;
    let mut client = WsClient::connect(&service).await;
    // Reading answers them. After the third it would be closed.
    for _ in 0..4 {
        let heard = client.hear_anything().await;
        assert!(matches!(heard, Some(Message::Ping(_))), "{heard:?}");
    }
    client.subscribe(&[&receipt("x")], &[]).await;
    client.ticket().await;
}

/// Like somebody who closed the page: no answer is worked on for them any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_closes_has_given_up() {
    let service = limited(&[]).await;
    let address = service.url.trim_start_matches("http://");
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /tickets/{}/events HTTP/1.1\r\nHost: x\r\n\r\n",
        receipt("x")
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut heard = [0; 1_024];
    let read = within("the first event", client.read(&mut heard)).await;
    assert!(heard.starts_with(b"HTTP/1.1 200 OK"), "{read:?}");
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let ended = within("the stream's end", client.read_to_end(&mut rest)).await;
    ended.unwrap();
}
