//! A primary and its replica, which change their roles while buyers order.

use std::time::Duration;

use test_servers::DatabaseServer;
use tokio::time::sleep;

use crate::deployment::Deployment;
use crate::orders::now;
use crate::probes::{AVAILABLE_AGAIN, Stage};
use crate::seed::Chance;

const DATABASE: &str = "tickets";
/// Processes are killed, machines are not: a replica that is made anew has caught up sooner.
const OPTIONS: &[&str] = &["--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"];

/// How often: `make test-pair` switches more often than `make test`.
fn switches() -> usize {
    let switches = std::env::var("TICKETS_FAULT_SWITCHES");
    switches.map_or(2, |number| number.parse().unwrap())
}

/// The first is the primary.
struct Pair {
    servers: [DatabaseServer; 2],
    is_semi_synchronous: bool,
}

impl Pair {
    async fn start(is_semi_synchronous: bool) -> Self {
        let (primary, replica) = tokio::join!(
            DatabaseServer::start(OPTIONS),
            DatabaseServer::start(OPTIONS)
        );
        let mut pair = Self {
            servers: [primary, replica],
            is_semi_synchronous,
        };
        pair.follow().await;
        pair
    }

    fn urls(&self) -> Vec<String> {
        let servers = self.servers.iter();
        servers.map(|server| server.url_of(DATABASE)).collect()
    }

    fn primary(&self) -> String {
        self.servers[0].url_of(DATABASE)
    }

    /// The second one follows the first, which waits for it from then on.
    async fn follow(&mut self) {
        let [primary, replica] = &self.servers;
        if self.is_semi_synchronous {
            replica.acknowledge().await;
        }
        replica.follow(primary).await;
        replica.catch_up(primary).await;
        primary.wait_for_replicas(self.is_semi_synchronous).await;
    }

    /// As an operator does it.
    async fn switch(&mut self) {
        let [primary, replica] = &self.servers;
        primary.demote().await;
        replica.catch_up(primary).await;
        primary.wait_for_replicas(false).await;
        replica.promote().await;
        self.servers.swap(0, 1);
        self.follow().await;
    }

    /// The primary is gone from one moment to the next. It comes back as a replica without data:
    /// what it has that the other one has not is nobody's.
    async fn fail_over(&mut self) {
        let [primary, replica] = &mut self.servers;
        primary.kill();
        sleep(Duration::from_secs(1)).await;
        replica.promote().await;
        primary.start_afresh().await;
        self.servers.swap(0, 1);
        self.follow().await;
    }
}

async fn planned(is_semi_synchronous: bool, name: &str) {
    let mut chance = Chance::new();
    let mut pair = Pair::start(is_semi_synchronous).await;
    let deployment = Deployment::on_databases(&pair.urls()).await;
    let stage = Stage::start(deployment, &mut chance).await;
    for _ in 0..switches() {
        sleep(chance.millis(2_000, 4_000)).await;
        pair.switch().await;
        sleep(Duration::from_secs(4)).await;
    }
    let ended = stage.go_home(&pair.primary()).await;
    ended.prove(name, AVAILABLE_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_switches_with_asynchronous_replication() {
    planned(false, "planned switch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_switches_with_semi_synchronous_replication() {
    planned(true, "planned switch, semi-synchronous").await;
}

/// Nothing that a buyer was told is lost: no commit is answered before the replica has it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_primaries_with_semi_synchronous_replication() {
    let mut chance = Chance::new();
    let mut pair = Pair::start(true).await;
    let deployment = Deployment::on_databases(&pair.urls()).await;
    let stage = Stage::start(deployment, &mut chance).await;
    for _ in 0..switches() {
        sleep(chance.millis(2_000, 4_000)).await;
        pair.fail_over().await;
        sleep(Duration::from_secs(4)).await;
    }
    let ended = stage.go_home(&pair.primary()).await;
    ended
        .prove("primary killed, semi-synchronous", AVAILABLE_AGAIN)
        .await;
}

/// What the replica had not received yet is lost, which nobody can help; of what was told
/// until two seconds before, nothing is.
#[expect(clippy::print_stderr, reason = "shown with a failed test")]
#[tokio::test(flavor = "multi_thread")]
async fn killed_primaries_with_asynchronous_replication() {
    let mut chance = Chance::new();
    let mut pair = Pair::start(false).await;
    let deployment = Deployment::on_databases(&pair.urls()).await;
    let stage = Stage::start(deployment, &mut chance).await;
    let mut killed = Vec::new();
    for _ in 0..switches() {
        sleep(chance.millis(2_000, 4_000)).await;
        killed.push(now());
        pair.fail_over().await;
        sleep(Duration::from_secs(4)).await;
    }
    let mut ended = stage.go_home(&pair.primary()).await;
    let lost = ended.forget_lost(&killed, Duration::from_secs(2)).await;
    eprintln!(
        "measured: {lost} orders lost with {} primaries",
        killed.len()
    );
    ended
        .prove("primary killed, asynchronous", AVAILABLE_AGAIN)
        .await;
}

/// The primary stays reachable, and says that it takes no changes, for as long as the test wants;
/// nothing takes changes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn no_primary_for_a_while() {
    let mut chance = Chance::new();
    let pair = Pair::start(false).await;
    let deployment = Deployment::on_databases(&pair.urls()).await;
    let stage = Stage::start(deployment, &mut chance).await;
    let [primary, _] = &pair.servers;
    primary.demote().await;
    stage.wait_until_everybody_says(503).await;
    primary.take_changes_again().await;
    stage.wait_until_everybody_says(200).await;
    stage.wait_for_accepted(1_000).await;
    stage
        .go_home(&pair.primary())
        .await
        .prove("no primary", Duration::from_secs(30))
        .await;
}
