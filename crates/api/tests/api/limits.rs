//! What one client may ask for: refused over real connections from several addresses of this
//! machine.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};

use api::application::Role;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::task::spawn_blocking;

use crate::helpers::{Answer, SHOW, TestService, send};
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, names, order, receipt, until};
use crate::raw::{Connection, raw_order};

const UNKNOWN: &str = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";

async fn limited(limits: &[(&str, &str)]) -> TestService {
    let variables = [&WITH_RECEIPTS, limits].concat();
    TestService::with(Role::All, &variables).await
}

/// A client with an address of its own; that of [`TestService`] has `127.0.0.1`.
struct Caller<'a> {
    service: &'a TestService,
    client: Client,
}

impl<'a> Caller<'a> {
    fn at(service: &'a TestService, last: u8) -> Self {
        let address = IpAddr::from([127, 0, 0, last]);
        let client = Client::builder().local_address(address).build().unwrap();
        Self { service, client }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.service.url);
        self.client.request(method, url)
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    async fn order(&self, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, "/tickets").json(&body)).await
    }

    /// An order that a proxy passes on.
    async fn order_for(&self, field: &str, value: &str) -> u16 {
        let order = self.request(Method::POST, "/tickets").json(&order());
        Answer::to(order.header(field, value)).await.status
    }
}

#[track_caller]
fn assert_limited(answer: &Answer, setting: &str) {
    answer.assert_problem(429, "rate_limited");
    let detail = answer.text("detail");
    assert!(detail.contains(&format!("limits.{setting}")), "{detail}");
    let policy = answer.header("ratelimit-policy");
    assert!(policy.starts_with(&format!("\"{setting}\";q=")), "{policy}");
}

#[tokio::test]
async fn orders_are_limited_by_address_and_the_answer_says_how() {
    let service = limited(&[("APP__LIMITS__ORDERS_PER_ADDRESS", "3/h")]).await;
    let caller = Caller::at(&service, 2);
    for _ in 0..3 {
        assert_eq!(caller.order(order()).await.status, 202);
    }
    let refused = caller.order(order()).await;
    assert_limited(&refused, "orders_per_address");
    let policy = refused.header("ratelimit-policy");
    assert_eq!(policy, r#""orders_per_address";q=3;w=3600"#);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=1_200).contains(&seconds), "{seconds}");
    let left = format!("\"orders_per_address\";r=0;t={seconds}");
    assert_eq!(refused.header("ratelimit"), left);
    // Other requests are not orders, and other addresses other clients.
    assert_eq!(caller.get("/shows").await.status, 200);
    assert_eq!(Caller::at(&service, 3).order(order()).await.status, 202);
}

#[tokio::test]
async fn a_request_past_the_limit_is_refused_before_its_body_comes() {
    let service = limited(&[("APP__LIMITS__ORDERS_PER_ADDRESS", "1/h")]).await;
    assert_eq!(service.order(order()).await.status, 202);
    let url = service.url.clone();
    let answered = spawn_blocking(move || {
        let mut connection = Connection::open(&url);
        connection.send(
            "POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 32\r\n\r\n",
        );
        connection.receive().0
    });
    let head = answered.await.unwrap();
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
}

#[tokio::test]
async fn orders_are_limited_by_user_from_whatever_address() {
    let service = limited(&[("APP__LIMITS__ORDERS_PER_USER", "2/h")]).await;
    service.create_user("ada").await;
    let of = |user: &str| json!({"show_id": SHOW, "user_id": user});
    // What is no order takes nothing.
    let wrong = json!({"show_id": SHOW, "user_id": "ada", "seat": 1});
    service.order(wrong).await.assert_invalid_fields(&["/seat"]);
    for last in [2, 3] {
        let caller = Caller::at(&service, last);
        assert_eq!(caller.order(of("ada")).await.status, 202);
    }
    let refused = Caller::at(&service, 4).order(of("ada")).await;
    assert_limited(&refused, "orders_per_user");
    assert_eq!(service.order(of("1")).await.status, 202);
}

#[tokio::test]
async fn all_else_is_limited_by_address_but_health() {
    let service = limited(&[("APP__LIMITS__REQUESTS_PER_ADDRESS", "4/h")]).await;
    let caller = Caller::at(&service, 2);
    assert_eq!(caller.get("/shows").await.status, 200);
    assert_eq!(caller.get("/nothing").await.status, 404);
    assert_eq!(caller.get(&format!("/tickets/{UNKNOWN}")).await.status, 404);
    assert_eq!(caller.get("/ws").await.status, 426);
    for path in ["/shows", "/nothing", "/tickets", "/ws", "/admin/audit"] {
        assert_limited(&caller.get(path).await, "requests_per_address");
    }
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(caller.get(path).await.status, 200);
    }
    assert_eq!(caller.order(order()).await.status, 202);
    assert_eq!(Caller::at(&service, 3).get("/shows").await.status, 200);
}

