//! A broker's queues are used by one deployment only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_rabbitmq::{BrokerError, LanesError, RabbitMq, RabbitMqConfig, StartError, set_lanes};
use async_trait::async_trait;
use domain::order::Lanes;
use domain::ports::{
    DeadLetters, Dependency, DependencyDown, DeploymentId, Examination, Level, PublishError,
    StoreIdentity, TicketConsumer, TicketPublisher,
};
use domain::receipt::ProcessId;
use parking_lot::Mutex;
use port_contracts::fixtures::OrderSource;
use port_contracts::{LANES, ManualClock, fixtures, promised, within};
use test_servers::{TestPrefix, services};
use tokio::time::sleep;

use crate::deletions::HEALED_WITHIN;
use crate::process::config;
use crate::proxied::{SHOW, until};

/// A store that tells which deployment it belongs to once it is reached.
struct Store(Mutex<Option<u32>>);

impl Store {
    fn of(id: impl Into<Option<u32>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(id.into())))
    }
}

#[async_trait]
impl StoreIdentity for Store {
    async fn deployment(&self) -> Result<DeploymentId, DependencyDown> {
        let id = self.0.lock().and_then(DeploymentId::new);
        id.ok_or_else(|| DependencyDown {
            reason: "the store is away".to_owned(),
            source: None,
        })
    }
}

async fn start(prefix: &TestPrefix, store: Arc<Store>) -> Result<RabbitMq, StartError> {
    let config = RabbitMqConfig {
        publish_timeout: Duration::from_secs(1),
        ..config(&services::rabbitmq_url(), prefix)
    };
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    RabbitMq::start(&config, clock, ProcessId::new(1), Some(store)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_does_not_start_on_the_same_queues() {
    let prefix = TestPrefix::new();
    let first = start(&prefix, Store::of(DeploymentId::MAX)).await.unwrap();
    let again = start(&prefix, Store::of(DeploymentId::MAX)).await.unwrap();
    let other = start(&prefix, Store::of(7)).await.map(drop);
    let Err(StartError::Deployment(error)) = other else {
        panic!("two deployments on the same queues: {other:?}");
    };
    assert!(matches!(error, BrokerError::OtherDeployment { .. }));
    let told = error.to_string();
    for part in ["says 2147483647", "says 7", "rabbitmq.prefix"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let elsewhere = TestPrefix::new();
    let moved = start(&elsewhere, Store::of(7)).await.unwrap();
    for queue in [first, again, moved] {
        within("check", queue.check()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_does_not_set_lanes() {
    let prefix = TestPrefix::new();
    let urls = [services::rabbitmq_url()];
    let ours = start(&prefix, Store::of(1)).await.unwrap();
    let lanes = Lanes::new(2).unwrap();
    let set = async |id| set_lanes(&urls, prefix.as_str(), lanes, Some(Store::of(id))).await;
    let refused = set(2).await.unwrap_err();
    assert!(matches!(refused, LanesError::Deployment(_)), "{refused:?}");
    within("check", ours.check()).await.unwrap();
    set(1).await.unwrap();
}

/// A store that was away at the start can turn out to be another deployment's.
#[tokio::test(flavor = "multi_thread")]
async fn no_queue_is_used_before_the_store_has_told_whose_it_is() {
    let prefix = TestPrefix::new();
    let _first = start(&prefix, Store::of(1)).await.unwrap();
    let store = Store::of(None);
    let late = start(&prefix, store.clone()).await.unwrap();
    let source = OrderSource::new(1);
    let publish = async || within("publish", late.publish(source.new_order(SHOW, "1"))).await;
    let refused = publish().await.unwrap_err();
    assert!(
        matches!(refused, PublishError::Unavailable(_)),
        "{refused:?}"
    );
    let told = within("check", late.check()).await.unwrap_err().reason;
    assert!(told.contains("the store is away"), "{told}");

    *store.0.lock() = Some(2);
    until("it is told that it is another deployment", async || {
        let down = within("check", late.check()).await.unwrap_err();
        down.reason.contains("another deployment")
    })
    .await;
    publish().await.unwrap_err();
    let lane = LANES.of(&fixtures::show_id(SHOW));
    assert_eq!(prefix.messages(&format!("standard.{lane}")).await, 0);

    let store = Store::of(None);
    let ours = start(&prefix, store.clone()).await.unwrap();
    *store.0.lock() = Some(1);
    until("it is told that it is ours", async || {
        within("check", ours.check()).await.is_ok()
    })
    .await;
}

/// What says whose queues these are may be deleted by mistake.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_deleted_is_made_again_before_another_deployment_starts() {
    let prefix = TestPrefix::new();
    let first = start(&prefix, Store::of(1)).await.unwrap();
    prefix.delete_queue("deployment").await;
    let deleted = Instant::now();
    until("it is there again", async || {
        prefix.has_queue("deployment").await
    })
    .await;
    promised("no record", deleted.elapsed(), HEALED_WITHIN);
    let other = start(&prefix, Store::of(2)).await.map(drop);
    assert!(matches!(other, Err(StartError::Deployment(_))), "{other:?}");
    within("check", first.check()).await.unwrap();
}

/// It may start right after the record was deleted.
#[tokio::test(flavor = "multi_thread")]
async fn queues_that_become_another_deployments_are_left_until_they_are_ours_again() {
    let prefix = TestPrefix::new();
    let ours = start(&prefix, Store::of(1)).await.unwrap();
    let source = OrderSource::new(1);
    let publish = async || within("publish", ours.publish(source.new_order(SHOW, "1"))).await;
    publish().await.unwrap();
    prefix.record("deployment", 2).await;
    let lane = LANES.of(&fixtures::show_id(SHOW));
    until("it is told whose they are", async || {
        let down = within("check", ours.check()).await;
        down.is_err_and(|down| down.reason.contains("says 2"))
    })
    .await;
    // Each connection finds out for itself, within about a second.
    until("orders are refused", async || publish().await.is_err()).await;
    let before = prefix.messages(&format!("standard.{lane}")).await;
    publish().await.unwrap_err();
    within("open", ours.open_lane(lane))
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(prefix.messages(&format!("standard.{lane}")).await, before);
    prefix.delete_queue("deployment").await;
    until("they are ours again", async || publish().await.is_ok()).await;
    until("readiness says so", async || {
        within("check", ours.check()).await.is_ok()
    })
    .await;
}

/// A prefix that was mistyped must not become that of a new deployment.
#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_makes_nothing() {
    let prefix = TestPrefix::new();
    let looking = RabbitMqConfig {
        only_looks: true,
        ..config(&services::rabbitmq_url(), &prefix)
    };
    let look = async || {
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        RabbitMq::start(&looking, clock, ProcessId::new(1), Some(Store::of(1))).await
    };
    let found = async |queue: &RabbitMq| {
        within("check", queue.check()).await.unwrap();
        within("examine", queue.examine()).await
    };
    let nothing = look().await.unwrap();
    let told = found(&nothing).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].level, Level::Unknown);
    assert!(told[0].remedy.contains("rabbitmq.prefix"), "{told:?}");
    within("list", nothing.list(9)).await.unwrap_err();
    // A process that only looks goes on, and what it misses is not made by that either.
    sleep(Duration::from_secs(3)).await;
    for queue in ["lanes", "deployment", "dead", "standard.0"] {
        assert!(!prefix.has_queue(queue).await, "{queue} was made");
    }
    let _serving = start(&prefix, Store::of(1)).await.unwrap();
    let all = look().await.unwrap();
    assert_eq!(found(&all).await, []);
    assert_eq!(within("list", all.list(9)).await.unwrap(), []);
}
