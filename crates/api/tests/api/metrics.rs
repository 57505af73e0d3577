//! What Prometheus reads of a process, beside what its clients were told.

use std::io::Write;
use std::process::{Command, Stdio};

use api::application::Role;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::{Answer, TestService};
use crate::identity::{buyer, claims, guarded, post, seconds, signed};
use crate::live::{SseClient, WsClient, within};
use crate::scraped::{Scraped, answer, ask};
use crate::tls::TestCertificate;

const ON: (&str, &str) = ("APP__METRICS__PORT", "0");

/// What dashboards and alerts go by.
const NAMES: [&str; 38] = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "tickets_batch_orders_bucket",
    "tickets_batch_orders_count",
    "tickets_batch_orders_sum",
    "tickets_build_info",
    "tickets_changes_total",
    "tickets_closed_gates",
    "tickets_dead_letters",
    "tickets_decisions_total",
    "tickets_held_lanes",
    "tickets_http_request_seconds_bucket",
    "tickets_http_request_seconds_count",
    "tickets_http_request_seconds_sum",
    "tickets_http_requests_total",
    "tickets_lane_owned",
    "tickets_limits_hit_total",
    "tickets_live_connections",
    "tickets_live_connections_closed_total",
    "tickets_oldest_undecided_seconds",
    "tickets_orders_total",
    "tickets_publish_seconds_bucket",
    "tickets_publish_seconds_count",
    "tickets_publish_seconds_sum",
    "tickets_runtime_busy_seconds_total",
    "tickets_runtime_tasks",
    "tickets_runtime_threads",
    "tickets_store_seconds_bucket",
    "tickets_store_seconds_count",
    "tickets_store_seconds_sum",
    "tickets_time_to_verdict_seconds_bucket",
    "tickets_time_to_verdict_seconds_count",
    "tickets_time_to_verdict_seconds_sum",
    "tickets_waiting_orders",
];

fn order() -> Value {
    json!({"show_id": "club", "user_id": 1})
}

async fn measured(more: &[(&str, &str)]) -> TestService {
    let mut variables = vec![ON];
    variables.extend(more);
    TestService::with(Role::All, &variables).await
}

fn assert_has_all(scraped: &Scraped) {
    for name in NAMES {
        // Only what is limited can be hit.
        let limit = [("limit", "wrong_ids_per_address")];
        let labels: &[_] = if name == "tickets_limits_hit_total" {
            &limit
        } else {
            &[]
        };
        assert!(!scraped.all(name, labels).is_empty(), "{name}");
    }
}

/// Nothing waits any more.
fn is_decided(scraped: &Scraped) -> bool {
    scraped.sum("tickets_waiting_orders", &[]) == 0.0
        && scraped.sum("tickets_oldest_undecided_seconds", &[]) == 0.0
}

/// Sells two seats to more who want one, and says how many orders were accepted. One was replayed,
/// one was not valid, and the gate refused one.
async fn sell(service: &TestService) -> f64 {
    let club = json!({"id": "club", "title": "Club", "capacity": 2, "max_per_user": 9});
    service.create_show(club).await;
    let mut accepted = 0;
    for number in 0..5 {
        // With a key no order is refused by the gate.
        let ordered = service.keyed(&format!("key-{number}"), order()).await;
        assert_eq!(ordered.status, 202, "{}", ordered.body);
        accepted += 1;
        service.decided(&ordered.text("ticket_id")).await;
    }
    let again = service.keyed("key-1", order()).await;
    assert_eq!(again.status, 200);
    service
        .order(json!({}))
        .await
        .assert_problem(422, "invalid_fields");
    Scraped::when(service, |scraped| {
        scraped.sum("tickets_closed_gates", &[]) == 1.0
    })
    .await;
    // The gate closes when it is verified.
    let mut unkeyed = service.order(order()).await;
    while unkeyed.status == 202 {
        accepted += 1;
        unkeyed = service.order(order()).await;
    }
    unkeyed.assert_problem(409, "sold_out");
    f64::from(accepted)
}

