//! Traces, as a collector gets them.

use api::application::Role;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::collector::{Collector, Span, WAY, has, the};
use crate::helpers::{Answer, TestService};
use crate::live::{SseClient, WITH_RECEIPTS, WsClient, change, hold, order, receipt};
use crate::scraped::Scraped;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// With a show `held`, whose requests are sampled by the ratio.
async fn traced(collector: &Collector, ratio: &str, more: &[(&str, &str)]) -> TestService {
    let mut variables = Vec::from(collector.settings(ratio));
    variables.extend(WITH_RECEIPTS);
    variables.extend(more);
    let service = TestService::with(Role::All, &variables).await;
    service
        .create_show(json!({"id": "held", "title": "Held", "capacity": 1_000,
            "max_per_user": 1_000, "hold_seconds": 600}))
        .await;
    service
}

async fn asked(service: &TestService, parent: &str, order: Value) -> Answer {
    let request = service.request(Method::POST, "/tickets").json(&order);
    Answer::to(request.header("traceparent", parent)).await
}

/// The ids of trace and span that an answer has, and whether they are sampled.
fn told(answer: &Answer) -> (String, String, bool) {
    let parts: Vec<_> = answer.header("traceparent").split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    assert_eq!((*version, trace.len(), span.len()), ("00", 32, 16));
    assert!(["00", "01"].contains(flags), "{flags}");
    ((*trace).to_owned(), (*span).to_owned(), *flags == "01")
}

