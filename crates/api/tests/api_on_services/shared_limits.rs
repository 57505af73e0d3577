//! What one client may ask for, of all api processes together: over real connections, with a Redis
//! that is killed meanwhile.

use std::time::Duration;

use api::application::Role;
use port_contracts::within;
use serde_json::json;
use tcp_proxy::{TcpProxy, Weather, host_and_port};
use test_servers::RedisServer;
use tokio::time::sleep;

use crate::backend::Backend;
use crate::helpers::{Answer, SHOW, TestService};

/// Two api processes of a deployment, with such limits.
async fn pair(redis: &RedisServer, limits: &[(&str, &str)]) -> [TestService; 2] {
    pair_at(&redis.url(), limits).await
}

async fn pair_at(url: &str, limits: &[(&str, &str)]) -> [TestService; 2] {
    let backend = Backend::start().await;
    let mut variables = vec![("APP__LIMITS__STORE", "redis"), ("APP__REDIS__URL", url)];
    variables.extend(limits);
    [
        TestService::on(&backend, Role::All, &variables).await,
        TestService::on(&backend, Role::Api, &variables).await,
    ]
}

async fn order(service: &TestService, user: &str) -> Answer {
    let body = json!({"show_id": SHOW, "user_id": user});
    service.order(body).await
}

/// What one has let through is refused by the other, which alone would let ten through.
async fn assert_shared(services: &[TestService; 2], user: &str) {
    let [one, other] = services;
    for _ in 0..10 {
        assert_ne!(order(one, user).await.status, 429);
    }
    for _ in 0..9 {
        let refused = order(other, user).await;
        if refused.status == 429 {
            refused.assert_problem(429, "rate_limited");
            let policy = refused.header("ratelimit-policy");
            assert_eq!(policy, r#""orders_per_user";q=10;w=3600"#);
            let seconds: u64 = refused.header("retry-after").parse().unwrap();
            assert!((300..=360).contains(&seconds), "{seconds}");
            return;
        }
    }
    panic!("each process has a limit of its own");
}

async fn is_degraded(service: &TestService) {
    let status = |ready: &Answer| {
        let dependencies = ready.body["dependencies"].as_array().unwrap();
        let redis = dependencies.iter().find(|one| one["name"] == "redis");
        redis.unwrap()["status"].clone()
    };
    let mut ready = service.found("/health/ready").await;
    while status(&ready) == "up" {
        sleep(Duration::from_millis(100)).await;
        ready = service.get("/health/ready").await;
    }
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text("status"), "degraded");
}

#[tokio::test]
async fn orders_of_a_user_are_limited_for_all_processes_together() {
    let mut redis = RedisServer::start().await;
    let services = pair(&redis, &[("APP__LIMITS__ORDERS_PER_USER", "10/h")]).await;
    assert_shared(&services, "1").await;
    // Orders go on without it, and by what each process has seen.
    redis.kill();
    let [one, other] = &services;
    assert_eq!(order(one, "1").await.status, 429);
    for service in &services {
        for _ in 0..10 {
            assert_ne!(order(service, "2").await.status, 429);
        }
        assert_eq!(order(service, "2").await.status, 429);
        within("it is said, and no outage", is_degraded(service)).await;
    }
    redis.start_again().await;
    // A process has found it again once it refuses what only the other one has let through.
    for number in 3.. {
        assert!(number < 1_000, "it is never used again");
        let user = number.to_string();
        for _ in 0..10 {
            assert_ne!(order(one, &user).await.status, 429);
        }
        if order(other, &user).await.status == 429 {
            return;
        }
    }
}

/// The middleware waits, too, and other requests are not refused meanwhile.
#[tokio::test]
async fn orders_and_requests_of_an_address_are_limited_for_all_processes_together() {
    let redis = RedisServer::start().await;
    let limits = [
        ("APP__LIMITS__ORDERS_PER_ADDRESS", "10/h"),
        ("APP__LIMITS__REQUESTS_PER_ADDRESS", "1000/h"),
    ];
    let [one, other] = pair(&redis, &limits).await;
    for _ in 0..10 {
        assert_eq!(order(&one, "1").await.status, 202);
    }
    let mut statuses = Vec::new();
    while statuses.len() < 9 && !statuses.contains(&429) {
        statuses.push(order(&other, "1").await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(other.get("/shows").await.status, 200);
}

/// It answers readiness, and is of no use for limits.
#[tokio::test]
async fn readiness_says_that_limits_are_not_shared_with_a_redis_that_answers() {
    let redis = RedisServer::start().await;
    let proxy = TcpProxy::start(&host_and_port(&redis.url())).await.unwrap();
    let limit = [("APP__LIMITS__ORDERS_PER_USER", "10/h")];
    let services = pair_at(&proxy.url(&redis.url()), &limit).await;
    assert_shared(&services, "1").await;
    proxy.set(Weather::Distant(Duration::from_millis(100)));
    for service in services {
        for user in 2..9 {
            assert_ne!(order(&service, &user.to_string()).await.status, 429);
        }
        within("it is said, and no outage", is_degraded(&service)).await;
    }
    let rights = ["~*", "+set", "+get", "+time", "+hello", "+client"];
    let user = ["ACL", "SETUSER", "shop", "on", ">secret"];
    redis.tell(&[&user[..], &rights].concat());
    let url = redis.url().replace("://", "://shop:secret@");
    for service in pair_at(&url, &limit).await {
        within("it is said, and no outage", is_degraded(&service)).await;
    }
}