#[tokio::test]
async fn a_sale_is_told_as_its_clients_saw_it() {
    let service = measured(&[]).await;
    let results = |it: &Scraped| {
        let results = it.values("tickets_orders_total", "result").into_iter();
        results.map(str::to_owned).collect::<Vec<_>>()
    };
    // What has no series yet does not increase when it comes for the first time.
    let from_the_start = results(&Scraped::of(&service).await);
    assert!(from_the_start.contains(&"queue_unavailable".to_owned()));
    let accepted = sell(&service).await;
    let scraped = Scraped::when(&service, |scraped| {
        let decisions = scraped.sum("tickets_decisions_total", &[]);
        decisions == accepted && is_decided(scraped)
    })
    .await;
    assert_eq!(results(&scraped), from_the_start);
    let orders = |result| scraped.sum("tickets_orders_total", &[("result", result)]);
    assert_eq!(orders("accepted"), accepted);
    let others = ["replayed", "invalid_fields", "sold_out"].map(orders);
    assert_eq!(others, [1.0; 3]);
    let decisions = |labels: &[_]| scraped.sum("tickets_decisions_total", labels);
    assert_eq!(decisions(&[("status", "confirmed")]), 2.0);
    let rejected = [("status", "rejected"), ("reason", "sold_out")];
    assert_eq!(decisions(&rejected), accepted - 2.0);
    assert_eq!(decisions(&[]), accepted);
    for (name, count) in [
        ("tickets_time_to_verdict_seconds_count", accepted),
        ("tickets_publish_seconds_count", accepted),
        ("tickets_batch_orders_sum", accepted),
        ("tickets_dead_letters", 0.0),
        ("tickets_lane_owned", 4.0),
        ("tickets_held_lanes", 4.0),
        ("tickets_build_info", 1.0),
        ("tickets_live_connections", 0.0),
    ] {
        assert_eq!(scraped.sum(name, &[]), count, "{name}");
    }
    let decided = scraped.sum("tickets_store_seconds_count", &[("operation", "decide")]);
    assert_eq!(decided, scraped.sum("tickets_batch_orders_count", &[]));
    for operation in ["beat", "take_lane", "read_claims"] {
        let taken = scraped.sum("tickets_store_seconds_count", &[("operation", operation)]);
        assert!(taken > 0.0, "{operation}");
    }
    let answered = |status| {
        let labels = [
            ("route", "/tickets"),
            ("method", "POST"),
            ("status", status),
        ];
        scraped.sum("tickets_http_requests_total", &labels)
    };
    assert_eq!(
        ["202", "200", "422", "409"].map(answered),
        [accepted, 1.0, 1.0, 1.0]
    );
    let ordering = [("route", "/tickets"), ("method", "POST")];
    let timed = scraped.sum("tickets_http_request_seconds_count", &ordering);
    assert_eq!(timed, accepted + 3.0);
    assert_has_all(&scraped);
    for name in ["process_resident_memory_bytes", "process_open_fds"] {
        assert!(scraped.sum(name, &[]) > 0.0, "{name}");
    }
    for runtime in ["main", "http"] {
        let threads = scraped.sum("tickets_runtime_threads", &[("runtime", runtime)]);
        assert!(threads > 0.0, "{runtime}");
    }
    service.stop().await.unwrap();
}

