//! What Prometheus reads of several processes.

use api::application::Role;
use serde_json::json;

use crate::backend::Backend;
use crate::helpers::{SHOW, TestService};
use crate::scraped::Scraped;

const ON: (&str, &str) = ("APP__METRICS__PORT", "0");

/// Each process is asked by itself.
#[tokio::test]
async fn what_waits_and_who_decides_is_true_while_a_worker_is_stopped() {
    let backend = Backend::start().await;
    let demo = [ON, ("APP__STORE__SEED_DEMO", "true")];
    let api = TestService::on(&backend, Role::Api, &demo).await;
    let order = || json!({"show_id": SHOW, "user_id": 1});
    let waiting = |it: &Scraped| it.sum("tickets_waiting_orders", &[]);
    let oldest = |it: &Scraped| it.sum("tickets_oldest_undecided_seconds", &[]);
    let owned = |it: &Scraped| it.all("tickets_lane_owned", &[]);
    let accepted = |it: &Scraped| it.sum("tickets_orders_total", &[("result", "accepted")]);

    let worker = TestService::on(&backend, Role::Worker, &[ON]).await;
    let decided = api.placed(order()).await;
    api.decided(&decided).await;
    Scraped::when(&api, |it| waiting(it) == 0.0 && owned(it) == [1.0; 4]).await;
    let of_worker = Scraped::when(&worker, |it| owned(it) == [1.0; 4]).await;
    assert_eq!(of_worker.sum("tickets_held_lanes", &[]), 4.0);
    let decisions = [("status", "confirmed"), ("reason", "")];
    assert_eq!(of_worker.sum("tickets_decisions_total", &decisions), 1.0);
    assert_eq!(
        of_worker.sum("tickets_build_info", &[("role", "worker")]),
        1.0
    );
    // It accepts none, and hears of none.
    assert!(of_worker.all("tickets_orders_total", &[]).is_empty());
    assert!(of_worker.all("tickets_waiting_orders", &[]).is_empty());
    worker.stop().await.unwrap();

    for _ in 0..3 {
        api.placed(order()).await;
    }
    let scraped = Scraped::when(&api, |it| {
        waiting(it) == 3.0 && oldest(it) >= 1.0 && owned(it) == [0.0; 4]
    })
    .await;
    assert_eq!(accepted(&scraped), 4.0);
    let lanes = scraped.all("tickets_waiting_orders", &[("class", "standard")]);
    assert_eq!(lanes.iter().filter(|count| **count == 3.0).count(), 1);

    let worker = TestService::on(&backend, Role::Worker, &[ON]).await;
    Scraped::when(&api, |it| {
        waiting(it) == 0.0 && oldest(it) == 0.0 && owned(it) == [1.0; 4]
    })
    .await;
    let of_worker = Scraped::of(&worker).await;
    assert_eq!(of_worker.sum("tickets_decisions_total", &[]), 3.0);
    let took = of_worker.sum("tickets_time_to_verdict_seconds_sum", &[]);
    assert!(took >= 3.0, "each waited a second at least: {took}");

    // What only servers have.
    let scraped = Scraped::of(&api).await;
    let skew = scraped.sum("tickets_clock_skew_seconds", &[]);
    assert!(skew.abs() < 0.1, "{skew}");
    let pools = scraped.values("tickets_store_connections", "pool");
    let purposes = ["changing", "claiming", "reading", "selling"];
    assert!(pools.into_iter().eq(purposes));
    let open = [("pool", "selling"), ("state", "idle")];
    assert!(scraped.sum("tickets_store_connections", &open) >= 1.0);
    for name in [
        "tickets_store_connections_max",
        "tickets_store_connection_waiters",
        "tickets_store_connection_wait_seconds_count",
    ] {
        assert_eq!(scraped.all(name, &[]).len(), purposes.len(), "{name}");
    }
    let reads = |cache| scraped.sum("tickets_cache_reads_total", &[("cache", cache)]);
    assert_eq!(["users", "shows"].map(reads), [4.0; 2]);
    for cache in ["users", "shows"] {
        let missed = [("cache", cache), ("result", "miss")];
        let missed = scraped.sum("tickets_cache_reads_total", &missed);
        let timed = scraped.sum("tickets_cache_miss_seconds_count", &[("cache", cache)]);
        assert_eq!(timed, missed, "{cache}");
    }
    assert!(scraped.sum("tickets_cache_miss_seconds_sum", &[]) > 0.0);
    let looked = scraped.sum("tickets_state_cache_reads_total", &[("kind", "ticket")]);
    assert!(looked >= 1.0, "{looked}");
    api.stop().await.unwrap();
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn every_process_tells_how_many_dead_letters_there_are() {
    let backend = Backend::start().await;
    let demo = [ON, ("APP__STORE__SEED_DEMO", "true")];
    let api = TestService::on(&backend, Role::Api, &demo).await;
    let worker = TestService::on(&backend, Role::Worker, &[ON]).await;
    let tell = async |count: f64| {
        for service in [&api, &worker] {
            Scraped::when(service, |it| it.all("tickets_dead_letters", &[]) == [count]).await;
        }
    };
    tell(0.0).await;
    backend.queue().publish("standard.0", b"poison").await;
    tell(1.0).await;
    api.stop().await.unwrap();
    worker.stop().await.unwrap();
}
