//! Every buyer hears the verdict, from any api process, whichever process dies.

use std::sync::Arc;

use black_box::proof::ticket::State;
use port_contracts::measured;
use reqwest::Client;
use tokio::time::sleep;

use crate::buyers::{Buyers, Sale, set_up};
use crate::deployment::{Deployment, eventually, ticket};
use crate::listeners::Listeners;
use crate::proof::prove;
use crate::seed::Chance;

/// Ends the sale and proves that listeners were told what the tickets are.
async fn prove_told(deployment: &Deployment, url: &str, buyers: Buyers, listeners: Listeners) {
    let orders = buyers.stop().await;
    let accepted: Vec<_> = orders.accepted().map(|(_, id)| id).collect();
    let proof = prove(deployment, url, orders).await;
    assert!(proof.accepted > 200, "{proof:?}");
    let verdicts = eventually("all verdicts are told", async || {
        let heard = listeners.heard.lock();
        let is_told = |id| {
            heard
                .get(id)
                .is_some_and(|state| *state != State::Processing)
        };
        accepted.iter().all(is_told)
    })
    .await;
    measured("all verdicts told", verdicts);
    // Holds lapse by themselves for a while.
    let client = Client::new();
    let states = eventually("the latest state is told", async || {
        for id in &accepted {
            let ticket = ticket(&client, url, *id).await;
            let status = ticket["status"].as_str().unwrap_or_default();
            let state = State::read(status, ticket["reason"].as_str());
            if listeners.heard.lock().get(id) != state.as_ref() {
                return false;
            }
        }
        true
    })
    .await;
    measured("latest states told", states);
    listeners.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verdict_is_heard_at_another_process_while_workers_are_killed() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let accepting = deployment.start_ready("api").await;
    let listening = deployment.start_ready("api").await;
    let mut workers = vec![
        deployment.start_ready("worker").await,
        deployment.start_ready("worker").await,
    ];
    let sale = Sale::default();
    set_up(&accepting.url, sale).await;
    let buyers = Buyers::start(&[&accepting.url], sale, &mut chance);
    let listeners = Listeners::start(&[&listening.url], Arc::clone(&buyers.orders)).await;
    for _ in 0..5 {
        let before = listeners.decided();
        eventually("verdicts are told", async || {
            listeners.decided() > before + 50
        })
        .await;
        sleep(chance.millis(0, 400)).await;
        let mut killed = workers.remove(0);
        killed.kill().await;
        workers.push(deployment.start("worker").await);
    }
    prove_told(&deployment, &listening.url, buyers, listeners).await;
}

/// Its verdicts come while it is away, too.
#[tokio::test(flavor = "multi_thread")]
async fn who_listened_at_a_killed_process_learns_what_it_missed_at_another() {
    let mut chance = Chance::new();
    let deployment = Deployment::new().await;
    let accepting = deployment.start_ready("api").await;
    let steady = deployment.start_ready("api").await;
    let _workers = [
        deployment.start_ready("worker").await,
        deployment.start_ready("worker").await,
    ];
    let sale = Sale::default();
    set_up(&accepting.url, sale).await;
    let buyers = Buyers::start(&[&accepting.url], sale, &mut chance);
    let mut doomed = deployment.start_ready("api").await;
    let urls = [doomed.url.clone(), steady.url.clone()];
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let listeners = Listeners::start(&urls, Arc::clone(&buyers.orders)).await;
    eventually("verdicts are told", async || listeners.decided() > 200).await;
    sleep(chance.millis(0, 400)).await;
    doomed.kill().await;
    let before = listeners.decided();
    eventually("verdicts are told by the other", async || {
        listeners.decided() > before + 200
    })
    .await;
    prove_told(&deployment, &steady.url, buyers, listeners).await;
}
