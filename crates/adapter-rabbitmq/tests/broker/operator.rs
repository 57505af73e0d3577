//! What an operator takes away while the service runs, and gives back: no restart is needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_rabbitmq::RabbitMqConfig;
use domain::ports::{Dependency, Examination, Level};
use port_contracts::{ManualClock, fixtures, promised, within};
use reqwest::Url;
use serde_json::json;
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::{TestPrefix, services};

use crate::deletions::HEALED_WITHIN;
use crate::management::{Setting, management, put, remove};
use crate::process::{config, start};
use crate::proxied::{Proxied, until};

fn url() -> Url {
    services::rabbitmq_url().parse().unwrap()
}

/// A name of users and vhosts that nobody else has.
fn unique_name() -> String {
    format!("test-{:016x}", rand::random::<u64>())
}

/// Orders are refused, and readiness says so.
async fn is_refused(process: &Proxied) {
    until("orders are refused", async || {
        process.publish().await.is_err()
    })
    .await;
    until("readiness says that the broker refuses", async || {
        let _refused = process.publish().await;
        within("check", process.queue.check()).await.is_err()
    })
    .await;
}

/// Orders are accepted and can be had, and readiness says that all is well.
async fn is_healed(process: &Proxied, what: &str) {
    let given_back = Instant::now();
    let order = process.published_in_the_end().await;
    until("readiness says that all is well", async || {
        within("check", process.queue.check()).await.is_ok()
    })
    .await;
    process.drain_until(|orders| orders.contains(&order)).await;
    let what = format!("orders accepted and read after {what} is given back");
    promised(&what, given_back.elapsed(), HEALED_WITHIN);
}

/// The broker compares rights when a channel is new, so the connections are cut, as they are
/// when a node is restarted.
#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_user() {
    let name = unique_name();
    let body = json!({"password": "s3cret", "tags": ""});
    let _user = Setting::put(&["users", &name], &body).await;
    let rights = ["permissions", "/", &name];
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    put(&rights, &all).await;
    let mut url = url();
    url.set_username(&name).unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let process = Proxied::at(url.into(), Duration::from_millis(500)).await;
    process.published_in_the_end().await;

    put(
        &rights,
        &json!({"configure": ".*", "write": "^$", "read": ".*"}),
    )
    .await;
    process.proxy.cut();
    is_refused(&process).await;
    put(&rights, &all).await;
    is_healed(&process, "the right to write").await;

    // Orders are accepted, and no worker gets any.
    put(
        &rights,
        &json!({"configure": ".*", "write": ".*", "read": "^$"}),
    )
    .await;
    process.proxy.cut();
    until("readiness says it", async || {
        let checked = within("check", process.queue.check()).await;
        checked.is_err_and(|down| down.reason.contains("rights of rabbitmq.urls"))
    })
    .await;
    put(&rights, &all).await;
    is_healed(&process, "the right to read").await;

    remove(management(&rights)).await;
    process.proxy.cut();
    is_refused(&process).await;
    put(&rights, &all).await;
    is_healed(&process, "the vhost's use").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vhost() {
    let name = unique_name();
    let mut url = url();
    url.set_path(&name);
    let user = url.username().to_owned();
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    let vhost = Setting::put(&["vhosts", &name], &json!({})).await;
    put(&["permissions", &name, &user], &all).await;
    let process = Proxied::at(url.into(), Duration::from_millis(500)).await;
    process.published_in_the_end().await;

    vhost.clear().await;
    is_refused(&process).await;
    let vhost = Setting::put(&["vhosts", &name], &json!({})).await;
    put(&["permissions", &name, &user], &all).await;
    is_healed(&process, "the vhost").await;

    // It takes the queues with it, which the prefix wants to delete.
    drop(process);
    drop(vhost);
}

/// Two vhosts know as little of each other's queues as two brokers that are no cluster.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_of_one_broker_are_said() {
    let name = unique_name();
    let (one, mut other, mut nobody) = (url(), url(), url());
    other.set_path(&name);
    nobody.set_port(Some(1)).unwrap();
    let user = one.username().to_owned();
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    let vhost = Setting::put(&["vhosts", &name], &json!({})).await;
    put(&["permissions", &name, &user], &all).await;
    let prefix = TestPrefix::new();
    let found = async |urls: &[&Url]| {
        let config = RabbitMqConfig {
            urls: urls.iter().map(|url| url.to_string()).collect(),
            ..config(one.as_str(), &prefix)
        };
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        let found = start(&config, &clock).await.examine().await;
        let levels = found.iter().map(|finding| finding.level);
        (levels.collect::<Vec<_>>(), format!("{found:?}"))
    };
    assert_eq!(found(&[&one, &one]).await.0, []);
    let (levels, told) = found(&[&one, &nobody]).await;
    assert_eq!(levels, [Level::Degraded]);
    assert!(
        told.contains(":1") && told.contains("not reached"),
        "{told}"
    );
    let (levels, told) = found(&[&one, &other, &one]).await;
    assert_eq!(levels, [Level::Broken]);
    assert!(told.contains("one cluster"), "{told}");
    drop(vhost);
}

/// All is promised as before, with one node less to spare.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_after_it_was_reached_is_said() {
    let one = url();
    let proxy = TcpProxy::start(&host_and_port(one.as_str())).await.unwrap();
    let other = proxy.url(one.as_str());
    let prefix = TestPrefix::new();
    let config = RabbitMqConfig {
        urls: vec![one.to_string(), other],
        ..config(one.as_str(), &prefix)
    };
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let process = start(&config, &clock).await;
    assert_eq!(process.examine().await, []);
    proxy.set(Weather::Down);
    proxy.cut();
    let found = process.examine().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].level, Level::Degraded);
    let name = format!("node {}", proxy.address());
    assert_eq!(found[0].subject, name);
    proxy.set(Weather::Fair);
    assert_eq!(process.examine().await, []);
}

/// What is purged is lost; nothing else changes.
#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_all_queues() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    process.published_in_the_end().await;
    for queue in [&process.lane_queue(), "lanes", "dead"] {
        let queue = format!("{}tickets.{queue}", process.prefix.as_str());
        remove(management(&["queues", "/", &queue, "contents"])).await;
    }
    let order = process.published_in_the_end().await;
    within("check", process.queue.check()).await.unwrap();
    let orders = process.drain_until(|orders| orders.contains(&order)).await;
    assert_eq!(orders, [order]);
}

/// A policy that limits the length refuses orders; it drops none.
#[tokio::test(flavor = "multi_thread")]
async fn the_room_of_a_lane() {
    let process = Proxied::start(Duration::from_millis(500)).await;
    let queue = format!(
        "{}tickets.{}",
        process.prefix.as_str(),
        process.lane_queue()
    );
    let body = json!({"pattern": format!("^{}$", queue.replace('.', "[.]")),
                      "apply-to": "queues", "definition": {"max-length": 3}});
    let policy = Setting::put(&["policies", "/", process.prefix.as_str()], &body).await;
    let mut accepted = Vec::new();
    until("orders are refused", async || {
        let published = process.publish().await;
        accepted.extend(published.as_ref().ok().cloned());
        published.is_err()
    })
    .await;
    policy.clear().await;
    let cleared = Instant::now();
    let last = process.published_in_the_end().await;
    promised(
        "orders accepted after the policy is cleared",
        cleared.elapsed(),
        HEALED_WITHIN,
    );
    accepted.push(last.clone());
    let mut orders = process.drain_until(|orders| orders.contains(&last)).await;
    orders.retain(|order| accepted.contains(order));
    assert_eq!(orders, accepted);
}
