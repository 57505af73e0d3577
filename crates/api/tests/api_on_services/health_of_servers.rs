//! Health while servers come and go.

use std::sync::Arc;
use std::time::Duration;

use api::application::Role;
use api::clock::SystemClock;
use port_contracts::within;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::services;
use tokio::time::sleep;

use crate::backend::Backend;
use crate::helpers::{Answer, TestService};

/// The answer of `path` that has this status.
async fn told(service: &TestService, path: &str, status: &str) -> Answer {
    within(status, async {
        loop {
            let answer = service.get(path).await;
            if answer.text("status") == status {
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

fn reason(answer: &Answer, name: &str) -> Option<String> {
    let dependencies = answer.body["dependencies"].as_array().unwrap();
    let one = dependencies.iter().find(|one| one["name"] == name);
    one.unwrap()["reason"].as_str().map(str::to_owned)
}

/// A start that has not ended is told from an outage that comes later.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_started_once_all_that_it_needs_was_up() {
    let backend = Backend::start().await;
    let proxy = TcpProxy::start(&host_and_port(&services::mysql_url()))
        .await
        .unwrap();
    let url = proxy.url(&backend.database().url());
    proxy.set(Weather::Down);
    let variables = [("APP__MYSQL__URL", url.as_str())];
    let service =
        TestService::by_clock(Arc::new(SystemClock), &backend, Role::All, &variables).await;
    let answer = service.get("/health/startup").await;
    assert_eq!(
        (answer.status, answer.text("status")),
        (503, "starting".into())
    );
    assert!(reason(&answer, "store").is_some(), "{:?}", answer.body);
    proxy.set(Weather::Fair);
    assert_eq!(
        told(&service, "/health/startup", "started").await.status,
        200
    );
    proxy.set(Weather::Down);
    proxy.cut();
    assert_eq!(
        told(&service, "/health/ready", "not_ready").await.status,
        503
    );
    let answer = service.get("/health/startup").await;
    assert_eq!(
        (answer.status, answer.text("status")),
        (200, "started".into())
    );
    let accept = "application/health+json";
    let request = service.request(Method::GET, "/health/ready");
    let answer = Answer::to(request.header("Accept", accept)).await;
    assert_eq!((answer.status, answer.text("status")), (503, "fail".into()));
    let check = &answer.body["checks"]["store:responseTime"][0];
    assert_eq!(check["status"], "fail");
    assert!(check["output"].is_string(), "{check}");
    proxy.set(Weather::Fair);
    told(&service, "/health/ready", "ready").await;
    service.stop().await.unwrap();
}

/// Its buyer waits for a verdict that does not come.
#[expect(clippy::disallowed_methods, reason = "the broker answers")]
#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_aside_is_said_until_somebody_does_something() {
    let backend = Backend::start().await;
    let service = TestService::on(&backend, Role::All, &[]).await;
    told(&service, "/health/ready", "ready").await;
    let management = services::rabbitmq_management_url();
    let prefix = backend.queue().as_str();
    let publish = format!("{management}/api/exchanges/%2F/amq.default/publish");
    let poison = json!({
        "properties": {"delivery_mode": 2},
        "routing_key": format!("{prefix}tickets.standard.0"),
        "payload": "no order",
        "payload_encoding": "string",
    });
    let client = Client::new();
    let put = client.post(publish).json(&poison).send().await.unwrap();
    let put: Value = put.json().await.unwrap();
    assert_eq!(put["routed"], true);
    let answer = told(&service, "/health/ready", "degraded").await;
    assert_eq!(answer.status, 200);
    let said = reason(&answer, "dead_letters").unwrap();
    assert!(
        said.starts_with("1 order was put aside undecided: `tickets dead-letters list`"),
        "{said}"
    );
    let request = service.request(Method::GET, "/health/ready");
    let answer = Answer::to(request.header("Accept", "application/health+json")).await;
    assert_eq!((answer.status, answer.text("status")), (200, "warn".into()));
    let check = &answer.body["checks"]["dead_letters:responseTime"][0];
    assert_eq!(check["status"], "warn");
    let purge = format!("{management}/api/queues/%2F/{prefix}tickets.dead/contents");
    let purged = client.delete(purge).send().await.unwrap();
    assert!(purged.status().is_success(), "{purged:?}");
    told(&service, "/health/ready", "ready").await;
    service.stop().await.unwrap();
}