/// A client that waits and tries again needs no new connection for that.
#[tokio::test]
async fn a_refused_order_keeps_its_connection() {
    let service = limited(&[("APP__LIMITS__ORDERS_PER_ADDRESS", "1/h")]).await;
    let url = service.url.clone();
    let answered = spawn_blocking(move || {
        let mut connection = Connection::open(&url);
        [(); 3].map(|()| {
            connection.send(&raw_order());
            connection.receive().0
        })
    });
    for (head, status) in answered.await.unwrap().iter().zip([202, 429, 429]) {
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(!head.to_lowercase().contains("connection: close"), "{head}");
    }
}

#[tokio::test]
async fn only_trusted_proxies_are_believed_and_only_the_last_that_is_none() {
    let service = limited(&[
        ("APP__LIMITS__ORDERS_PER_ADDRESS", "1/h"),
        ("APP__SERVER__TRUSTED_PROXIES", "127.0.0.2, 10.0.0.0/8"),
    ])
    .await;
    let proxy = Caller::at(&service, 2);
    for (field, value, status) in [
        ("X-Forwarded-For", "203.0.113.9", 202),
        ("X-Forwarded-For", "203.0.113.10", 202),
        ("X-Forwarded-For", "203.0.113.9", 429),
        // What a client makes up stands before what the proxies write.
        ("X-Forwarded-For", "203.0.113.77, 203.0.113.9", 429),
        (
            "X-Forwarded-For",
            "203.0.113.78, 203.0.113.9:4711, 10.1.2.3",
            429,
        ),
        ("Forwarded", "for=203.0.113.9;proto=https", 429),
        ("Forwarded", "for=\"[2001:db8::1]:4711\"", 202),
        ("Forwarded", "for=\"[2001:db8::2]\"", 429),
        // Unreadable: the proxy counts as the client.
        ("X-Forwarded-For", "203.0.113.79, unknown", 202),
        ("X-Forwarded-For", "203.0.113.80, nonsense", 429),
    ] {
        let answered = proxy.order_for(field, value).await;
        assert_eq!(answered, status, "{field}: {value}");
    }
    let nobody = Caller::at(&service, 3);
    assert_eq!(
        nobody.order_for("X-Forwarded-For", "203.0.113.81").await,
        202
    );
    assert_eq!(
        nobody.order_for("X-Forwarded-For", "203.0.113.82").await,
        429
    );
}

/// As [`receipt`], of before ids were sealed.
fn old_receipt(key: &str) -> String {
    names(key)[1].to_string()
}

#[tokio::test]
async fn wrong_ids_are_limited_by_address_and_those_of_before_with_them() {
    let service = limited(&[("APP__LIMITS__WRONG_IDS_PER_ADDRESS", "3/h")]).await;
    let sealed = format!("/tickets/{}", receipt("x"));
    let guessable = ["", "/events"].map(|rest| format!("/tickets/{}{rest}", old_receipt("x")));
    let guesser = Caller::at(&service, 2);
    // Right ids take nothing.
    for path in [&sealed, &guessable[0]] {
        for _ in 0..5 {
            assert_eq!(guesser.get(path).await.status, 200);
        }
    }
    let wrong = format!("/tickets/{UNKNOWN}");
    guesser
        .get(&wrong)
        .await
        .assert_problem(404, "ticket_not_found");
    for rest in ["confirm", "cancel"] {
        let change = guesser.request(Method::POST, &format!("{wrong}/{rest}"));
        Answer::to(change)
            .await
            .assert_problem(404, "ticket_not_found");
    }
    for path in guessable.iter().chain([&wrong]) {
        assert_limited(&guesser.get(path).await, "wrong_ids_per_address");
    }
    // Nobody guesses this one, so it is not refused to others on the same address.
    assert_eq!(guesser.get(&sealed).await.status, 200);
    assert_eq!(guesser.get("/shows").await.status, 200);
    let other = Caller::at(&service, 3);
    assert_eq!(other.get(&guessable[0]).await.status, 200);
}

