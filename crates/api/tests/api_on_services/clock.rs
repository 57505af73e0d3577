//! A worker whose clock is off must not date holds.

use std::sync::Arc;
use std::time::Duration;

use api::application::Role;
use api::clock::SystemClock;
use domain::ports::Clock;
use domain::time::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use crate::backend::Backend;
use crate::helpers::{SHOW, TestService};

/// Five minutes ahead: a hold that is shorter is over by it.
struct FastClock;

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_seconds(300)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_off_is_not_ready_and_decides_nothing() {
    let backend = Backend::start().await;
    let demo = [("APP__STORE__SEED_DEMO", "true")];
    let api = TestService::on(&backend, Role::Api, &demo).await;
    let hold = json!({"id": "hold", "title": "Hold", "capacity": 9, "hold_seconds": 290});
    api.create_show(hold).await;
    let wrong = TestService::by_clock(Arc::new(FastClock), &backend, Role::Worker, &[]).await;
    let ready = wrong.get("/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.body.to_string().contains("clock.max_skew_ms"),
        "{:?}",
        ready.body
    );
    let mut ids = Vec::new();
    for show in [SHOW, "hold"] {
        ids.push(api.placed(json!({"show_id": show, "user_id": 1})).await);
    }
    sleep(Duration::from_secs(2)).await;
    for id in &ids {
        let ticket = api.get(&format!("/tickets/{id}")).await;
        assert_eq!(ticket.text("status"), "processing");
    }
    // One whose clock is right gets all the lanes.
    let right = TestService::on(&backend, Role::Worker, &[]).await;
    for id in &ids {
        api.decided(id).await;
    }
    // Holds are not swept by the wrong one either.
    sleep(Duration::from_secs(1)).await;
    let held = api.get(&format!("/tickets/{}", ids[1])).await;
    assert_eq!(held.text("status"), "reserved");
    for service in [api, wrong, right] {
        service.stop().await.unwrap();
    }
}
