//! What waits in the queue costs little.

use std::fs;

use crate::helpers::TestService;
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
