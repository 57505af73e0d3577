//! The way to the broker is cut, blocked or gone.

use std::time::{Duration, Instant};

use black_box::proof::told::Answer;
use port_contracts::{DEADLINE, measured};
use reqwest::Client;
use serde_json::json;
use tcp_proxy::Weather;
use tokio::time::sleep;

use crate::buyers::{Buyers, ONE_MORE, Sale, set_up, shows};
use crate::contract::send;
use crate::deployment::{Deployment, eventually};
use crate::orders::names;
use crate::proof::prove;
use crate::scene::Scene;
use crate::seed::Chance;

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_broker_cut_twenty_times() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for _ in 0..20 {
        sleep(chance.millis(50, 900)).await;
        scene.deployment.broker.cut();
    }
    scene.wait_until_it_sells().await;
    scene.buyers.wait_for_accepted(500).await;
    let proof = scene.end().await;
    assert!(proof.accepted > 500, "{proof:?}");
}

/// Half-open: nothing passes and no connection ends, until both sides give up
/// by their heartbeats.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stalls() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for stalled in [1, 12] {
        sleep(chance.millis(500, 1_000)).await;
        scene.deployment.broker.set(Weather::Stalled);
        sleep(Duration::from_secs(stalled)).await;
        scene.deployment.broker.set(Weather::Fair);
        scene.wait_until_it_sells().await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_broker_loses_nothing() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    sleep(chance.millis(300, 600)).await;
    // Longer than a confirm may take, so that most outcomes are unknown.
    let delay = Duration::from_millis(1_500);
    scene.deployment.broker.set(Weather::Slow(delay));
    sleep(Duration::from_secs(6)).await;
    eventually("an outcome is unknown", async || {
        scene.buyers.orders.lock().count(Answer::OutcomeUnknown) > 0
    })
    .await;
    scene.deployment.broker.set(Weather::Fair);
    scene.wait_until_it_sells().await;
    let proof = scene.end().await;
    assert!(proof.unknown > 0, "{proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_orders_are_refused_in_time_and_readiness_says_why() {
    let mut chance = Chance::new();
    let deployment = Deployment::impatient().await;
    let api = deployment.start_ready("api").await;
    let worker = deployment.start_ready("worker").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;

    deployment.broker.set(Weather::Down);
    deployment.broker.cut();
    let client = Client::new();
    let show = shows()[0];
    let order = json!({"show_id": names().show(show), "user_id": names().user(ONE_MORE)});
    for _ in 0..5 {
        let asked = Instant::now();
        let request = client.post(format!("{}/tickets", api.url)).json(&order);
        let answer = send(request).await.unwrap();
        measured("order refused without a broker", asked.elapsed());
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }
    for process in [&api, &worker] {
        eventually("readiness names the queue", async || {
            let Some((503, body)) = process.readiness().await else {
                return false;
            };
            let status_of = |name: &str| {
                let all = body["dependencies"].as_array().unwrap();
                let one = all.iter().find(|one| one["name"] == name).unwrap();
                one["status"].as_str().unwrap().to_owned()
            };
            status_of("queue") == "down" && status_of("store") == "up"
        })
        .await;
    }

    deployment.broker.set(Weather::Fair);
    let back = Instant::now();
    let id = loop {
        let request = client.post(format!("{}/tickets", api.url)).json(&order);
        let answer = send(request).await.unwrap();
        if answer.status() == 202 {
            let ticket: serde_json::Value = answer.json().await.unwrap();
            break ticket["ticket_id"].as_str().unwrap().parse().unwrap();
        }
        assert_eq!(answer.status(), 503);
        assert!(back.elapsed() < DEADLINE, "still {answer:?}");
    };
    measured("order accepted again", back.elapsed());
    for process in [&api, &worker] {
        process.wait_until_ready().await;
    }
    measured("both ready again", back.elapsed());
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    sleep(Duration::from_millis(500)).await;
    let mut orders = buyers.stop().await;
    orders.add_accepted(ONE_MORE, show, id);
    prove(&deployment, &api.url, orders).await;
}

/// A dependency that is not there yet is no reason to end.
#[tokio::test(flavor = "multi_thread")]
async fn processes_start_before_broker_and_database() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    deployment.broker.set(Weather::Down);
    deployment.database.set(Weather::Down);
    let mut api = deployment.start("api").await;
    let mut worker = deployment.start("worker").await;
    let started = Instant::now();
    sleep(Duration::from_secs(2)).await;
    for process in [&mut api, &mut worker] {
        let (status, body) = process.readiness().await.unwrap();
        assert_eq!(status, 503, "{body}");
        let all = body["dependencies"].as_array().unwrap();
        let down = all.iter().filter(|one| one["status"] == "down");
        let down: Vec<_> = down.filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(down, ["queue", "store"], "{body}");
        let warnings = process.log_lines();
        let warnings = warnings.iter().filter(|line| line["level"] == "WARN");
        // Ten in two seconds, and more if the machine let more time pass.
        let some = 10 * (1 + usize::try_from(started.elapsed().as_secs()).unwrap() / 2);
        assert!(warnings.count() < some, "it complains too often");
        assert_eq!(process.ended(), None);
    }
    deployment.broker.set(Weather::Fair);
    deployment.database.set(Weather::Fair);
    for process in [&api, &worker] {
        process.wait_until_ready().await;
    }
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    eventually("orders are accepted", async || buyers.accepted() > 50).await;
    let orders = buyers.stop().await;
    prove(&deployment, &api.url, orders).await;
}