/// Of a client's making there is no label.
#[tokio::test]
async fn what_clients_make_up_is_in_no_label() {
    let service = measured(&[]).await;
    for number in 0..20 {
        let unknown = service.get(&format!("/made-up-{number}")).await;
        unknown.assert_problem(404, "route_not_found");
        service.get(&format!("/tickets/made-up-{number}")).await;
        let method = Method::from_bytes(format!("MADEUP{number}").as_bytes()).unwrap();
        let odd = Answer::to(service.request(method, "/tickets")).await;
        odd.assert_problem(405, "method_not_allowed");
    }
    let scraped = Scraped::of(&service).await;
    assert!(
        !scraped.text.to_lowercase().contains("made"),
        "{}",
        scraped.text
    );
    let name = "tickets_http_requests_total";
    let count = |labels: &[_]| scraped.sum(name, labels);
    assert_eq!(count(&[("route", "none"), ("status", "404")]), 20.0);
    let odd = [
        ("route", "/tickets"),
        ("method", "other"),
        ("status", "405"),
    ];
    assert_eq!(count(&odd), 20.0);
    let found = [
        ("route", "/tickets/{id}"),
        ("method", "GET"),
        ("status", "400"),
    ];
    assert_eq!(count(&found), 20.0);
    let routes: Vec<_> = http_api::routes().iter().map(|route| route.path).collect();
    let mut named = scraped.values(name, "route");
    assert!(named.remove("none"));
    assert!(named.iter().all(|path| routes.contains(path)), "{named:?}");
}

/// Whoever may order needs not know how the sale goes.
#[tokio::test]
async fn metrics_are_read_at_an_address_of_their_own() {
    let service = measured(&[]).await;
    assert!(service.metrics.unwrap().ip().is_loopback());
    let public = service.get("/metrics").await;
    public.assert_problem(404, "route_not_found");
    for path in ["/", "/metrics/", "/shows", "/health"] {
        assert_eq!(answer(&service, path).await.status(), 404, "{path}");
    }
    let listener = service.metrics.unwrap();
    for method in [Method::POST, Method::HEAD, Method::DELETE] {
        let refused = ask(listener, method, "/metrics").await.unwrap();
        assert_eq!(refused.status(), 405);
        assert_eq!(refused.headers()["allow"], "GET");
    }
    service.stop().await.unwrap();
    let gone = ask(listener, Method::GET, "/metrics").await;
    gone.unwrap_err();
    // As all other tests have it.
    assert_eq!(TestService::start().await.metrics, None);
}

/// An attack that no route sees is seen here.
#[tokio::test]
async fn what_cannot_be_read_as_a_request_is_counted() {
    let service = measured(&[]).await;
    let address = service.url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET\r\n\r\n").await.unwrap();
    let mut told = String::new();
    let told_all = connection.read_to_string(&mut told);
    within("the end", told_all).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
    let labels = [("route", "none"), ("method", "other"), ("status", "400")];
    let scraped = Scraped::when(&service, |it| {
        it.sum("tickets_http_requests_total", &labels) > 0.0
    });
    assert_eq!(
        scraped.await.sum("tickets_http_requests_total", &labels),
        1.0
    );
    service.stop().await.unwrap();
}

/// Who asks again and again without reading would keep the others out.
#[tokio::test]
async fn a_connection_is_for_one_reading() {
    let service = measured(&[]).await;
    let mut connection = TcpStream::connect(service.metrics.unwrap()).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut told = String::new();
    let told_all = connection.read_to_string(&mut told);
    within("the end", told_all).await.unwrap();
    assert_eq!(told.matches("HTTP/1.1 200 OK").count(), 1);
    service.stop().await.unwrap();
}

#[tokio::test]
async fn live_connections_are_counted_by_kind_and_by_why_they_were_closed() {
    let service = measured(&[]).await;
    let id = service
        .placed(json!({"show_id": "230920", "user_id": 1}))
        .await;
    service.decided(&id).await;
    let open =
        |kind| move |scraped: &Scraped| scraped.sum("tickets_live_connections", &[("kind", kind)]);
    let (websockets, streams) = (open("websocket"), open("event_stream"));
    let mut first = WsClient::connect(&service).await;
    let second = WsClient::connect(&service).await;
    // A confirmed ticket can still change.
    let stream = SseClient::connect(&service, &id, None).await;
    Scraped::when(&service, |it| (websockets(it), streams(it)) == (2.0, 1.0)).await;
    first.say_anything(&"x".repeat(100_000)).await;
    assert_eq!(first.closing().await.0, "message_too_large");
    drop((second, stream));
    let scraped = Scraped::when(&service, |it| (websockets(it), streams(it)) == (0.0, 0.0)).await;
    let closed = |labels: &[_]| scraped.sum("tickets_live_connections_closed_total", labels);
    assert_eq!(closed(&[("code", "message_too_large")]), 1.0);
    assert_eq!(closed(&[]), 1.0, "who goes is not closed");
}

