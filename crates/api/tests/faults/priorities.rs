//! High before standard by weight, first come first served within each, also
//! when the worker that decides is killed.

use futures_util::stream::{self, StreamExt};
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::backend::TOKEN;
use crate::buyers::{Sale, set_up};
use crate::contract::send;
use crate::deployment::{Deployment, eventually, ticket};
use crate::orders::{Orders, names};
use crate::proof::prove;
use crate::seed::Chance;

/// Orders of each class.
const ORDERS: usize = 4_000;
const AT_A_TIME: usize = 32;
/// `queue.high_weight` by both weights, and how far from it the mix may be.
const SHARE_OF_HIGH: f64 = 0.8;
const TOLERANCE: f64 = 0.05;

/// Users 0 and 1 of [`set_up`] are high and standard.
const CLASSES: [u32; 2] = [0, 1];
/// Beside those of [`set_up`]; sells at once.
const SHOW: u32 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one sale from its start to its proof"
)]
async fn both_classes_of_a_backlog_are_served_four_to_one_through_kills() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let apis = [
        deployment.start_ready("api").await,
        deployment.start_ready("api").await,
    ];
    let sale = Sale::default();
    set_up(&apis[0].url, sale).await;
    let client = Client::new();
    let show = json!({"id": names().show(SHOW), "title": "Backlog", "capacity": 100_000,
        "max_per_user": 100_000, "hold_seconds": 0});
    let created = client
        .post(format!("{}/shows", apis[0].url))
        .bearer_auth(TOKEN)
        .json(&show);
    assert_eq!(send(created).await.unwrap().status(), 201);

    let orders = (0..2 * ORDERS).map(|number| {
        let user = CLASSES[number % 2];
        let body = json!({"show_id": names().show(SHOW), "user_id": names().user(user)});
        // Both classes come to both processes.
        let url = &apis[(number / 2) % 2].url;
        let request = client.post(format!("{url}/tickets")).json(&body);
        async move {
            let answer = send(request).await.unwrap();
            assert_eq!(answer.status(), 202);
            let ticket: Value = answer.json().await.unwrap();
            let id: Uuid = ticket["ticket_id"].as_str().unwrap().parse().unwrap();
            (user, id)
        }
    });
    let placed: Vec<(u32, Uuid)> = stream::iter(orders)
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let show = format!("{}/shows/{}", apis[0].url, names().show(SHOW));
    let seq = async || -> u64 {
        let answer = send(client.get(&show));
        let show: Value = answer.await.unwrap().json().await.unwrap();
        show["seq"].as_u64().unwrap()
    };

    let mut workers = vec![
        deployment.start("worker").await,
        deployment.start("worker").await,
    ];
    let all = 2 * ORDERS as u64 + 1;
    for _ in 0..3 {
        let before = seq().await;
        eventually("the backlog is being decided", async || {
            seq().await > before || before == all
        })
        .await;
        // Whichever of them has the lane: one or both die.
        let spared = chance.below(3);
        for (number, worker) in (0..).zip(&mut workers) {
            if number != spared {
                worker.kill().await;
            }
        }
        workers = vec![
            deployment.start("worker").await,
            deployment.start("worker").await,
        ];
    }
    eventually("the backlog is decided", async || seq().await == all).await;

    let mut decided: Vec<(u64, bool)> = stream::iter(placed.clone())
        .map(|(user, id)| {
            let (client, url) = (&client, &apis[1].url);
            async move {
                let ticket = ticket(client, url, id).await;
                let seq = ticket["decision_seq"]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{ticket}"));
                (seq, user == CLASSES[0])
            }
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    decided.sort_unstable();
    // As long as both waited: the last of the class high was one of the first 5/4.
    let last_high = decided.iter().rposition(|(_, high)| *high).unwrap();
    let both_waited = &decided[..=last_high];
    let high = both_waited.iter().filter(|(_, high)| *high).count();
    let share = high as f64 / both_waited.len() as f64;
    assert!(
        (share - SHARE_OF_HIGH).abs() <= TOLERANCE * SHARE_OF_HIGH,
        "{high} of {} were high: {share}",
        both_waited.len()
    );

    let mut orders = Orders::default();
    for (user, id) in placed {
        orders.add_accepted(user, SHOW, id);
    }
    // The audit counts inversions by class and accepting process.
    let proof = prove(&deployment, &apis[0].url, orders).await;
    assert_eq!(proof.accepted, 2 * ORDERS);
}
