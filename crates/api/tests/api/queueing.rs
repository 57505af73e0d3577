//! What waits in memory: how much it costs, and how much may wait.

use std::fs;

use api::application::Role;
use serde_json::json;

use crate::helpers::{SHOW, TestService};
use crate::raw::pipeline_orders;

/// Resident memory of this process, in MiB; server and client are both in it.
fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_queued_orders_fit_into_200_mib() {
    let service = TestService::undecided().await;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = service.url.clone();
            tokio::task::spawn_blocking(move || pipeline_orders(&address, 25_000))
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), 25_000);
    }
    let resident = resident_mib();
    assert!(resident < 200, "{resident} MiB are resident");
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let variables = [("APP__QUEUE__CAPACITY", "2")];
    let service = TestService::with(Role::Api, &variables).await;
    for _ in 0..2 {
        service.placed(json!({"show_id": SHOW, "user_id": 1})).await;
    }
    let refused = service.order(json!({"show_id": SHOW, "user_id": 1})).await;
    refused.assert_problem(503, "queue_unavailable");
    assert_eq!(refused.body.get("ticket_id"), None);
}