/// Of the one that new connections get.
#[tokio::test]
async fn the_end_of_the_certificate_is_told_and_follows_its_renewal() {
    let mut certificate = TestCertificate::new();
    let variables = certificate.variables("on");
    let variables = variables.iter().map(|(name, value)| (&**name, &**value));
    let service = measured(&variables.collect::<Vec<_>>()).await;
    let ends = |it: &Scraped| it.all("tickets_certificate_not_after_timestamp_seconds", &[]);
    let far = ends(&Scraped::of(&service).await);
    certificate.renew_until(2030);
    let scraped = Scraped::when(&service, |it| ends(it) != far).await;
    assert_eq!(ends(&scraped), [1_893_456_000.0]);
    // Without HTTPS there is none.
    assert!(ends(&Scraped::of(&measured(&[]).await).await).is_empty());
}

#[tokio::test]
async fn limits_and_tokens_are_counted_by_what_came_of_them() {
    let service = guarded(&[ON, ("APP__LIMITS__ORDERS_PER_USER", "1/h")]).await;
    let order = || json!({"show_id": "230920"});
    let token = buyer("1");
    assert_eq!(
        post(&service, &token, "/tickets", order()).await.status,
        202
    );
    let limited = post(&service, &token, "/tickets", order()).await;
    limited.assert_problem(429, "rate_limited");
    let mut expired = claims("1", "");
    expired["exp"] = json!(seconds() - 1_000);
    for token in ["nonsense", &signed(&expired), ""] {
        let refused = post(&service, token, "/tickets", order()).await;
        refused.assert_problem(401, "unauthorized");
    }
    let scraped = Scraped::of(&service).await;
    let checks = |result| scraped.sum("tickets_token_checks_total", &[("result", result)]);
    let results = ["verified", "known", "malformed", "expired", "signature"];
    assert_eq!(results.map(checks), [1.0, 1.0, 1.0, 1.0, 0.0]);
    let hits = |limit| scraped.sum("tickets_limits_hit_total", &[("limit", limit)]);
    assert_eq!(hits("orders_per_user"), 1.0);
    assert_eq!(hits("wrong_ids_per_address"), 0.0);
    let orders = |result| scraped.sum("tickets_orders_total", &[("result", result)]);
    let results = ["accepted", "rate_limited", "unauthorized"];
    assert_eq!(results.map(orders), [1.0, 1.0, 3.0]);
}

/// Refused before routes are looked for, it is an order all the same.
#[tokio::test]
async fn an_order_that_is_not_let_in_is_counted() {
    let service = measured(&[("APP__LIMITS__ORDERS_PER_ADDRESS", "1/h")]).await;
    let order = json!({"show_id": "230920", "user_id": 1});
    assert_eq!(service.order(order.clone()).await.status, 202);
    service
        .order(order)
        .await
        .assert_problem(429, "rate_limited");
    let scraped = Scraped::of(&service).await;
    let limited = [("result", "rate_limited")];
    assert_eq!(scraped.sum("tickets_orders_total", &limited), 1.0);
    let hit = [("limit", "orders_per_address")];
    assert_eq!(scraped.sum("tickets_limits_hit_total", &hit), 1.0);
}

/// `PROMTOOL`, or the one in `PATH`.
#[tokio::test]
async fn promtool_has_nothing_to_say() {
    let service = guarded(&[ON]).await;
    let token = buyer("1");
    post(&service, &token, "/tickets", json!({"show_id": "230920"})).await;
    let text = Scraped::of(&service).await.text;
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let started = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut started = started.unwrap_or_else(|error| {
        panic!("{promtool}: {error}. `make prometheus` installs Debian's as root, or set PROMTOOL")
    });
    started
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = started.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
