//! A process whose clock is off must date nothing: neither holds nor orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use api::application::Role;
use api::clock::SystemClock;
use domain::ports::Clock;
use domain::time::Timestamp;
use serde_json::json;
use tokio::time::sleep;

use crate::backend::Backend;
use crate::helpers::{DEADLINE, SHOW, TestService};

/// Five minutes ahead: a hold that is shorter is over by it.
struct FastClock;

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_seconds(300)
    }
}

/// Is set forward and back.
#[derive(Default)]
struct SetClock {
    ahead_seconds: AtomicI64,
}

impl SetClock {
    fn set_ahead(&self, seconds: i64) {
        self.ahead_seconds.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_seconds.load(Ordering::Relaxed) * 1_000_000;
        Timestamp::from_micros(SystemClock.now().as_micros() + ahead).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_stops_orders_and_dates_none_once_it_is_right_again() {
    let backend = Backend::start().await;
    let demo = [("APP__STORE__SEED_DEMO", "true")];
    let clock = Arc::new(SetClock::default());
    let api = TestService::by_clock(clock.clone(), &backend, Role::Api, &demo).await;
    let worker = TestService::on(&backend, Role::Worker, &[]).await;
    api.found("/health/ready").await;
    api.found(&format!("/shows/{SHOW}")).await;
    // Closes while the clock is ahead, not before: what is dated by it comes too late.
    let close = SystemClock.now().plus_seconds(600).to_string();
    api.create_show(json!({"id": "soon", "title": "Soon", "capacity": 9, "sales_close_at": close}))
        .await;
    let order = json!({"show_id": "soon", "user_id": 1});
    let mut ids = vec![api.placed(order.clone()).await];
    for ahead in [3_600, -3_600] {
        clock.set_ahead(ahead);
        // In the first moment, and once it is known.
        api.order(order.clone())
            .await
            .assert_problem(503, "clock_off");
        let set = Instant::now();
        while api.get("/health/ready").await.status != 503 {
            assert!(set.elapsed() < DEADLINE);
        }
        api.order(order.clone())
            .await
            .assert_problem(503, "clock_off");
        clock.set_ahead(0);
        let right = Instant::now();
        let answer = loop {
            let answer = api.order(order.clone()).await;
            if answer.status == 202 {
                break answer;
            }
            answer.assert_problem(503, "clock_off");
            assert!(right.elapsed() < DEADLINE, "still {:?}", answer.body);
            sleep(Duration::from_millis(10)).await;
        };
        port_contracts::measured("orders after the clock was set right", right.elapsed());
        ids.push(answer.text("ticket_id"));
    }
    for id in &ids {
        let ticket = api.decided(id).await;
        assert_eq!(ticket["status"], "confirmed", "{ticket}");
    }
    for service in [api, worker] {
        service.stop().await.unwrap();
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
