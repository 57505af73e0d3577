//! A broker of three nodes, of which one is killed, stopped, frozen or cut off while buyers
//! order. `make test-cluster` starts it.
//!
//! Measured is the longest time without a verdict, for each lane, and without a `202`, for
//! each api process, by orders that are placed all the time.

use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use port_contracts::promised;
use test_servers::ROOT;
use tokio::time::{sleep, timeout};

use crate::buyers::{Buyers, Sale, set_up};
use crate::deployment::{Deployment, Process, eventually};
use crate::orders::Orders;
use crate::probes::{AVAILABLE_AGAIN, Stage};
use crate::proof::prove;
use crate::seed::Chance;

/// The three nodes.
struct Cluster(test_servers::Cluster);

impl Cluster {
    /// All three of them, whole again whatever was done to them before.
    async fn whole() -> Self {
        let urls = env::var("TICKETS_CLUSTER_URLS")
            .unwrap_or_else(|_| panic!("run these tests by `make test-cluster`"));
        // The script breaks the cluster of this folder: it must be the one that is used.
        let state = env::var("CLUSTER_STATE").unwrap_or_else(|_| ".local/cluster".to_owned());
        let started = test_servers::Cluster::own(&Path::new(ROOT).join(&state)).unwrap();
        assert_eq!(
            started.urls(),
            urls,
            "TICKETS_CLUSTER_URLS is not that of CLUSTER_STATE={state}"
        );
        let cluster = Self(started);
        cluster.reset().await;
        cluster
    }

    /// Has `deploy/cluster.sh` do something to each of the nodes.
    async fn tell(&self, verb: &str, nodes: &[u8]) {
        for node in nodes {
            self.run(&[verb, &node.to_string()]).await;
        }
    }

    /// Waits until all trust each other again. RabbitMQ with Mnesia keeps the nodes apart
    /// that lost each other while neither stopped, until an operator starts one again; so
    /// does this.
    async fn mend(&self) {
        sleep(Duration::from_secs(3)).await;
        self.reset().await;
        sleep(Duration::from_secs(3)).await;
    }

    /// Whatever was done to them is undone.
    async fn reset(&self) {
        self.run(&["reset"]).await;
    }

    async fn run(&self, arguments: &[&str]) {
        self.0.run(arguments).await.unwrap();
    }
}

/// A sale on three nodes.
struct Scene {
    stage: Stage,
    cluster: Cluster,
}

impl Scene {
    async fn start(chance: &mut Chance) -> Self {
        let cluster = Cluster::whole().await;
        let deployment = Deployment::on_cluster(cluster.0.urls()).await;
        let stage = Stage::start(deployment, chance).await;
        Self { stage, cluster }
    }

    /// Everybody goes home, all nodes are there again; what was promised is compared with
    /// what is. Nothing was silent for longer than `most`.
    async fn end(self, fault: &str, most: Duration) {
        let store = self.stage.deployment.store.clone();
        let ended = self.stage.go_home(&store).await;
        self.cluster.reset().await;
        ended.prove(fault, most).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_killed() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.tell("kill", &[node]).await;
        sleep(Duration::from_secs(6)).await;
        // One that starts now needs no more nodes than those that run.
        let started = Instant::now();
        let late = scene.stage.deployment.start_ready("api").await;
        let what = format!("node {node} killed: a new process ready");
        promised(&what, started.elapsed(), AVAILABLE_AGAIN);
        drop(late);
        sleep(Duration::from_secs(6)).await;
        scene.cluster.tell("run", &[node]).await;
        sleep(chance.millis(500, 3_000)).await;
    }
    scene.end("node killed", AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.tell("stop", &[node]).await;
        scene.cluster.tell("run", &[node]).await;
        sleep(chance.millis(500, 3_000)).await;
    }
    scene.end("rolling restart", AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_frozen() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.tell("freeze", &[node]).await;
        sleep(Duration::from_secs(15)).await;
        scene.cluster.tell("thaw", &[node]).await;
        scene.cluster.mend().await;
    }
    scene.end("node frozen", AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_vanished() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.tell("vanish", &[node]).await;
        sleep(Duration::from_secs(15)).await;
        scene.cluster.tell("heal", &[node]).await;
        scene.cluster.mend().await;
    }
    scene.end("node vanished", AVAILABLE_AGAIN).await;
}

/// Clients still reach it.
#[tokio::test(flavor = "multi_thread")]
async fn each_node_cut_off_from_the_others() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.tell("cut", &[node]).await;
        sleep(Duration::from_secs(15)).await;
        scene.cluster.tell("heal", &[node]).await;
        scene.cluster.mend().await;
    }
    scene.end("node cut off", AVAILABLE_AGAIN).await;
}

/// At least so many orders that no worker decides.
async fn backlog(cluster: &Cluster, orders: usize) -> (Deployment, Process, Orders) {
    let deployment = Deployment::on_cluster(cluster.0.urls()).await;
    let api = deployment.start_ready("api").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut Chance::new());
    buyers.wait_for_accepted(orders).await;
    let orders = buyers.stop().await;
    (deployment, api, orders)
}

/// A broker in an alarm reads nothing more from a connection that publishes. If the backlog is
/// what raised it, only deciding ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_decided_during_an_alarm() {
    let cluster = Cluster::whole().await;
    let (deployment, api, orders) = backlog(&cluster, 2_000).await;
    let set_watermark = async |limit: &str| {
        let set = [
            "ctl",
            "1",
            "set_vm_memory_high_watermark",
            "absolute",
            limit,
        ];
        cluster.run(&set).await;
    };
    set_watermark("1").await;
    let _worker = deployment.start("worker").await;
    let decided = timeout(AVAILABLE_AGAIN * 6, prove(&deployment, &api.url, orders)).await;
    set_watermark("1GiB").await;
    let proof = decided.unwrap_or_else(|_| panic!("not decided during the alarm"));
    assert!(proof.accepted > 1_000, "{proof:?}");
}

/// A quorum queue without a leader counts no orders and no consumers.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_are_not_set_while_the_broker_cannot_tell_what_is_in_them() {
    let cluster = Cluster::whole().await;
    let (deployment, api, orders) = backlog(&cluster, 300).await;
    drop(api);
    cluster.tell("kill", &[1, 2]).await;
    for _ in 0..2 {
        let set = deployment.run(&["lanes", "set", "8"]);
        assert!(!set.status.success(), "{set:?}");
    }
    cluster.tell("run", &[1]).await;
    // Two of three choose the lanes' leaders first; until then they cannot tell.
    eventually("lanes are refused for their orders", async || {
        let set = deployment.run(&["lanes", "set", "8"]);
        assert!(!set.status.success(), "{set:?}");
        String::from_utf8_lossy(&set.stderr).contains("orders")
    })
    .await;
    cluster.reset().await;
    let api = deployment.start_ready("api").await;
    let _worker = deployment.start_ready("worker").await;
    prove(&deployment, &api.url, orders).await;
}
