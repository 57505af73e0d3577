//! A broker's queues are used by one deployment only.

use std::sync::Arc;
use std::time::Duration;

use adapter_rabbitmq::{BrokerError, LanesError, RabbitMq, RabbitMqConfig, StartError, set_lanes};
use async_trait::async_trait;
use domain::order::Lanes;
use domain::ports::{
    Dependency, DependencyDown, DeploymentId, PublishError, StoreIdentity, TicketPublisher,
};
use domain::receipt::ProcessId;
use parking_lot::Mutex;
use port_contracts::fixtures::OrderSource;
use port_contracts::services::{self, TestPrefix};
use port_contracts::{LANES, ManualClock, fixtures, within};

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
