//! One trace across processes.

use std::collections::BTreeSet;

use api::application::Role;
use reqwest::Method;
use serde_json::json;
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::services;

use crate::backend::Backend;
use crate::collector::{Collector, Span, WAY, has, the};
use crate::helpers::{Answer, SHOW, TestService};
use crate::live::{SseClient, WITH_RECEIPTS, receipt};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The demo user's order, which its client traces.
async fn placed(service: &TestService, key: &str, trace: &str) {
    let request = service.request(Method::POST, "/tickets");
    let request = request.json(&json!({"show_id": SHOW, "user_id": 1}));
    let request = request.header("Idempotency-Key", key);
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = Answer::to(request.header("traceparent", parent)).await;
    assert_eq!(answer.status, 202, "{:?}", answer.body);
}

fn named<'a>(spans: &'a [Span], name: &'a str) -> impl Iterator<Item = &'a Span> {
    spans.iter().filter(move |span| span.name == name)
}

fn processes<'a>(spans: impl Iterator<Item = &'a Span>) -> BTreeSet<&'a str> {
    spans.map(|span| span.process.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_in_each_process_also_when_another_worker_takes_over() {
    let (backend, collector) = (Backend::start().await, Collector::start(200).await);
    let mut variables = Vec::from(collector.settings("0"));
    variables.extend(WITH_RECEIPTS);
    variables.push(("APP__STORE__SEED_DEMO", "true"));
    let taking = TestService::on(&backend, Role::Api, &variables).await;
    let telling = TestService::on(&backend, Role::Api, &variables).await;
    let address = host_and_port(&services::mysql_url());
    let mysql = TcpProxy::start(&address).await.unwrap();
    let url = mysql.url(&backend.database().url());
    let mut of_first = variables.clone();
    of_first.push(("APP__MYSQL__URL", &url));
    let first = TestService::on(&backend, Role::Worker, &of_first).await;

    let mut stream = SseClient::connect(&telling, &receipt("a"), None).await;
    assert_eq!(stream.status().await.0, "processing");
    placed(&taking, "a", TRACE).await;
    assert_eq!(stream.status().await.0, "confirmed");
    let spans = collector.trace_when(TRACE, has(&WAY)).await;
    assert_eq!(spans.len(), WAY.len(), "{spans:#?}");
    let [request, publish, wait, decide, announce, deliver] = WAY.map(|name| the(&spans, name));
    let parents = [
        (publish, request),
        (wait, publish),
        (decide, publish),
        (announce, decide),
        (deliver, announce),
    ];
    for (span, parent) in parents {
        assert_eq!(span.parent, parent.id, "{}", span.name);
    }
    let sides = [&request.process, &decide.process, &deliver.process];
    assert_eq!(sides.iter().collect::<BTreeSet<_>>().len(), sides.len());
    assert_eq!(publish.process, request.process);
    assert_eq!(
        (&wait.process, &announce.process),
        (&decide.process, &decide.process)
    );

    // The first worker gets the order and cannot decide it: another one gets it again.
    let trace = TRACE.replace('0', "1");
    let mut stream = SseClient::connect(&telling, &receipt("b"), None).await;
    assert_eq!(stream.status().await.0, "processing");
    mysql.set(Weather::Down);
    mysql.cut();
    placed(&taking, "b", &trace).await;
    let has_failed = |spans: &[Span]| {
        named(spans, "decide").any(|span| span.attributes.contains_key("error.type"))
    };
    collector.trace_when(&trace, has_failed).await;
    let second = TestService::on(&backend, Role::Worker, &variables).await;
    assert_eq!(stream.status().await.0, "confirmed");
    let is_whole =
        |spans: &[Span]| has(&WAY)(spans) && processes(named(spans, "decide")).len() == 2;
    let spans = collector.trace_when(&trace, is_whole).await;
    assert_eq!(processes(named(&spans, "wait")).len(), 2);
    let (publish, announce) = (the(&spans, "publish"), the(&spans, "announce"));
    let mut decided = named(&spans, "decide").filter(|span| span.id == announce.parent);
    let decided = decided.next().unwrap();
    assert_eq!(decided.attributes["tickets.result"], "first");
    let failed = named(&spans, "decide").find(|span| span.id != decided.id);
    let failed = failed.unwrap();
    assert_eq!(failed.attributes["error.type"], "store_unavailable");
    assert_ne!(failed.process, decided.process);
    for span in named(&spans, "wait").chain(named(&spans, "decide")) {
        assert_eq!(span.parent, publish.id);
    }
    assert_eq!(the(&spans, "deliver").parent, announce.id);
    mysql.set(Weather::Fair);
    for service in [taking, telling, first, second] {
        service.stop().await.unwrap();
    }
}
