//! The way to the database is cut, stalled or gone.

use std::time::Duration;

use tcp_proxy::Weather;
use tokio::time::sleep;

use crate::deployment::eventually;
use crate::scene::Scene;
use crate::seed::Chance;

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_database_cut_twenty_times() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for _ in 0..20 {
        sleep(chance.millis(50, 700)).await;
        scene.deployment.database.cut();
    }
    scene.wait_until_it_sells().await;
    scene.buyers.wait_for_accepted(500).await;
    let proof = scene.end().await;
    assert!(proof.accepted > 500, "{proof:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_for_ten_seconds() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    sleep(chance.millis(500, 1_000)).await;
    scene.deployment.database.set(Weather::Down);
    scene.deployment.database.cut();
    for process in [&scene.api, &scene.worker] {
        eventually("readiness fails", async || {
            matches!(process.readiness().await, Some((503, _)))
        })
        .await;
    }
    sleep(Duration::from_secs(10)).await;
    scene.deployment.database.set(Weather::Fair);
    scene.wait_until_it_sells().await;
    scene.end().await;
}

/// Half-open: statements get no answer, and no connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stalls() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for stalled in [1, 12] {
        sleep(chance.millis(500, 1_000)).await;
        scene.deployment.database.set(Weather::Stalled);
        sleep(Duration::from_secs(stalled)).await;
        scene.deployment.database.set(Weather::Fair);
        scene.wait_until_it_sells().await;
    }
    scene.end().await;
}
