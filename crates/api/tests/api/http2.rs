//! What clients of HTTP/2 may cost, and how they are told of the stop. The server (actix-http)
//! has no limits of its own.

use std::time::Duration;

use api::application::Role;
use futures_util::future::join_all;
use h2::client::{Connection, SendRequest};
use h2::{Ping, Reason};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use rustls::DEFAULT_VERSIONS;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::contract::{self, Seen};
use crate::helpers::{SHOW, TestService};
use crate::live::{WITH_RECEIPTS, receipt, within};
use crate::tls::{TestCertificate, connect, connect_from};

const ORDER: &str = r#"{"show_id":"230920","user_id":1}"#;

type Client = SendRequest<Bytes>;
/// Ends with the connection.
type Ended = JoinHandle<Result<(), h2::Error>>;

struct Scene {
    certificate: TestCertificate,
    service: TestService,
}

impl Scene {
    async fn with(more: &[(&str, &str)]) -> Self {
        let certificate = TestCertificate::new();
        let tls = certificate.variables("on");
        let tls = tls.iter().map(|(name, value)| (&**name, &**value));
        let tls: Vec<_> = tls.collect();
        let variables = [&WITH_RECEIPTS[..], &tls, more].concat();
        let service = TestService::with(Role::All, &variables).await;
        Self {
            certificate,
            service,
        }
    }

    async fn tls(&self) -> TlsStream<TcpStream> {
        self.tls_from(1).await
    }

    /// From `127.0.0.<last>`.
    async fn tls_from(&self, last: u8) -> TlsStream<TcpStream> {
        let client = self.certificate.client(DEFAULT_VERSIONS, b"h2");
        let (from, service) = ([127, 0, 0, last].into(), self.service.https.unwrap());
        let opened = connect_from(from, &client, service).await.unwrap();
        assert_eq!(opened.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        opened
    }

    async fn client(&self) -> (Client, Ended) {
        self.client_with(&mut h2::client::Builder::new()).await
    }

    async fn client_from(&self, last: u8) -> (Client, Ended) {
        let tls = self.tls_from(last).await;
        let (client, connection) = h2::client::handshake(tls).await.unwrap();
        (client, tokio::spawn(connection))
    }

    async fn client_with(&self, settings: &mut h2::client::Builder) -> (Client, Ended) {
        let (client, connection) = settings.handshake(self.tls().await).await.unwrap();
        (client, tokio::spawn(connection))
    }
}

fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("https://localhost{path}"));
    request
        .header("content-type", "application/json")
        .body(())
        .unwrap()
}

async fn ask(client: &Client, method: &str, path: &str, body: &'static str) -> (StatusCode, Value) {
    let mut client = client.clone().ready().await.unwrap();
    let (answer, mut sending) = client
        .send_request(request(method, path), body.is_empty())
        .unwrap();
    if !body.is_empty() {
        // Who is refused by the head is answered before that.
        let _answered = sending.send_data(Bytes::from_static(body.as_bytes()), true);
    }
    heard(answer).await
}