#[tokio::test]
async fn one_trace_shows_the_whole_way_of_an_order() {
    let collector = Collector::start(200).await;
    let service = traced(&collector, "0", &[]).await;
    let mut stream = SseClient::connect(&service, &receipt("x"), None).await;
    assert_eq!(stream.status().await.0, "processing");
    let request = service.request(Method::POST, "/tickets").json(&hold());
    let request = request.header("Idempotency-Key", "x");
    let answer = Answer::to(request.header("traceparent", traceparent("01"))).await;
    assert_eq!(answer.status, 202);
    let (trace, server, is_sampled) = told(&answer);
    assert_eq!((trace.as_str(), is_sampled), (TRACE, true));
    assert_eq!(stream.status().await.0, "reserved");
    // What becomes of the ticket later is not the order's trace.
    change(&service, &receipt("x"), "confirm").await;
    assert_eq!(stream.status().await.0, "confirmed");
    let spans = collector.trace_when(TRACE, has(&WAY)).await;
    assert_eq!(spans.len(), WAY.len(), "{spans:#?}");
    let [request, publish, wait, decide, announce, deliver] = WAY.map(|name| the(&spans, name));
    assert_eq!(request.id, server);
    assert!(spans.iter().all(|span| span.process == request.process));
    let parents = [
        (request, CALLER),
        (publish, &*request.id),
        (wait, &*publish.id),
        (decide, &*publish.id),
        (announce, &*decide.id),
        (deliver, &*announce.id),
    ];
    for (span, parent) in parents {
        assert_eq!(span.parent, parent, "{}", span.name);
        assert!(span.began <= span.ended);
    }
    let kinds = [request, publish, wait, decide].map(|span| span.kind);
    let expected = [
        SpanKind::Server,
        SpanKind::Producer,
        SpanKind::Consumer,
        SpanKind::Internal,
    ];
    assert_eq!(kinds, expected);
    let said = |span: &Span, name: &str| span.attributes.get(name).cloned().unwrap_or_default();
    assert_eq!(said(request, "http.route"), "/tickets");
    assert_eq!(said(request, "http.response.status_code"), "202");
    assert_eq!(said(decide, "tickets.batch_orders"), "1");
    assert_eq!(said(decide, "tickets.verdict"), "reserved");
    assert_eq!(said(decide, "tickets.result"), "first");
    assert_eq!(said(deliver, "network.protocol.name"), "sse");
    // The batch belongs to none of its orders.
    let spans = collector.spans().await;
    let batch = the(&spans, "decide batch");
    assert_eq!(
        (batch.parent.as_str(), &batch.links),
        ("", &vec![decide.id.clone()])
    );
    assert_eq!(decide.links, std::slice::from_ref(&batch.id));
    assert_ne!(batch.trace, TRACE);
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_websocket_and_a_rejection_are_seen_too() {
    let collector = Collector::start(200).await;
    let service = traced(&collector, "0", &[]).await;
    let mut client = WsClient::connect(&service).await;
    client.subscribe(&[&receipt("x")], &[]).await;
    assert_eq!(client.ticket().await["status"], "processing");
    service
        .patch("/shows/held", json!({"max_per_user": 1}))
        .await;
    let request = service.request(Method::POST, "/tickets");
    let request = request.json(&json!({"show_id": "held", "user_id": 1, "quantity": 2}));
    let request = request.header("Idempotency-Key", "x");
    let answer = Answer::to(request.header("traceparent", traceparent("01"))).await;
    assert_eq!(answer.status, 202);
    assert_eq!(client.ticket().await["status"], "rejected");
    let spans = collector.trace_when(TRACE, has(&WAY)).await;
    assert_eq!(
        the(&spans, "decide").attributes["tickets.reason"],
        "limit_exceeded"
    );
    assert_eq!(
        the(&spans, "deliver").attributes["network.protocol.name"],
        "websocket"
    );
    service.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_sampled_is_no_span() {
    let collector = Collector::start(200).await;
    let service = traced(&collector, "0", &[]).await;
    let unsampled = asked(&service, &traceparent("00"), hold()).await;
    let (trace, span, is_sampled) = told(&unsampled);
    assert_eq!((trace.as_str(), is_sampled), (TRACE, false));
    assert_ne!(span, CALLER);
    let is_told = |answer: &Answer| answer.headers.contains_key("traceparent");
    assert!(!is_told(&service.order(hold()).await));
    // What is no traceparent is skipped.
    for garbage in [
        "",
        "?",
        "00-0-0-01",
        &traceparent("01")[1..],
        &traceparent("0x"),
    ] {
        assert!(
            !is_told(&asked(&service, garbage, hold()).await),
            "{garbage}"
        );
    }
    let two = service.request(Method::GET, "/health");
    let two = two.header("traceparent", traceparent("01"));
    assert!(!is_told(
        &Answer::to(two.header("traceparent", traceparent("01"))).await
    ));
    let last = service.request(Method::GET, "/shows/held");
    let last = told(&Answer::to(last.header("traceparent", traceparent("01"))).await);
    let spans = collector.trace_when(TRACE, has(&["GET /shows/{id}"])).await;
    assert_eq!(the(&spans, "GET /shows/{id}").id, last.1);
    service.stop().await.unwrap();
    assert_eq!(collector.spans().await.len(), 1);
}

#[tokio::test]
async fn all_is_sampled_if_the_ratio_says_so_and_the_caller_does_not_object() {
    let collector = Collector::start(200).await;
    let service = traced(&collector, "1", &[]).await;
    let order = service.order(hold()).await;
    let (trace, span, is_sampled) = told(&order);
    assert!(is_sampled);
    let spans = collector
        .trace_when(&trace, has(&["POST /tickets", "announce"]))
        .await;
    let request = the(&spans, "POST /tickets");
    assert_eq!((&request.id, request.parent.as_str()), (&span, ""));
    let (_, _, is_sampled) = told(&asked(&service, &traceparent("00"), hold()).await);
    assert!(!is_sampled);
    // A refusal is a span, and its route's path is not what the client wrote.
    let answer = service.get("/shows/none-of-this").await;
    let spans = collector
        .trace_when(&told(&answer).0, has(&["GET /shows/{id}"]))
        .await;
    let status = &spans[0].attributes["http.response.status_code"];
    assert_eq!(status, "404");
    let answer = service.get("/what/a/path").await;
    collector.trace_when(&told(&answer).0, has(&["GET"])).await;
    service.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_is_told_of_a_trace_while_tracing_is_off() {
    let service = TestService::start().await;
    let answer = asked(&service, &traceparent("01"), order()).await;
    assert_eq!(answer.status, 202);
    assert!(!answer.headers.contains_key("traceparent"));
}

#[tokio::test]
async fn no_span_has_what_concerns_a_person() {
    const TOKEN: &str = "administration's token in this test";
    let collector = Collector::start(200).await;
    let mut variables = Vec::from(collector.settings("1"));
    variables.push(("APP__ADMIN__TOKEN", TOKEN));
    let service = TestService::with(Role::All, &variables).await;
    service.create_user_by(TOKEN, "user-of-this-test").await;
    let show = json!({"id": "show-of-this-test", "title": "x", "capacity": 9});
    let created = service.request(Method::POST, "/shows").bearer_auth(TOKEN);
    assert_eq!(Answer::to(created.json(&show)).await.status, 201);
    let order = json!({"show_id": "show-of-this-test", "user_id": "user-of-this-test"});
    let request = service.request(Method::POST, "/tickets?x=query-of-this-test");
    let request = request.header("Idempotency-Key", "key-of-this-test");
    let request = request.header("User-Agent", "agent-of-this-test");
    let placed = Answer::to(request.json(&order)).await;
    assert_eq!(placed.status, 202, "{:?}", placed.body);
    let id = placed.text("ticket_id");
    service.decided(&id).await;
    service.get("/tickets?user_id=user-of-this-test").await;
    let last = service.get("/users/user-of-this-test").await;
    collector
        .trace_when(&told(&last).0, |spans| !spans.is_empty())
        .await;
    service.stop().await.unwrap();
    let spans = collector.spans().await;
    the(&spans, "decide");
    let bytes = collector.bytes().await;
    for secret in ["of-this-test", &id, TOKEN, "127.0.0.1"] {
        let is_there = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!is_there, "{secret}");
    }
}

/// Neither does the stop wait for it longer than for the last spans.
#[tokio::test]
async fn a_collector_that_fails_changes_nothing() {
    let silent = Collector::start(0).await;
    let another = Collector::start(200).await;
    for (collector, loses) in [
        // Keys for the one are not for the other.
        (Collector::leading_to(&another).await, true),
        (Collector::absent(), true),
        (Collector::start(500).await, true),
        (silent, false),
    ] {
        let service = traced(&collector, "1", &[("APP__METRICS__PORT", "0")]).await;
        for _ in 0..20 {
            let order = service.order(hold()).await;
            assert_eq!(order.status, 202);
            let id = order.text("ticket_id");
            assert_eq!(service.decided(&id).await["status"], "reserved");
        }
        let dropped = |it: &Scraped| it.sum("tickets_trace_spans_dropped_total", &[]);
        Scraped::when(&service, |it| !loses || dropped(it) > 0.0).await;
        service.stop().await.unwrap();
    }
    assert!(another.bytes().await.is_empty());
}
