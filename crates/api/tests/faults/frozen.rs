//! A worker that stands still in the middle of a transaction, as a virtual
//! machine does that is moved, and goes on long after its lanes have other owners.

use std::time::Duration;

use tcp_proxy::Weather;
use tokio::time::sleep;

use crate::deployment::eventually;

use crate::scene::Scene;
use crate::seed::Chance;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_in_a_transaction_for_thirty_seconds() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    let Scene {
        deployment,
        worker,
        buyers,
        ..
    } = &scene;
    eventually("orders are decided", async || buyers.accepted() > 100).await;

    // Slow answers keep transactions open long enough to be caught in one.
    let slow = Weather::Slow(Duration::from_millis(30));
    deployment.database.set(slow);
    let database = deployment.backend.database();
    let mut attempts = 0;
    loop {
        worker.signal("STOP").await;
        let locking = database.locking_transactions().await;
        // The api process's own transactions are over by then.
        sleep(Duration::from_secs(1)).await;
        let still_locking = database.locking_transactions().await;
        if !locking.is_disjoint(&still_locking) {
            break;
        }
        worker.signal("CONT").await;
        attempts += 1;
        assert!(attempts < 100, "never caught in a transaction");
        sleep(chance.millis(1, 300)).await;
    }
    deployment.database.set(Weather::Fair);
    let successor = deployment.start_ready("worker").await;
    sleep(Duration::from_secs(30)).await;
    eventually("the successor has all lanes", async || {
        successor.lanes().len() == 4
    })
    .await;
    let decided = async || database.number("SELECT COUNT(*) FROM tickets").await;
    let before = decided().await;
    eventually("the successor decides", async || {
        decided().await > before + 50
    })
    .await;

    worker.signal("CONT").await;
    sleep(Duration::from_secs(3)).await;
    scene.buyers.wait_for_accepted(1_000).await;
    let proof = scene.end().await;
    assert!(proof.accepted > 1_000, "{proof:?}");
}
