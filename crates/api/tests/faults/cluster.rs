//! A broker of three nodes, of which one is killed, stopped, frozen or cut off while buyers
//! order. `make test-cluster` starts it.
//!
//! Measured is the longest time without a verdict, for each lane, and without a `202`, for
//! each api process, by orders that are placed all the time.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use parking_lot::Mutex;
use port_contracts::promised;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::buyers::{Buyers, Sale, Told, set_up, shows};
use crate::deployment::{Deployment, Process, eventually};
use crate::proof::prove;
use crate::seed::Chance;

/// Guarantee 9 of docs/ARCHITECTURE.md.
const AVAILABLE_AGAIN: Duration = Duration::from_secs(10);
/// What measuring adds: a probe is placed, then looked at.
const PROBE: Duration = Duration::from_millis(500);

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The three nodes.
struct Cluster {
    urls: String,
}

impl Cluster {
    /// All three of them, whole again whatever was done to them before.
    async fn whole() -> Self {
        let urls = env::var("TICKETS_CLUSTER_URLS")
            .unwrap_or_else(|_| panic!("run these tests by `make test-cluster`"));
        // The script breaks the cluster of this folder: it must be the one that is used.
        let state = env::var("CLUSTER_STATE").unwrap_or_else(|_| ".local/cluster".to_owned());
        let started = Path::new(ROOT).join(format!("{state}.env"));
        let started = fs::read_to_string(&started).unwrap_or_default();
        let ours = format!("TICKETS_CLUSTER_URLS={urls}");
        assert!(
            started.lines().any(|line| line == ours),
            "TICKETS_CLUSTER_URLS is not that of CLUSTER_STATE={state}"
        );
        let cluster = Self { urls };
        cluster.reset().await;
        cluster
    }

    /// Has `deploy/cluster.sh` do something to each of the nodes.
    async fn told(&self, verb: &'static str, nodes: &[u8]) {
        for node in nodes {
            Self::run([verb, &node.to_string()]).await;
        }
    }

    /// Waits until all trust each other again. RabbitMQ with Mnesia keeps the nodes apart
    /// that lost each other while neither stopped, until an operator starts one again; so
    /// does this.
    async fn is_mended(&self) {
        sleep(Duration::from_secs(3)).await;
        self.reset().await;
        sleep(Duration::from_secs(3)).await;
    }

    /// Whatever was done to them is undone.
    async fn reset(&self) {
        Self::run(["reset"]).await;
    }