#[tokio::test]
async fn wrong_ids_over_a_websocket_count_with_those_of_requests() {
    let service = limited(&[("APP__LIMITS__WRONG_IDS_PER_ADDRESS", "3/h")]).await;
    let right = old_receipt("x");
    let path = format!("/tickets/{right}");
    let wrong = (0..5).map(|number| format!("0199a2b4-7d3e-8001-8a5f-3c0d9e412b7{number}"));
    let mut ids: Vec<_> = wrong.collect();
    // Twice the same is one guess.
    ids.insert(1, ids[0].clone());
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&right], &[]).await;
    client.ticket().await;
    ids.push(old_receipt("y"));
    let asked: Vec<_> = ids.iter().map(String::as_str).collect();
    client.subscribe(&asked, &[SHOW]).await;
    let (code, error) = client.error().await;
    assert_eq!(code, "rate_limited");
    let detail = error["detail"].as_str().unwrap();
    assert!(
        detail.contains("limits.wrong_ids_per_address") && detail.contains("3 tickets were left"),
        "{detail}"
    );
    for _ in 0..3 {
        assert_eq!(client.error().await.0, "ticket_not_found");
    }
    // The connection stays, with what it has.
    client.show().await;
    client.subscribe(&[&right], &[]).await;
    client.assert_silent().await;
    let refused = service.get(&path).await;
    assert_limited(&refused, "wrong_ids_per_address");
    assert_eq!(Caller::at(&service, 2).get(&path).await.status, 200);
}

#[tokio::test]
async fn streams_of_both_kinds_are_limited_by_address_together() {
    let service = limited(&[("APP__LIMITS__STREAMS_PER_ADDRESS", "2")]).await;
    let id = receipt("x");
    let path = format!("/tickets/{id}/events");
    let client = WsClient::connect(&service).await;
    let _stream = SseClient::connect(&service, &id, None).await;
    let refused = service.get(&path).await;
    assert_limited(&refused, "streams_per_address");
    assert_eq!(refused.header("ratelimit"), r#""streams_per_address";r=0"#);
    assert_eq!(refused.header("retry-after"), "1");
    let handshake = service.request(Method::GET, "/ws");
    assert_limited(&Answer::to(handshake).await, "streams_per_address");
    let elsewhere = Caller::at(&service, 2).request(Method::GET, &path);
    SseClient::of(send(elsewhere).await.unwrap());
    drop(client);
    until("room for another stream", async || {
        SseClient::request(&service, &id, None).await.status() == 200
    })
    .await;
}

/// A connection from `127.0.0.<last>`.
fn connected(service: &TestService, last: u8) -> TcpStream {
    let to: SocketAddr = service.url["http://".len()..].parse().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = SocketAddr::from(([127, 0, 0, last], 0));
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match peeked {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// What is answered to a request for `path`, and whether that is the last answer.
fn answered(stream: TcpStream, path: &str) -> (String, bool) {
    let mut connection = Connection::over(stream);
    connection.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let (head, body) = connection.receive();
    let head = head.to_lowercase();
    let ends = head.contains("connection: close");
    (format!("{} {body}", &head["http/1.1 ".len()..][..3]), ends)
}

#[tokio::test]
async fn connections_are_limited_by_address_and_a_few_more_are_told() {
    const TOLD: usize = 8;
    let service = limited(&[
        ("APP__LIMITS__CONNECTIONS_PER_ADDRESS", "2"),
        ("APP__SERVER__TRUSTED_PROXIES", "127.0.0.3"),
        ("APP__SERVER__REQUEST_TIMEOUT_MS", "600000"),
    ])
    .await;
    let served: Vec<_> = (0..2).map(|_| connected(&service, 2)).collect();
    for stream in &served {
        let stream = stream.try_clone().unwrap();
        let answer = spawn_blocking(|| answered(stream, "/shows")).await.unwrap();
        assert!(answer.0.starts_with("200 ") && !answer.1, "{answer:?}");
    }
    let mut more: Vec<_> = (0..=TOLD).map(|_| connected(&service, 2)).collect();
    until("one of them to be closed", async || {
        more.iter().any(is_closed)
    })
    .await;
    more.retain(|stream| !is_closed(stream));
    assert_eq!(more.len(), TOLD);
    let live = more.pop().unwrap();
    let answer = spawn_blocking(|| answered(live, "/health/live"))
        .await
        .unwrap();
    assert!(answer.0.starts_with("200 ") && answer.1, "{answer:?}");
    for stream in more {
        let answer = spawn_blocking(|| answered(stream, "/shows")).await.unwrap();
        assert!(answer.0.starts_with("429 ") && answer.1, "{answer:?}");
        assert!(answer.0.contains("limits.connections_per_address"));
    }
    // A proxy speaks for many.
    for last in [3, 4] {
        let streams: Vec<_> = (0..5).map(|_| connected(&service, last)).collect();
        let mut refused = 0;
        for stream in &streams {
            let stream = stream.try_clone().unwrap();
            let answer = spawn_blocking(|| answered(stream, "/shows")).await.unwrap();
            refused += usize::from(answer.0.starts_with("429 "));
        }
        assert_eq!(refused, if last == 3 { 0 } else { 3 });
    }
}
