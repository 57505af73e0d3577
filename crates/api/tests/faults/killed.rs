//! Processes that are killed while buyers order.

use std::time::Duration;

use black_box::proof::told::Answer;
use tokio::time::sleep;

use crate::buyers::{Buyers, Sale, set_up};
use crate::deployment::{Deployment, eventually};
use crate::orders::Orders;
use crate::proof::prove;
use crate::seed::Chance;

/// Those while a worker decides are more than the 20 deliveries that RabbitMQ 4
/// allows a message by default.
const KILLS: usize = 30;
/// Of so many, one before it owns a lane.
const EARLY: usize = 6;
const _: () = assert!(KILLS - KILLS.div_ceil(EARLY) > 20);

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_thirty_times_in_a_sale() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut chance);
    for kill in 0..KILLS {
        let mut worker = deployment.start("worker").await;
        if !kill.is_multiple_of(EARLY) {
            eventually("the worker owns its lanes", async || {
                !worker.lanes().is_empty()
            })
            .await;
        }
        sleep(chance.millis(0, 400)).await;
        worker.kill().await;
    }
    let _worker = deployment.start("worker").await;
    buyers.wait_for_accepted(1_000).await;
    let orders = buyers.stop().await;
    let not_answered = [Answer::Unanswered, Answer::OutcomeUnknown];
    assert_eq!(not_answered.map(|answer| orders.count(answer)), [0, 0]);
    let proof = prove(&deployment, &api.url, orders).await;
    assert!(proof.accepted > 1_000, "{proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_process_killed_ten_times_in_a_sale() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let steady = deployment.start_ready("api").await;
    let _worker = deployment.start_ready("worker").await;
    let sale = Sale::default();
    set_up(&steady.url, sale).await;
    let mut orders = Orders::default();
    for _ in 0..10 {
        let mut doomed = deployment.start_ready("api").await;
        let buyers = Buyers::start(&[&steady.url, &doomed.url], sale, &mut chance);
        buyers.wait_for_accepted(150).await;
        sleep(chance.millis(0, 600)).await;
        doomed.kill().await;
        // A buyer with a key asks again, of the other process in the end.
        sleep(Duration::from_millis(100)).await;
        orders.extend(buyers.stop().await);
    }
    let proof = prove(&deployment, &steady.url, orders).await;
    assert!(proof.accepted > 1_000, "{proof:?}");
}
