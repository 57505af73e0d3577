//! Requests of which two servers in a row would see different ends. What is not clear is refused,
//! and with it all that follows on the connection.

use crate::helpers::{SHOW, TestService};
use crate::raw::Connection;

/// What an attacker hides in the body of his request. Only its answer has a `capacity`.
const HIDDEN: &str = "GET /shows/230920 HTTP/1.1\r\nHost: x\r\n\r\n";
/// Behind it, so that the connection ends if it is not refused.
const LAST: &str = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// The statuses that are answered to the bytes, until the connection's end.
fn heard(service: &TestService, bytes: &[u8]) -> (Vec<u16>, String) {
    let mut connection = Connection::open(&service.url);
    connection.try_send(bytes);
    let heard = connection.until_closed();
    let heads = heard.match_indices("HTTP/1.1 ");
    let statuses = heads.map(|(at, begin)| heard[at + begin.len()..][..3].parse().unwrap());
    (statuses.collect(), heard)
}

fn order(headers: &str, body: &str) -> String {
    format!(
        "POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

fn of_two_lengths() -> Vec<String> {
    let length = HIDDEN.len();
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let te = "Transfer-Encoding: chunked\r\n";
    let both = chunked.len();
    let mut shapes = vec![
        order(&format!("Content-Length: {both}\r\n{te}"), &chunked),
        order(&format!("{te}Content-Length: {both}\r\n"), &chunked),
        order(&format!("Content-Length: 0\r\n{te}"), &chunked),
        order(
            &format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
            HIDDEN,
        ),
        order(
            &format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
            HIDDEN,
        ),
        order(
            &format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
            HIDDEN,
        ),
    ];
    for value in [
        format!("0, {length}"),
        format!("{length}, {length}"),
        format!("+{length}"),
        format!("-{length}"),
        format!("0x{length:x}"),
        format!("{length}.0"),
        format!("0 {length}"),
        format!("\u{b}{length}"),
        "18446744073709551616".to_owned(),
        String::new(),
    ] {
        shapes.push(order(&format!("Content-Length: {value}\r\n"), HIDDEN));
    }
    shapes
}

fn of_strange_codings() -> Vec<String> {
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let length = format!("Content-Length: {}\r\n", chunked.len());
    let mut shapes = Vec::new();
    for coding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\r\n\tTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\0Transfer-Encoding: chunked",
        "Transfer\u{a0}Encoding: chunked",
        ": chunked",
        "Transfer-Encoding chunked",
        "Host: y",
    ] {
        shapes.push(order(&format!("{coding}\r\n{length}"), &chunked));
        shapes.push(order(&format!("{length}{coding}\r\n"), &chunked));
    }
    let old = order("Transfer-Encoding: chunked\r\n", &chunked).replace("/1.1", "/1.0");
    shapes.push(old);
    for line in [
        "POST  /tickets HTTP/1.1",
        "POST /tickets HTTP/1.2",
        "POST /tickets HTTP/2.0",
        "POST /tickets  HTTP/1.1",
        "POST /tic kets HTTP/1.1",
        "POST /tickets",
        "POST /tickets\rHTTP/1.1",
        "P\u{0}ST /tickets HTTP/1.1",
    ] {
        let whole = order(&length, &chunked);
        shapes.push(whole.replacen("POST /tickets HTTP/1.1", line, 1));
    }
    shapes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_end_is_not_clear_is_refused_with_all_that_follows() {
    let service = TestService::start().await;
    for shape in of_two_lengths().into_iter().chain(of_strange_codings()) {
        let (statuses, heard) = heard(&service, format!("{shape}{LAST}").as_bytes());
        assert_eq!(statuses, [400], "{shape:?}: {heard}");
    }
    assert_nothing_sold(&service).await;
}

/// A chunk that lies about its size, or whose size could be read in two ways. By then the request
/// itself is clear, so it has an answer; nothing behind the fault has one.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_chunk_that_is_not_clear_nothing_is_read() {
    let service = TestService::start().await;
    let body = r#"{"show_id":"230920","user_id":1}"#;
    let length = body.len();
    for chunks in [
        format!("{length:x}\r\n{body}X\r\n0\r\n\r\n"),
        format!("{:x}\r\n{body}\r\n0\r\n\r\n", length - 1),
        format!("0x{length:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("+{length:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("-1\r\n{body}\r\n0\r\n\r\n"),
        format!("{length:x} 0\r\n{body}\r\n0\r\n\r\n"),
        format!("1{:016x}\r\n{body}\r\n0\r\n\r\n", length),
        format!("{length:x};\r\r\n{body}\r\n0\r\n\r\n"),
        format!("{length:x};a\nb\r\n{body}\r\n0\r\n\r\n"),
        format!("{length:x}\n{body}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{body}\n0\r\n\r\n"),
        format!("{length:x}\r\n{body}\r\nz\r\n\r\n"),
        format!("\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let shape = order("Transfer-Encoding: chunked\r\n", &chunks);
        let (statuses, heard) = heard(&service, format!("{shape}{HIDDEN}{LAST}").as_bytes());
        assert_eq!(statuses, [400], "{chunks:?}: {heard}");
    }
    assert_nothing_sold(&service).await;
}

/// What has one meaning is one request, whatever its body looks like.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_looks_like_a_request_is_a_body() {
    let service = TestService::start().await;
    let length = HIDDEN.len();
    let sized = format!("Content-Length: {length}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunks = format!("{length:x};a=b\r\n{HIDDEN}\r\n0\r\n\r\n");
    let get = |path: &str, headers: &str, body: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}")
    };
    for (shape, status) in [
        (order(&sized, HIDDEN), 400),
        (order(chunked, &chunks), 400),
        (order("tRANSFER-eNCODING: cHUNKED\r\n", &chunks), 400),
        (get("/health", &sized, HIDDEN), 200),
        (get("/health", chunked, &chunks), 200),
        (get("/none", &sized, HIDDEN), 404),
        // Lines that end with a bare LF: no line of it is read as two, or two as one.
        (order(&sized, HIDDEN).replacen("\r\n", "\n", 4), 400),
    ] {
        let (statuses, heard) = heard(&service, format!("{shape}{LAST}").as_bytes());
        assert!(
            statuses[0] == status && statuses[1..].iter().all(|last| *last == 200),
            "{shape:?}: {heard}"
        );
        assert!(
            statuses.len() <= 2 && !heard.contains("capacity"),
            "{shape:?}: {heard}"
        );
    }
    // Without a length there is no body: these are two requests, and three answers.
    let two = order("", HIDDEN);
    let (statuses, heard) = heard(&service, format!("{two}{LAST}").as_bytes());
    assert_eq!(statuses, [400, 200, 200], "{heard}");
    assert!(heard.contains("capacity"), "{heard}");
    assert_nothing_sold(&service).await;
}

async fn assert_nothing_sold(service: &TestService) {
    let show = service.get(&format!("/shows/{SHOW}")).await;
    assert_eq!(show.body["available"], show.body["capacity"]);
}
