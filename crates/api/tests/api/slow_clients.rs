//! Clients that take their time, and what they may cost.

use api::application::Role;
use serde_json::{Value, json};

use crate::helpers::{SHOW, TestService};
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, receipt, within};
use crate::raw::{Connection, raw_order};

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
const ORDER_HEAD: &str = "POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn impatient(more: &[(&str, &str)]) -> TestService {
    let variables = [
        &WITH_RECEIPTS[..],
        &[("APP__SERVER__REQUEST_TIMEOUT_MS", "300")],
        more,
    ]
    .concat();
    TestService::with(Role::All, &variables).await
}

/// A request that never comes to its end, what follows it again and again, and how the answer
/// begins.
fn beginnings() -> Vec<(String, &'static [u8], &'static str)> {
    let late = "HTTP/1.1 408";
    let order = |headers: &str| format!("{ORDER_HEAD}{headers}\r\n");
    let cancel = "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77/cancel";
    vec![
        (String::new(), b"", late),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nX: ".to_owned(),
            b"a",
            late,
        ),
        ("\r\n".to_owned(), b"\r\n", late),
        (order("Content-Length: 35\r\n"), b"", late),
        (order("Content-Length: 10000\r\n"), b" ", late),
        (order("Transfer-Encoding: chunked\r\n") + "5;", b"a", late),
        (
            order("Transfer-Encoding: chunked\r\n") + "2\r\n{}\r\n0\r\nX: ",
            b"a",
            late,
        ),
        (order("Transfer-Encoding: chunked\r\n"), b"1\r\n \r\n", late),
        (
            order("Content-Length: 35\r\nExpect: 100-continue\r\n"),
            b"",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408",
        ),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".to_owned(),
            b"",
            "HTTP/1.1 200",
        ),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            b"1\r\na\r\n",
            "HTTP/1.1 200",
        ),
        (
            format!("POST {cancel} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
            b"1\r\na\r\n",
            "HTTP/1.1 404",
        ),
        (
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n".to_owned(),
            b"",
            late,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_to_its_end_is_given_up() {
    let service = impatient(&[]).await;
    for (beginning, drop, expected) in beginnings() {
        for is_second in [false, true] {
            if is_second && beginning.is_empty() {
                continue;
            }
            let mut client = Connection::open(&service.url);
            if is_second {
                client.send(HEALTH);
                assert!(client.receive().0.starts_with("HTTP/1.1 200"));
            }
            client.send(&beginning);
            let heard = client.until_closed_by(drop);
            assert!(heard.starts_with(expected), "{beginning:?}: {heard:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_late_is_told_which_limit_it_missed() {
    let service = impatient(&[]).await;
    let mut client = Connection::open(&service.url);
    client.send(&format!("{ORDER_HEAD}Content-Length: 35\r\n\r\n{{"));
    let (head, body) = client.receive();
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["code"], "request_timeout");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("server.request_timeout_ms"), "{detail}");
    client.until_closed();
}

/// The HTTP server answers these itself, before there is a request.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_gets_a_problem_too() {
    let service = impatient(&[]).await;
    let long = format!(
        "GET /health HTTP/1.1\r\nHost: x\r\nX: {}",
        "a".repeat(150_000)
    );
    let many = format!(
        "GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: a\r\n".repeat(96)
    );
    for (request, status, code) in [
        ("GET\r\n\r\n", 400, "not_http"),
        (
            "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n",
            400,
            "not_http",
        ),
        (&long, 431, "head_too_large"),
        (&many, 431, "head_too_large"),
        ("GET /hea", 408, "request_timeout"),
    ] {
        for before in [false, true] {
            let mut client = Connection::open(&service.url);
            if before {
                client.send(HEALTH);
                assert!(client.receive().0.starts_with("HTTP/1.1 200"));
            }
            client.try_send(request.as_bytes());
            let (head, body) = client.receive();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(
                head.contains("content-type: application/problem+json\r\n"),
                "{head}"
            );
            assert!(
                head.contains("x-content-type-options: nosniff\r\n"),
                "{head}"
            );
            assert!(
                head.contains("content-security-policy: default-src 'none'"),
                "{head}"
            );
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                (&problem["code"], &problem["status"]),
                (&json!(code), &json!(status))
            );
            let id = problem["request_id"].as_str().unwrap();
            assert!(head.contains(&format!("x-request-id: {id}\r\n")), "{head}");
            client.until_closed();
        }
    }
}

/// Waits until a client that began to ask when this began has been given up.
fn a_while(service: &TestService) {
    let mut late = Connection::open(&service.url);
    late.send("GET");
    late.until_closed();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_have_said_all_are_not_given_up() {
    let service = impatient(&[]).await;
    let mut idle = Connection::open(&service.url);
    idle.send(HEALTH);
    idle.receive();
    let mut stream = SseClient::connect(&service, &receipt("later"), None).await;
    stream.status().await;
    let mut socket = WsClient::connect(&service).await;
    socket.subscribe(&[], &[SHOW]).await;
    socket.show().await;
    for _ in 0..3 {
        a_while(&service);
    }
    idle.send(HEALTH);
    assert!(idle.receive().0.starts_with("HTTP/1.1 200"));
    let order = json!({"show_id": SHOW, "user_id": 1});
    let answer = service.keyed("later", order).await;
    assert_eq!(answer.status, 202);
    assert_eq!(stream.status().await.0, "confirmed");
    assert_eq!(socket.show().await["seq"], 2);
}

/// Half of the next request comes with one that is answered: it counts from there.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_behind_a_whole_one_is_given_up() {
    let service = impatient(&[("APP__SERVER__KEEP_ALIVE_SECONDS", "1")]).await;
    let mut client = Connection::open(&service.url);
    client.send(&format!("{}POST /tick", raw_order()));
    let heard = client.until_closed();
    assert!(heard.starts_with("HTTP/1.1 202"), "{heard}");
    let mut client = Connection::open(&service.url);
    client.send(&format!(
        "{}{ORDER_HEAD}Content-Length: 9\r\n\r\n{{",
        raw_order()
    ));
    let heard = client.until_closed();
    assert!(heard.contains("request_timeout"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_closed_when_the_setting_says_so() {
    let service = impatient(&[("APP__SERVER__KEEP_ALIVE_SECONDS", "1")]).await;
    let mut client = Connection::open(&service.url);
    client.send(HEALTH);
    client.receive();
    assert_eq!(client.until_closed(), "");
}

/// More than is read at once, behind an answer without end and before one.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_many_requests_at_once_is_answered_in_sequence() {
    const COUNT: usize = 5_000;
    let service = impatient(&[]).await;
    let mut client = Connection::open(&service.url);
    let mut sender = client.second();
    let path = |number: usize| match number % 3 {
        0 => "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        1 => raw_order(),
        _ => format!("GET /shows/{number} HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    let requests: String = (0..COUNT).map(path).collect();
    let sending = std::thread::spawn(move || sender.try_send(requests.as_bytes()));
    for number in 0..COUNT {
        let expected = ["HTTP/1.1 200", "HTTP/1.1 202", "HTTP/1.1 404"][number % 3];
        let (head, _) = client.receive();
        assert!(head.starts_with(expected), "{number}: {head}");
    }
    assert!(sending.join().unwrap());
    // What a client sends during an event stream is read no further than that.
    let id = receipt("never");
    let mut client = Connection::open(&service.url);
    client.send(&format!(
        "GET /tickets/{id}/events HTTP/1.1\r\nHost: x\r\n\r\n"
    ));
    client.send(&HEALTH.repeat(20));
    let another = within("an answer to somebody else", service.get("/health")).await;
    assert_eq!(another.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_for_a_websocket_elsewhere_changes_no_answer() {
    let service = impatient(&[]).await;
    let order = r#"{"show_id":"230920","user_id":1}"#;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let length = order.len();
    for (request, status) in [
        (
            format!("{ORDER_HEAD}{upgrade}Content-Length: {length}\r\n\r\n{order}"),
            202,
        ),
        (
            format!("{ORDER_HEAD}{upgrade}Content-Length: {length}\r\n\r\n{order}{HEALTH}"),
            202,
        ),
        (
            format!("{ORDER_HEAD}{upgrade}Content-Length: 2\r\n\r\n{{}}"),
            422,
        ),
        (format!("{ORDER_HEAD}{upgrade}\r\n"), 400),
        (
            format!(
                "{ORDER_HEAD}{upgrade}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            ),
            422,
        ),
        (
            format!("GET /health HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n"),
            200,
        ),
    ] {
        let mut client = Connection::open(&service.url);
        client.send(&request);
        let (head, body) = client.receive();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{request}: {head}{body}"
        );
        assert!(!body.contains("request_timeout"), "{request}: {body}");
    }
}