async fn heard(answer: h2::client::ResponseFuture) -> (StatusCode, Value) {
    let answer = within("an answer", answer).await.unwrap();
    let (head, mut body) = answer.into_parts();
    let mut all = Vec::new();
    while let Some(some) = body.data().await {
        let some = some.unwrap();
        body.flow_control().release_capacity(some.len()).unwrap();
        all.extend(some);
    }
    contract::check_any(Seen {
        status: head.status.as_u16(),
        headers: &head.headers,
        body: Some(&all),
    });
    (
        head.status,
        serde_json::from_slice(&all).unwrap_or_default(),
    )
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Of HPACK's static table (RFC 7541, appendix A): the methods.
const GET: u8 = 0x82;
const POST: u8 = 0x83;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length, &[kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A request's head in HPACK, without tables of its own.
fn head(method: u8, path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let [path, authority, json] = [path, "localhost", "application/json"].map(text);
    [
        &[method, 0x87, 0x04],
        &path[..],
        &[0x01],
        &authority,
        &[0x0f, 0x10],
        &json,
    ]
    .concat()
}

struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// Of a `GOAWAY`.
    fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

/// A client that keeps to nothing.
struct Raw(TlsStream<TcpStream>);

impl Raw {
    async fn of(scene: &Scene) -> Self {
        let mut raw = Self(scene.tls().await);
        raw.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        raw.send(SETTINGS, 0, 0, &[]).await;
        // Room for all answers: nothing here makes any while it reads.
        raw.send(WINDOW_UPDATE, 0, 0, &[0, 0x10, 0, 0]).await;
        raw
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = frame(kind, flags, stream, payload);
        self.0.write_all(&frame).await.unwrap();
        // TLS keeps what a busy system does not take at once.
        self.0.flush().await.unwrap();
    }

    async fn get(&mut self, stream: u32, path: &str) {
        let flags = END_HEADERS | END_STREAM;
        self.send(HEADERS, flags, stream, &head(GET, path)).await;
    }

    async fn until(&mut self, is_it: impl Fn(&Frame) -> bool) -> Frame {
        within("a frame", async {
            loop {
                let mut header = [0; 9];
                self.0.read_exact(&mut header).await.unwrap();
                let [high, middle, low, kind, ..] = header;
                let length = u32::from_be_bytes([0, high, middle, low]);
                let mut payload = vec![0; length.try_into().unwrap()];
                self.0.read_exact(&mut payload).await.unwrap();
                let frame = Frame { kind, payload };
                if is_it(&frame) {
                    return frame;
                }
            }
        })
        .await
    }

    async fn end(mut self) {
        let _closed = within("the end", self.0.read_to_end(&mut Vec::new())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_over_one_connection_are_all_answered() {
    // More than are answered at once, and fewer answers than the client takes for a flood.
    const COUNT: usize = 200;
    let scene = Scene::with(&[]).await;
    let (client, _) = scene.client().await;
    let orders = (0..COUNT).map(|_| ask(&client, "POST", "/tickets", ORDER));
    let taken = join_all(orders).await;
    let taken = taken.iter().filter(|(status, _)| *status == 202).count();
    assert_eq!(taken, COUNT);
    // A WebSocket needs HTTP/1.1.
    let (status, problem) = ask(&client, "GET", "/ws", "").await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (426, &"not_a_websocket".into())
    );
}

/// Before it there may be a proxy that looks at one of them only.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_another_host_too_is_refused() {
    let scene = Scene::with(&[]).await;
    let (client, _) = scene.client().await;
    for (host, status) in [("localhost", 200), ("evil.example", 421)] {
        let mut request = request("GET", "/shows");
        let host = host.parse().unwrap();
        request.headers_mut().insert("host", host);
        let mut client = client.clone().ready().await.unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        assert_eq!(heard(answer).await.0, status);
    }
}

/// More of them than are answered at once; no client that means well has as many. First come all
/// heads, then all bodies, and one more request between.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_their_bodies_hold_nothing_up() {
    const COUNT: u32 = 120;
    let scene = Scene::with(&[("APP__SERVER__REQUEST_TIMEOUT_MS", "600000")]).await;
    let mut raw = Raw::of(&scene).await;
    let orders = (0..COUNT).map(|index| 2 * index + 1);
    for stream in orders.clone() {
        let head = head(POST, "/tickets");
        raw.send(HEADERS, END_HEADERS, stream, &head).await;
    }
    raw.get(2 * COUNT + 1, "/health").await;
    raw.until(|frame| frame.kind == HEADERS).await;
    for stream in orders.clone() {
        raw.send(DATA, END_STREAM, stream, ORDER.as_bytes()).await;
    }
    let name = b"ticket_id";
    let is_taken = |frame: &Frame| frame.payload.windows(name.len()).any(|part| part == name);
    for _ in orders {
        raw.until(is_taken).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_late_is_told_which_limit_it_missed() {
    let scene = Scene::with(&[("APP__SERVER__REQUEST_TIMEOUT_MS", "300")]).await;
    let (mut client, _) = scene.client().await;
    let begun = client.send_request(request("POST", "/tickets"), false);
    let (answer, mut sending) = begun.unwrap();
    sending.send_data(Bytes::from_static(b"{"), false).unwrap();
    let (status, problem) = heard(answer).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (408, &"request_timeout".into())
    );
    assert_eq!(ask(&client, "GET", "/health", "").await.0, 200);
}

/// Its window has no room for a byte, and it reads all else.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_makes_no_room_for_an_answer_is_cut_off() {
    let scene = Scene::with(&[("APP__LIVE__HEARTBEAT_SECONDS", "1")]).await;
    let stream = format!("/tickets/{}/events", receipt("never"));
    for path in [&format!("/shows/{SHOW}"), &stream] {
        let mut narrow = h2::client::Builder::new();
        let (mut client, ended) = scene.client_with(narrow.initial_window_size(0)).await;
        let (answer, _) = client.send_request(request("GET", path), true).unwrap();
        let _head = within("the head", answer).await.unwrap();
        let _closed = within("the end", ended).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_closed_whatever_it_says_to_pings() {
    let scene = Scene::with(&[("APP__SERVER__KEEP_ALIVE_SECONDS", "1")]).await;
    let settings = h2::client::Builder::new();
    let opened = settings.handshake::<_, Bytes>(scene.tls().await).await;
    let (mut client, mut connection): (Client, Connection<_, _>) = opened.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let ended = tokio::spawn(connection);
    let (answer, _) = client
        .send_request(request("GET", "/health"), true)
        .unwrap();
    assert_eq!(heard(answer).await.0, 200);
    within("the end", async {
        while pings.ping(Ping::opaque()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let _closed = within("the end", ended).await.unwrap();
}

/// It is told of its limit, and that it has no further answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_without_end_is_cut_off() {
    let scene = Scene::with(&[("APP__SERVER__REQUEST_TIMEOUT_MS", "600000")]).await;
    let mut raw = Raw::of(&scene).await;
    let settings = raw.until(|frame| frame.kind == SETTINGS).await;
    let told = settings.payload.chunks(6).next().unwrap();
    assert_eq!(told, [0, 3, 0, 0, 0, 100]);
    let orders =
        (0..400).map(|index| frame(HEADERS, END_HEADERS, 2 * index + 1, &head(POST, "/tickets")));
    let _sent = raw.0.write_all(&orders.collect::<Vec<_>>().concat()).await;
    let _sent = raw.0.flush().await;
    let goodbye = raw.until(|frame| frame.kind == GO_AWAY).await;
    let last = goodbye.last_stream();
    assert!((400..800).contains(&last), "{last}");
    raw.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_to_its_end_ends_the_connection_beside_a_stream() {
    let scene = Scene::with(&[("APP__SERVER__REQUEST_TIMEOUT_MS", "300")]).await;
    let mut raw = Raw::of(&scene).await;
    raw.get(1, &format!("/tickets/{}/events", receipt("never")))
        .await;
    raw.until(|frame| frame.kind == HEADERS).await;
    raw.send(HEADERS, 0, 3, &head(POST, "/tickets")).await;
    let goodbye = raw.until(|frame| frame.kind == GO_AWAY).await;
    assert_eq!(goodbye.last_stream(), 1);
    raw.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_ends_the_connection() {
    let scene = Scene::with(&[("APP__SERVER__REQUEST_TIMEOUT_MS", "600000")]).await;
    let mut raw = Raw::of(&scene).await;
    raw.send(HEADERS, 0, 1, &head(POST, "/tickets")).await;
    let field = [&[0, 1, b'x', 127, 0x81, 0x7c], &[b'x'; 16_000][..]].concat();
    for _ in 0..20 {
        // The end may come first.
        let _sent = raw.0.write_all(&frame(CONTINUATION, 0, 1, &field)).await;
    }
    raw.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_or_whose_connection_ends_makes_room_before_its_next_heartbeat() {
    let scene = Scene::with(&[
        ("APP__LIVE__HEARTBEAT_SECONDS", "3600"),
        ("APP__LIMITS__STREAMS_PER_ADDRESS", "1"),
    ])
    .await;
    let path = format!("/tickets/{}/events", receipt("never"));
    let mut connected = scene.client().await;
    for is_reset in [true, true, false, true] {
        let (client, ended) = &mut connected;
        let mut sending = within("room", async {
            loop {
                let (answer, sending) = client.send_request(request("GET", &path), true).unwrap();
                if answer.await.unwrap().status() == 200 {
                    return sending;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let (other, _) = scene.client().await;
        assert_eq!(ask(&other, "GET", &path, "").await.0, 429);
        if is_reset {
            sending.send_reset(Reason::CANCEL);
        } else {
            ended.abort();
            connected = scene.client().await;
        }
    }
}

/// As over HTTP/1.1.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_two_lengths_is_refused() {
    let scene = Scene::with(&[]).await;
    let (mut client, _) = scene.client().await;
    let mut twice = request("POST", "/tickets");
    for _ in 0..2 {
        twice
            .headers_mut()
            .append("content-length", ORDER.len().into());
    }
    let (answer, mut sending) = client.send_request(twice, false).unwrap();
    // The answer may come first.
    let _sent = sending.send_data(Bytes::from_static(ORDER.as_bytes()), true);
    assert_eq!(heard(answer).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_by_address_count_what_comes_over_one_connection_and_connections() {
    let scene = Scene::with(&[
        ("APP__LIMITS__ORDERS_PER_ADDRESS", "1/h"),
        ("APP__LIMITS__CONNECTIONS_PER_ADDRESS", "1"),
    ])
    .await;
    let (client, _) = scene.client_from(2).await;
    assert_eq!(ask(&client, "POST", "/tickets", ORDER).await.0, 202);
    let refused = |(status, problem): &(StatusCode, Value), limit: &str| {
        let detail = problem["detail"].as_str().unwrap();
        *status == 429 && detail.contains(limit)
    };
    let again = ask(&client, "POST", "/tickets", ORDER).await;
    assert!(refused(&again, "limits.orders_per_address"), "{again:?}");
    let (surplus, ended) = scene.client_from(2).await;
    let told = ask(&surplus, "GET", "/shows", "").await;
    assert!(refused(&told, "limits.connections_per_address"), "{told:?}");
    let _closed = within("the end", ended).await.unwrap();
    assert_eq!(ask(&client, "GET", "/shows", "").await.0, 200);
    let (other, _) = scene.client_from(3).await;
    assert_eq!(ask(&other, "POST", "/tickets", ORDER).await.0, 202);
}

/// CVE-2023-44487.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_reset_at_once_keep_nobody_waiting() {
    let scene = Scene::with(&[]).await;
    let (client, _) = scene.client().await;
    for _ in 0..5_000 {
        let Ok(mut client) = client.clone().ready().await else {
            break;
        };
        let Ok((_, mut sending)) = client.send_request(request("POST", "/tickets"), false) else {
            break;
        };
        sending.send_reset(Reason::CANCEL);
    }
    let (other, _) = scene.client().await;
    assert_eq!(ask(&other, "POST", "/tickets", ORDER).await.0, 202);
    drop(other);
    within("the stop", scene.service.stop()).await.unwrap();
}

/// At first of all streams that may come, then of those that are answered.
#[tokio::test(flavor = "multi_thread")]
async fn the_stop_is_told_to_connections_that_are_idle() {
    let scene = Scene::with(&[]).await;
    let mut raw = Raw::of(&scene).await;
    raw.get(1, "/health").await;
    raw.until(|frame| frame.kind == DATA).await;
    let stopped = tokio::spawn(scene.service.stop());
    for last in [u32::MAX >> 1, 1] {
        let goodbye = raw.until(|frame| frame.kind == GO_AWAY).await;
        assert_eq!(goodbye.last_stream(), last);
    }
    raw.end().await;
    within("the stop", stopped).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_can_be_turned_off() {
    let certificate = TestCertificate::new();
    let mut variables = certificate.variables("on");
    variables.push(("APP__TLS__HTTP2".to_owned(), "false".to_owned()));
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let service = TestService::with(Role::All, &variables).await;
    for (protocol, is_served) in [(&b"h2"[..], false), (b"http/1.1", true)] {
        let client = certificate.client(DEFAULT_VERSIONS, protocol);
        let connected = connect(&client, service.https.unwrap()).await;
        assert_eq!(connected.is_ok(), is_served, "{protocol:?}");
    }
}
