//! Lanes go from worker to worker.

use std::time::{Duration, Instant};

use port_contracts::measured;
use reqwest::Client;
use serde_json::{Value, json};
use tcp_proxy::Weather;
use tokio::time::sleep;
use uuid::Uuid;

use crate::buyers::{Buyers, LANES, ONE_MORE, Sale, set_up, shows};
use crate::contract::send;
use crate::deployment::{Deployment, Process, eventually, ticket};
use crate::orders::names;
use crate::proof::prove;
use crate::seed::Chance;

/// Places an order for the show and waits for its verdict.
async fn decided(client: &Client, url: &str, show: u32) -> (u32, Uuid) {
    let body = json!({"show_id": names().show(show), "user_id": names().user(ONE_MORE)});
    let request = client.post(format!("{url}/tickets")).json(&body);
    let placed: Value = send(request).await.unwrap().json().await.unwrap();
    let id = placed["ticket_id"].as_str().unwrap().parse().unwrap();
    eventually("an order for each lane is decided", async || {
        ticket(client, url, id).await["status"] != "processing"
    })
    .await;
    (show, id)
}

fn have(workers: &[&Process], expected: usize) -> bool {
    let counts: Vec<_> = workers.iter().map(|worker| worker.lanes().len()).collect();
    let even = usize::from(LANES) / workers.len();
    counts.iter().sum::<usize>() == expected && counts.iter().all(|count| *count >= even)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_lanes_are_taken_over_and_a_newcomer_gets_its_share() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let mut first = deployment.start_ready("worker").await;
    let second = deployment.start_ready("worker").await;
    let sale = Sale {
        capacity: 20_000,
        ..Sale::default()
    };
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    eventually("two lanes each", async || have(&[&first, &second], 4)).await;
    // Busy with the lanes that they have.
    sleep(chance.millis(500, 1_500)).await;

    first.kill().await;
    let killed = Instant::now();
    let client = Client::new();
    let shows = shows();
    let verdicts = shows.iter().map(|show| decided(&client, &api.url, *show));
    let placed = futures_util::future::join_all(verdicts).await;
    measured("lanes taken over", killed.elapsed());

    let third = deployment.start_ready("worker").await;
    let shared = eventually("the third has its share", async || {
        have(&[&second, &third], 4)
    })
    .await;
    measured("lanes shared with a newcomer", shared);
    sleep(Duration::from_millis(500)).await;
    buyers.wait_for_accepted(500).await;
    let mut orders = buyers.stop().await;
    for (show, id) in placed {
        orders.add_accepted(ONE_MORE, show, id);
    }
    let proof = prove(&deployment, &api.url, orders).await;
    assert!(proof.accepted > 500, "{proof:?}");
}

/// The others can decide what one cannot.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_alone_has_no_database_gives_its_lanes_to_others() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let api = deployment.start_beside_the_proxy("api").await;
    let cut_off = deployment.start_ready("worker").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    let other = deployment.start_beside_the_proxy("worker").await;
    eventually("two lanes each", async || have(&[&cut_off, &other], 4)).await;
    deployment.database.set(Weather::Down);
    deployment.database.cut();
    eventually("the other has all lanes", async || have(&[&other], 4)).await;
    deployment.database.set(Weather::Fair);
    eventually("two lanes each again", async || {
        have(&[&cut_off, &other], 4)
    })
    .await;
    let orders = buyers.stop().await;
    prove(&deployment, &api.url, orders).await;
}

/// In order: nothing is lost when a worker is told to end either.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_gives_its_lanes_up_at_once() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let mut first = deployment.start_ready("worker").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    for _ in 0..3 {
        let next = deployment.start_ready("worker").await;
        eventually("two lanes each", async || have(&[&first, &next], 4)).await;
        first.signal("TERM").await;
        eventually("the old one ends", async || first.ended().is_some()).await;
        eventually("the new one has all", async || have(&[&next], 4)).await;
        first = next;
    }
    let orders = buyers.stop().await;
    prove(&deployment, &api.url, orders).await;
}
