//! The way to the database is cut, stalled or gone.

use std::time::Duration;

use port_contracts::proxy::Weather;
use tokio::time::sleep;

use crate::buyers::{Buyers, Sale, set_up};
use crate::deployment::{DEADLINE, Deployment, Process, eventually};

use crate::proof::prove;
use crate::seed::Chance;

async fn at_work(chance: &mut Chance) -> (Deployment, [Process; 2], Buyers) {
    let deployment = Deployment::new().await;
    let api = deployment.start_ready("api").await;
    let worker = deployment.start_ready("worker").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, chance);
    (deployment, [api, worker], buyers)
}

async fn accepted_again(buyers: &Buyers) {
    let before = buyers.accepted();
    eventually("orders are accepted again", DEADLINE, async || {
        buyers.accepted() > before + 50
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_database_cut_twenty_times() {
    let mut chance = Chance::new();
    let (deployment, [api, _worker], buyers) = at_work(&mut chance).await;
    for _ in 0..20 {
        sleep(chance.millis(50, 700)).await;
        deployment.database.cut();
    }
    accepted_again(&buyers).await;
    let told = buyers.stop().await;
    let proof = prove(&deployment, &api.url, told).await;
    assert!(proof.accepted > 500, "{proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_for_ten_seconds() {
    let mut chance = Chance::new();
    let (deployment, [api, worker], buyers) = at_work(&mut chance).await;
    sleep(chance.millis(500, 1_000)).await;
    deployment.database.set(Weather::Down);
    deployment.database.cut();
    for process in [&api, &worker] {
        eventually("readiness fails", DEADLINE, async || {
            matches!(process.readiness().await, Some((503, _)))
        })
        .await;
    }
    sleep(Duration::from_secs(10)).await;
    deployment.database.set(Weather::Fair);
    accepted_again(&buyers).await;
    let told = buyers.stop().await;
    prove(&deployment, &api.url, told).await;
}

/// Half-open: statements get no answer, and no connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stalls() {
    let mut chance = Chance::new();
    let (deployment, [api, _worker], buyers) = at_work(&mut chance).await;
    for stalled in [1, 12] {
        sleep(chance.millis(500, 1_000)).await;
        deployment.database.set(Weather::Stalled);
        sleep(Duration::from_secs(stalled)).await;
        deployment.database.set(Weather::Fair);
        accepted_again(&buyers).await;
    }
    let told = buyers.stop().await;
    assert_eq!(told.unanswered, 0, "an order waited without end");
    prove(&deployment, &api.url, told).await;
}
