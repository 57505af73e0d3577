//! Notifications across processes, and while broker or store cannot be reached.

use std::time::Instant;

use api::application::Role;
use port_contracts::measured;
use serde_json::json;
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::services;

use crate::backend::Backend;
use crate::helpers::{SHOW, TestService};
use crate::live::{SseClient, WsClient, change, hold};

/// The outcome is what these tests wait for.
const READS_IN_TIME: (&str, &str) = ("APP__STORE__READ_TIMEOUT_MS", "3000");

/// Takes orders and decides them, with a show `held`.
async fn seller(backend: &Backend) -> TestService {
    let demo = [("APP__STORE__SEED_DEMO", "true")];
    let seller = TestService::on(backend, Role::All, &demo).await;
    seller
        .create_show(json!({"id": "held", "title": "Held", "capacity": 1_000,
            "max_per_user": 1_000, "hold_seconds": 600}))
        .await;
    seller
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_heard_on_another_process_than_the_one_that_took_the_orders() {
    const ORDERS: usize = 50;
    let backend = Backend::start().await;
    let demo = [("APP__STORE__SEED_DEMO", "true")];
    let taking = TestService::on(&backend, Role::Api, &demo).await;
    let telling = TestService::on(&backend, Role::Api, &[]).await;
    let mut ids = Vec::new();
    for _ in 0..ORDERS {
        let order = json!({"show_id": SHOW, "user_id": 1, "quantity": 1});
        ids.push(taking.placed(order).await);
    }
    let mut client = WsClient::connect(&telling).await;
    let all: Vec<_> = ids.iter().map(String::as_str).collect();
    client.subscribe(&all, &[]).await;
    for _ in 0..ORDERS {
        assert_eq!(client.ticket().await["status"], "processing");
    }
    let workers = [
        TestService::on(&backend, Role::Worker, &[]).await,
        TestService::on(&backend, Role::Worker, &[]).await,
    ];
    let mut told = Vec::new();
    for _ in 0..ORDERS {
        let ticket = client.ticket().await;
        assert_eq!(ticket["ticket_version"], 1);
        told.push(ticket["ticket_id"].as_str().unwrap().to_owned());
    }
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
    for service in [taking, telling].into_iter().chain(workers) {
        service.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_while_the_broker_is_unreachable_is_told_all_the_same() {
    let backend = Backend::start().await;
    let proxy = TcpProxy::start(&host_and_port(&services::rabbitmq_url()))
        .await
        .unwrap();
    let url = proxy.url(&services::rabbitmq_url());
    let seller = seller(&backend).await;
    let telling = TestService::on(&backend, Role::Api, &[("APP__RABBITMQ__URL", &url)]).await;
    let id = seller.placed(hold()).await;
    seller.decided(&id).await;
    let mut client = WsClient::connect(&telling).await;
    client.subscribe(&[&id], &["held"]).await;
    // In either order: the show's reservation may be announced just now.
    for _ in 0..2 {
        client.hear().await;
    }
    proxy.set(Weather::Down);
    proxy.cut();
    change(&seller, &id, "confirm").await;
    let started = Instant::now();
    let mut told = [client.hear().await, client.hear().await];
    measured("missed announcement told", started.elapsed());
    told.sort_by_key(|message| message["type"].to_string());
    assert_eq!(told[0]["show"]["sold"], 1);
    assert_eq!(told[1]["ticket"]["status"], "confirmed");
    // And as soon as it can be reached, announcements are heard again.
    proxy.set(Weather::Fair);
    change(&seller, &id, "cancel").await;
    assert_eq!(client.ticket().await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_unreachable_clients_are_told_so_and_the_state_follows() {
    let backend = Backend::start().await;
    let proxy = TcpProxy::start(&host_and_port(&services::mysql_url()))
        .await
        .unwrap();
    let url = proxy.url(&backend.database().url());
    let seller = seller(&backend).await;
    let variables = [("APP__MYSQL__URL", &*url), READS_IN_TIME];
    let telling = TestService::on(&backend, Role::Api, &variables).await;
    let id = seller.placed(hold()).await;
    seller.decided(&id).await;
    let mut client = WsClient::connect(&telling).await;
    proxy.set(Weather::Down);
    proxy.cut();
    let unknown = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    // A show that nobody orders: nothing is announced about it.
    client.subscribe(&[&id, unknown], &[SHOW, "nowhere"]).await;
    // The reservation may be announced just now.
    while client.hear().await["code"] != "store_unavailable" {}
    let mut stream = SseClient::connect(&telling, &id, None).await;
    while stream.hear().await.unwrap().1["code"] != "store_unavailable" {}
    // What is announced is heard in the meantime.
    change(&seller, &id, "confirm").await;
    while client.ticket().await["status"] != "confirmed" {}
    while stream.status().await.0 != "confirmed" {}
    // No store is needed to know that nobody issued an id.
    let refused = telling.get(&format!("/tickets/{unknown}/events")).await;
    refused.assert_problem(404, "ticket_not_found");
    let restored = Instant::now();
    proxy.set(Weather::Fair);
    let mut told: Vec<_> = Vec::new();
    for _ in 0..2 {
        let message = client.hear().await;
        let what = message.get("code").or(message.get("type")).unwrap();
        told.push(what.as_str().unwrap().to_owned());
    }
    told.sort();
    assert_eq!(told, ["show", "show_not_found"]);
    measured("state told by a restored store", restored.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_faster_than_the_store_answers_waits() {
    let backend = Backend::start().await;
    let proxy = TcpProxy::start(&host_and_port(&services::mysql_url()))
        .await
        .unwrap();
    let url = proxy.url(&backend.database().url());
    let variables = [("APP__MYSQL__URL", &*url), READS_IN_TIME];
    let telling = TestService::on(&backend, Role::Api, &variables).await;
    let mut client = WsClient::connect(&telling).await;
    proxy.set(Weather::Stalled);
    client.subscribe(&[], &["held"]).await;
    client.say_anything("?").await;
    assert_eq!(client.error().await.0, "store_unavailable");
    assert_eq!(client.error().await.0, "invalid_message");
}