    async fn run<const N: usize>(arguments: [&str; N]) {
        let mut command = Command::new(Path::new(ROOT).join("deploy/cluster.sh"));
        command.args(arguments);
        let done = tokio::task::spawn_blocking(move || command.output());
        let done = done.await.unwrap().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

/// When something happened last, and how long it did not happen at most.
#[derive(Debug, Clone, Copy)]
struct Silence {
    latest: Instant,
    longest: Duration,
}

impl Silence {
    fn broken(&mut self) {
        self.longest = self.longest.max(self.latest.elapsed());
        self.latest = Instant::now();
    }
}

/// Places orders all the time, of each lane and at each api process.
struct Probes {
    silences: Arc<Mutex<BTreeMap<String, Silence>>>,
    told: Arc<Mutex<Told>>,
    over: CancellationToken,
    tasks: JoinSet<()>,
}

impl Probes {
    fn start(urls: &[String]) -> Self {
        let mut probes = Self {
            silences: Arc::default(),
            told: Arc::default(),
            over: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        // Shows without holds stand one per lane.
        let lanes = shows().into_iter().filter(|show| show.starts_with("sold"));
        for (lane, show) in lanes.enumerate() {
            let (probe, urls) = (probes.probe(format!("verdict, lane {lane}")), urls.to_vec());
            probes.tasks.spawn(probe.decide(urls, show));
        }
        for (number, url) in urls.iter().enumerate() {
            let probe = probes.probe(format!("202, process {number}"));
            probes.tasks.spawn(probe.accept(url.clone()));
        }
        probes
    }

    fn probe(&self, what: String) -> Probe {
        let began = Silence {
            latest: Instant::now(),
            longest: Duration::ZERO,
        };
        self.silences.lock().insert(what.clone(), began);
        Probe {
            what,
            silences: Arc::clone(&self.silences),
            told: Arc::clone(&self.told),
            over: self.over.clone(),
            client: Client::builder()
                .timeout(Duration::from_secs(5))
                .build()
                .unwrap(),
        }
    }

    /// What was silent for how long at most, and what became of the orders.
    async fn stop(mut self) -> (BTreeMap<String, Duration>, Told) {
        self.over.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let silences = self.silences.lock();
        let longest = silences.iter().map(|(what, silence)| {
            let longest = silence.longest.max(silence.latest.elapsed());
            (what.clone(), longest)
        });
        (longest.collect(), self.told.lock().clone())
    }
}

struct Probe {
    what: String,
    silences: Arc<Mutex<BTreeMap<String, Silence>>>,
    told: Arc<Mutex<Told>>,
    over: CancellationToken,
    client: Client,
}

impl Probe {
    fn heard(&self) {
        if let Some(silence) = self.silences.lock().get_mut(&self.what) {
            silence.broken();
        }
    }

    async fn place(&self, url: &str, show: &str) -> Option<String> {
        let body = json!({"show_id": show, "user_id": "probe"});
        let request = self.client.post(format!("{url}/tickets")).json(&body);
        let Ok(answer) = request.send().await else {
            self.told.lock().unanswered += 1;
            return None;
        };
        let is_accepted = answer.status() == 202;
        let ticket: Value = answer.json().await.ok()?;
        let id = ticket["ticket_id"].as_str()?.to_owned();
        let told = &mut *self.told.lock();
        if is_accepted {
            told.accepted.insert(id.clone(), Instant::now());
            Some(id)
        } else {
            told.unknown.insert(id);
            None
        }
    }

    async fn is_decided(&self, url: &str, id: &str) -> bool {
        let answer = self.client.get(format!("{url}/tickets/{id}")).send().await;
        let Ok(answer) = answer else {
            return false;
        };
        let ticket: Value = answer.json().await.unwrap_or_default();
        ticket["status"].is_string() && ticket["status"] != "processing"
    }

    /// One order after the other at whichever process takes it; an order that is not
    /// decided soon has another one placed beside it.
    async fn decide(self, urls: Vec<String>, show: String) {
        let mut open: Vec<String> = Vec::new();
        let mut placed = Instant::now();
        while !self.over.is_cancelled() {
            if open.is_empty() || placed.elapsed() > Duration::from_secs(1) {
                for url in &urls {
                    if let Some(id) = self.place(url, &show).await {
                        open.push(id);
                        break;
                    }
                }
                placed = Instant::now();
            }
            let mut still = Vec::new();
            for id in open {
                if self.is_decided(&urls[0], &id).await || self.is_decided(&urls[1], &id).await {
                    self.heard();
                } else {
                    still.push(id);
                }
            }
            open = still;
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn accept(self, url: String) {
        let shows = shows();
        for show in shows.iter().cycle() {
            if self.over.is_cancelled() {
                return;
            }
            if self.place(&url, show).await.is_some() {
                self.heard();
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Two api processes, three workers, buyers and probes on three nodes.
struct Scene {
    buyers: Buyers,
    probes: Probes,
    // Gone before the deployment, whose queues they would declare again.
    apis: Vec<Process>,
    workers: Vec<Process>,
    deployment: Deployment,
    cluster: Cluster,
}

impl Scene {
    async fn start(chance: &mut Chance) -> Self {
        let cluster = Cluster::whole().await;
        let deployment = Deployment::on_cluster(&cluster.urls).await;
        let (mut apis, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            apis.push(deployment.start_ready("api").await);
        }
        for _ in 0..3 {
            workers.push(deployment.start_ready("worker").await);
        }
        let sale = Sale {
            capacity: 100_000,
            buyers: 12,
            pause: Duration::from_millis(30),
        };
        set_up(&apis[0].url, sale).await;
        let client = Client::new();
        let probe = json!({"id": "probe", "name": "probe"});
        let added = client.post(format!("{}/users", apis[0].url)).json(&probe);
        assert_eq!(added.send().await.unwrap().status(), 201);
        let urls: Vec<_> = apis.iter().map(|api| api.url.clone()).collect();
        let references: Vec<_> = urls.iter().map(String::as_str).collect();
        let buyers = Buyers::start(&references, sale, chance);
        let scene = Self {
            probes: Probes::start(&urls),
            cluster,
            deployment,
            apis,
            workers,
            buyers,
        };
        // Each worker has its share.
        eventually("lanes are shared", async || {
            scene
                .workers
                .iter()
                .all(|worker| !worker.lanes().is_empty())
        })
        .await;
        scene.buyers.have_accepted(200).await;
        scene
    }

    /// Everybody goes home, all nodes are there again; what was promised is compared with
    /// what is. Nothing was silent for longer than `most`.
    async fn end(self, fault: &str, most: Duration) {
        let (silences, probed) = self.probes.stop().await;
        let mut told = self.buyers.stop().await;
        told.extend(probed);
        self.cluster.reset().await;
        let proof = prove(&self.deployment, &self.apis[0].url, told).await;
        assert!(proof.accepted > 500, "{proof:?}");
        for process in self.apis.iter().chain(&self.workers) {
            process.wait_until_ready().await;
        }
        for (what, silence) in silences {
            promised(&format!("{fault}: a {what} again"), silence, most + PROBE);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_killed() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.told("kill", &[node]).await;
        sleep(Duration::from_secs(6)).await;
        // One that starts now needs no more nodes than those that run.
        let started = Instant::now();
        let late = scene.deployment.start_ready("api").await;
        let what = format!("node {node} killed: a new process ready");
        promised(&what, started.elapsed(), AVAILABLE_AGAIN);
        drop(late);
        sleep(Duration::from_secs(6)).await;
        scene.cluster.told("run", &[node]).await;
        sleep(chance.millis(500, 3_000)).await;
    }
    scene.end("node killed", AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.told("stop", &[node]).await;
        scene.cluster.told("run", &[node]).await;
        sleep(chance.millis(500, 3_000)).await;
    }
    scene.end("rolling restart", AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_frozen() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.told("freeze", &[node]).await;
        sleep(Duration::from_secs(15)).await;
        scene.cluster.told("thaw", &[node]).await;
        scene.cluster.is_mended().await;
    }
    scene.end("node frozen", AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_vanished() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.told("vanish", &[node]).await;
        sleep(Duration::from_secs(15)).await;
        scene.cluster.told("heal", &[node]).await;
        scene.cluster.is_mended().await;
    }
    scene.end("node vanished", AVAILABLE_AGAIN).await;
}

/// Clients still reach it.
#[tokio::test(flavor = "multi_thread")]
async fn each_node_cut_off_from_the_others() {
    let mut chance = Chance::new();
    let scene = Scene::start(&mut chance).await;
    for node in 1..=3 {
        scene.cluster.told("cut", &[node]).await;
        sleep(Duration::from_secs(15)).await;
        scene.cluster.told("heal", &[node]).await;
        scene.cluster.is_mended().await;
    }
    scene.end("node cut off", AVAILABLE_AGAIN).await;
}

/// At least so many orders that no worker decides.
async fn backlog(cluster: &Cluster, orders: usize) -> (Deployment, Process, Told) {
    let deployment = Deployment::on_cluster(&cluster.urls).await;
    let api = deployment.start_ready("api").await;
    let sale = Sale::default();
    set_up(&api.url, sale).await;
    let buyers = Buyers::start(&[&api.url], sale, &mut Chance::new());
    buyers.have_accepted(orders).await;
    let told = buyers.stop().await;
    (deployment, api, told)
}

/// A broker in an alarm reads nothing more from a connection that publishes. If the backlog is
/// what raised it, only deciding ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_decided_during_an_alarm() {
    let cluster = Cluster::whole().await;
    let (deployment, api, told) = backlog(&cluster, 2_000).await;
    let watermark = ["ctl", "1", "set_vm_memory_high_watermark", "absolute"];
    let [ctl, node, set, absolute] = watermark;
    Cluster::run([ctl, node, set, absolute, "1"]).await;
    let _worker = deployment.start("worker").await;
    let decided = timeout(AVAILABLE_AGAIN * 6, prove(&deployment, &api.url, told)).await;
    Cluster::run([ctl, node, set, absolute, "1GiB"]).await;
    let proof = decided.unwrap_or_else(|_| panic!("not decided during the alarm"));
    assert!(proof.accepted > 1_000, "{proof:?}");
}

/// A quorum queue without a leader counts no orders and no consumers.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_are_not_set_while_the_broker_cannot_tell_what_is_in_them() {
    let cluster = Cluster::whole().await;
    let (deployment, api, told) = backlog(&cluster, 300).await;
    drop(api);
    cluster.told("kill", &[1, 2]).await;
    for _ in 0..2 {
        let set = deployment.run(&["lanes", "set", "8"]);
        assert!(!set.status.success(), "{set:?}");
    }
    cluster.told("run", &[1]).await;
    let set = deployment.run(&["lanes", "set", "8"]);
    assert!(!set.status.success(), "{set:?}");
    let said = String::from_utf8_lossy(&set.stderr);
    assert!(said.contains("orders"), "{said}");
    cluster.reset().await;
    let api = deployment.start_ready("api").await;
    let _worker = deployment.start_ready("worker").await;
    prove(&deployment, &api.url, told).await;
}
