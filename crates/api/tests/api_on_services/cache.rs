//! Two processes on one store: what one of them changes, readers of both are told.

use std::time::{Duration, Instant};

use api::application::Role;
use port_contracts::{DEADLINE, measured, promised, within};
use serde_json::{Value, json};
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::RedisServer;

use crate::backend::Backend;
use crate::helpers::{SHOW, TestService};

const STALENESS: Duration = Duration::from_secs(1);

/// Two processes with a show `held`, of which the first decides, too.
async fn pair(variables: &[(&str, &str)]) -> [TestService; 2] {
    let backend = Backend::start().await;
    let mut first = vec![("APP__STORE__SEED_DEMO", "true")];
    first.extend(variables);
    let first = TestService::on(&backend, Role::All, &first).await;
    first
        .create_show(json!({"id": "held", "title": "Held", "capacity": 1_000,
            "max_per_user": 1_000, "hold_seconds": 600}))
        .await;
    let second = TestService::on(&backend, Role::Api, variables).await;
    [first, second]
}

/// A busy machine answers within the longest time that can be set.
fn on_redis(url: &str) -> [(&'static str, &str); 3] {
    [
        ("APP__CACHE__ADAPTER", "redis"),
        ("APP__CACHE__TIMEOUT_MS", "500"),
        ("APP__REDIS__URL", url),
    ]
}

/// A reserved ticket that readers of all processes have seen.
async fn seen_by_all(services: &[TestService; 2]) -> String {
    let hold = json!({"show_id": "held", "user_id": 1});
    let id = services[0].placed(hold).await;
    for service in services {
        assert_eq!(service.decided(&id).await["status"], "reserved");
        service.found("/shows/held").await;
    }
    id
}

async fn change(service: &TestService, id: &str, what: &str) {
    let changed = service
        .post(&format!("/tickets/{id}/{what}"), json!({}))
        .await;
    assert_eq!(changed.status, 200, "{:?}", changed.body);
}

async fn status(service: &TestService, id: &str) -> String {
    service
        .found(&format!("/tickets/{id}"))
        .await
        .text("status")
}

async fn show(service: &TestService) -> Value {
    service.found("/shows/held").await.body
}

/// Reads until a reader is told `new`: only `old` before it, and never again after it.
async fn becomes(service: &TestService, id: &str, old: &str, new: &str) {
    let began = Instant::now();
    loop {
        let now = status(service, id).await;
        if now == new {
            break;
        }
        assert_eq!(now, old);
        assert!(began.elapsed() < DEADLINE, "still {now}");
    }
    promised("a change in another process", began.elapsed(), STALENESS);
    for _ in 0..50 {
        assert_eq!(status(service, id).await, new);
    }
}

/// Confirms through the first process and cancels through the second one, or the other way.
async fn changes_are_seen_in_both(services: &[TestService; 2]) {
    for [here, there] in [[0, 1], [1, 0]] {
        let id = seen_by_all(services).await;
        let [here, there] = [here, there].map(|number| &services[number]);
        change(here, &id, "confirm").await;
        assert_eq!(status(here, &id).await, "confirmed");
        becomes(there, &id, "reserved", "confirmed").await;
        change(there, &id, "cancel").await;
        assert_eq!(status(there, &id).await, "cancelled");
        becomes(here, &id, "confirmed", "cancelled").await;
    }
}

/// The seats are those of all tickets, in both, before long.
async fn seats_become(services: &[TestService; 2], available: u32) {
    for service in services {
        let began = Instant::now();
        while show(service).await["available"] != available {
            assert!(began.elapsed() < DEADLINE, "{}", show(service).await);
        }
        measured("seats in another process", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cache_in_memory_changes_are_seen_by_readers_of_both() {
    let services = pair(&[]).await;
    changes_are_seen_in_both(&services).await;
    seats_become(&services, 1_000).await;
    // Terms, too, which are not announced.
    let renamed = services[0]
        .patch("/shows/held", json!({"title": "Other"}))
        .await;
    assert_eq!(renamed.status, 200);
    assert_eq!(show(&services[0]).await["title"], "Other");
    let began = Instant::now();
    while show(&services[1]).await["title"] != "Other" {
        assert!(began.elapsed() < DEADLINE);
    }
    promised("terms in another process", began.elapsed(), STALENESS * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cache_in_redis_the_first_read_after_a_change_tells_it_in_either_process() {
    let server = RedisServer::start().await;
    let services = pair(&on_redis(&server.url())).await;
    for [here, there] in [[0, 1], [1, 0]] {
        let id = seen_by_all(&services).await;
        let [here, there] = [here, there].map(|number| &services[number]);
        for (what, after) in [("confirm", "confirmed"), ("cancel", "cancelled")] {
            change(here, &id, what).await;
            assert_eq!(status(there, &id).await, after);
        }
        let title = format!("A title of {id}");
        let changed = here.patch("/shows/held", json!({"title": title})).await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        assert_eq!(show(there).await["title"], title);
    }
    seats_become(&services, 1_000).await;
    let cached = server.tell(&["KEYS", "tickets:*"]);
    assert!(cached.contains(":ticket:"), "{cached}");
    // An id that nobody issued is none, cached or not.
    let unknown = services[0].get("/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77");
    unknown.await.assert_problem(404, "ticket_not_found");
}

/// What the keys of the service's deployment begin with.
async fn prefix(server: &RedisServer, service: &TestService) -> String {
    let written = async {
        loop {
            show(service).await;
            let keys = server.tell(&["KEYS", "*:show:held"]);
            if let Some(prefix) = keys.trim().strip_suffix("show:held") {
                return prefix.to_owned();
            }
        }
    };
    within("a key", written).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_redis_readers_are_told_what_is_true() {
    let mut server = RedisServer::not_yet();
    let services = pair(&on_redis(&server.url())).await;
    changes_are_seen_in_both(&services).await;
    server.start_again().await;
    changes_are_seen_in_both(&services).await;
    server.freeze();
    changes_are_seen_in_both(&services).await;
    server.thaw();
    changes_are_seen_in_both(&services).await;
    server.kill();
    changes_are_seen_in_both(&services).await;
    server.start_again().await;
    changes_are_seen_in_both(&services).await;
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    changes_are_seen_in_both(&services).await;
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    let id = seen_by_all(&services).await;
    let prefix = prefix(&server, &services[1]).await;
    for garbage in ["", "2:9:{}", "1:9:{\"ticket\":{}}"] {
        server.tell(&["SET", &format!("{prefix}ticket:{id}"), garbage]);
        server.tell(&["SET", &format!("{prefix}show:held"), garbage]);
        assert_eq!(status(&services[1], &id).await, "reserved");
        assert_eq!(show(&services[1]).await["id"], "held");
    }
    change(&services[0], &id, "cancel").await;
    seats_become(&services, 1_000).await;
}

/// One process changes while it cannot reach Redis, which another one reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_redis_was_not_told_is_seen_all_the_same() {
    let server = RedisServer::start().await;
    let proxy = TcpProxy::start(&host_and_port(&server.url()))
        .await
        .unwrap();
    let cut_off = proxy.url(&server.url());
    let backend = Backend::start().await;
    let demo = [("APP__STORE__SEED_DEMO", "true")];
    let demo = demo
        .into_iter()
        .chain(on_redis(&cut_off))
        .collect::<Vec<_>>();
    let changing = TestService::on(&backend, Role::All, &demo).await;
    changing
        .create_show(json!({"id": "held", "title": "Held", "capacity": 1_000,
            "hold_seconds": 600}))
        .await;
    let reading = TestService::on(&backend, Role::Api, &on_redis(&server.url())).await;
    let services = [changing, reading];
    for weather in [Weather::Stalled, Weather::Down] {
        let id = seen_by_all(&services).await;
        proxy.set(weather);
        proxy.cut();
        let [changing, reading] = &services;
        change(changing, &id, "confirm").await;
        assert_eq!(status(changing, &id).await, "confirmed");
        becomes(reading, &id, "reserved", "confirmed").await;
        proxy.set(Weather::Fair);
        becomes(changing, &id, "confirmed", "confirmed").await;
        change(changing, &id, "cancel").await;
    }
}

/// Each has a show of that name. Both have the same prefix.
#[tokio::test(flavor = "multi_thread")]
async fn deployments_on_one_redis_do_not_read_each_others_shows() {
    let server = RedisServer::start().await;
    let [one, _] = pair(&on_redis(&server.url())).await;
    let [other, _] = pair(&on_redis(&server.url())).await;
    let renamed = other.patch("/shows/held", json!({"title": "Other"})).await;
    assert_eq!(renamed.status, 200);
    for _ in 0..3 {
        assert_eq!(show(&one).await["title"], "Held");
        assert_eq!(show(&other).await["title"], "Other");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_asks_redis() {
    let server = RedisServer::start().await;
    let services = pair(&on_redis(&server.url())).await;
    let used = |what: &str| {
        let commands = server.tell(&["INFO", "commandstats"]);
        let used = [
            "cmdstat_mget:",
            "cmdstat_evalsha:",
            "cmdstat_get:",
            "cmdstat_time:",
        ];
        let asked = used.iter().any(|command| commands.contains(command));
        (what.to_owned(), asked)
    };
    server.tell(&["CONFIG", "RESETSTAT"]);
    let order = json!({"show_id": SHOW, "user_id": 1});
    for number in 0..10 {
        let key = number.to_string();
        services[0].placed(order.clone()).await;
        for status in [202, 202] {
            let keyed = services[0].keyed(&key, order.clone()).await;
            assert!([status, 200].contains(&keyed.status), "{:?}", keyed.body);
        }
    }
    assert_eq!(used("orders"), ("orders".to_owned(), false));
    services[0].found(&format!("/shows/{SHOW}")).await;
    assert_eq!(used("a reader"), ("a reader".to_owned(), true));
}
