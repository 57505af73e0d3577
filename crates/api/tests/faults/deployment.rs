//! Processes of their own on a database and a part of the broker, with a proxy
//! before each server.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use black_box::process;
use port_contracts::DEADLINE;
use reqwest::Client;
use serde_json::Value;
use tcp_proxy::{TcpProxy, host_and_port};
use tempfile::TempDir;
use test_servers::{ports, services};
use tokio::time::sleep;
use uuid::Uuid;

use crate::backend::Backend;
use crate::contract::send;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The folder of settings.
pub(crate) const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");

/// Everything that the processes of a test share.
pub(crate) struct Deployment {
    pub(crate) broker: TcpProxy,
    pub(crate) database: TcpProxy,
    variables: Vec<(String, String)>,
    logs: Option<TempDir>,
    started: Cell<u32>,
    /// URL of the database, past the proxy.
    pub(crate) store: String,
    pub(crate) backend: Backend,
}

impl Deployment {
    /// A migrated database and nothing that runs. Orders wait for a busy broker:
    /// none is refused because the machine is slow.
    pub(crate) async fn new() -> Self {
        Self::with_publish_timeout_ms(60_000).await
    }

    /// Orders wait as long for the broker as `config/base.toml` says.
    pub(crate) async fn impatient() -> Self {
        Self::with_publish_timeout_ms(2_000).await
    }

    /// On a broker of several nodes, without a proxy before it; `urls` as in
    /// `rabbitmq.urls`.
    pub(crate) async fn on_cluster(urls: &str) -> Self {
        let first = urls.split(',').next().unwrap();
        let backend = Backend::on_cluster(first).await;
        let mut deployment = Self::unmigrated(backend, 2_000).await;
        deployment
            .variables
            .retain(|(name, _)| name != "APP__RABBITMQ__URL");
        let urls = ("APP__RABBITMQ__URLS".to_owned(), urls.to_owned());
        deployment.variables.push(urls);
        deployment.migrate();
        deployment
    }

    /// On database servers of the test's own, without a proxy before them.
    pub(crate) async fn on_databases(urls: &[String]) -> Self {
        let mut deployment = Self::unmigrated(Backend::start().await, 2_000).await;
        deployment
            .variables
            .retain(|(name, _)| name != "APP__MYSQL__URL");
        let urls = ("APP__MYSQL__URLS".to_owned(), urls.join(","));
        deployment.variables.push(urls);
        deployment.migrate();
        deployment
    }

    async fn with_publish_timeout_ms(publish_timeout_ms: u32) -> Self {
        let backend = Backend::start().await;
        let deployment = Self::unmigrated(backend, publish_timeout_ms).await;
        deployment.migrate();
        deployment
    }

    fn migrate(&self) {
        let migrated = self.run(&["migrate"]);
        assert!(migrated.status.success(), "{migrated:?}");
    }

    async fn unmigrated(backend: Backend, publish_timeout_ms: u32) -> Self {
        let broker = TcpProxy::start(&host_and_port(&services::rabbitmq_url()))
            .await
            .unwrap();
        let database = TcpProxy::start(&host_and_port(&services::mysql_url()))
            .await
            .unwrap();
        let mut variables = backend.variables();
        for (name, value) in &mut variables {
            match name.as_str() {
                "APP__RABBITMQ__URL" => *value = broker.url(value),
                "APP__MYSQL__URL" => *value = database.url(value),
                _ => {}
            }
        }
        let publish_timeout_ms = publish_timeout_ms.to_string();
        for (name, value) in [
            ("APP__QUEUE__PUBLISH_TIMEOUT_MS", &*publish_timeout_ms),
            ("APP__SERVER__SHUTDOWN_DEADLINE_SECONDS", "600"),
            ("APP__LOG__FORMAT", "json"),
            ("APP__LOG__LEVEL", "info"),
            ("APP__STORE__SEED_DEMO", "false"),
        ] {
            variables.push((name.to_owned(), value.to_owned()));
        }
        Self {
            broker,
            database,
            variables,
            logs: Some(TempDir::new().unwrap()),
            started: Cell::new(0),
            store: backend.database().url(),
            backend,
        }
    }

    /// The settings that all processes have.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickets"));
        command
            .args(arguments)
            .env("APP_CONFIG_DIR", CONFIG)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts `tickets serve --role <role>` and waits until it listens.
    pub(crate) async fn start(&self, role: &str) -> Process {
        self.start_with(role, &[]).await
    }

    /// As [`Self::start`], with no proxy before the database.
    pub(crate) async fn start_beside_the_proxy(&self, role: &str) -> Process {
        let url = self.backend.database().url();
        let process = self.start_with(role, &[("APP__MYSQL__URL", &url)]).await;
        process.wait_until_ready().await;
        process
    }

    /// As [`Self::start`], with more settings.
    pub(crate) async fn start_with(&self, role: &str, variables: &[(&str, &str)]) -> Process {
        let number = self.started.get();
        self.started.set(number + 1);
        let folder = self.logs.as_ref().unwrap().path();
        let log = folder.join(format!("{number}-{role}.log"));
        let port = ports::lasting().unwrap();
        let mut command = self.command(&["serve", "--role", role]);
        command
            .envs(variables.iter().copied())
            .env("APP__SERVER__PORT", port.to_string())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        let mut process = process::Process::spawn(command, port).unwrap();
        let listens = process.wait_for_answer("/health", DEADLINE, |_| true).await;
        listens.unwrap();
        Process {
            url: format!("http://{}", process.address),
            process,
            log,
        }
    }

    /// As [`Self::start`], and waits until it is ready.
    pub(crate) async fn start_ready(&self, role: &str) -> Process {
        let process = self.start(role).await;
        process.wait_until_ready().await;
        process
    }
}

impl Drop for Deployment {
    /// The logs of a test that failed are kept.
    #[expect(clippy::print_stderr, reason = "shown with a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(logs) = self.logs.take()
        {
            eprintln!("logs of the processes: {}", logs.keep().display());
        }
    }
}

/// A serving process; killed when dropped.
pub(crate) struct Process {
    process: process::Process,
    log: PathBuf,
    pub(crate) url: String,
}

impl Process {
    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// `STOP`, `CONT`, `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        self.process.signal(name).await.unwrap();
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended().unwrap()
    }

    /// What it has logged so far.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        // The last line may be half written.
        let lines = text.lines().map(serde_json::from_str);
        lines.filter_map(Result::ok).collect()
    }

    /// Where its metrics are read.
    pub(crate) fn metrics(&self) -> SocketAddr {
        let lines = self.log_lines();
        let mut addresses = lines
            .iter()
            .filter_map(|line| line["metrics.address"].as_str());
        addresses.next().unwrap().parse().unwrap()
    }

    /// Status and body of its readiness.
    pub(crate) async fn readiness(&self) -> Option<(u16, Value)> {
        let request = Client::new().get(format!("{}/health/ready", self.url));
        let answer = send(request).await.ok()?;
        Some((answer.status().as_u16(), answer.json().await.ok()?))
    }

    pub(crate) async fn wait_until_ready(&self) {
        eventually("readiness", async || {
            matches!(self.readiness().await, Some((200, _)))
        })
        .await;
    }

    /// Lanes that it owns, as far as it has logged.
    pub(crate) fn lanes(&self) -> BTreeSet<String> {
        let mut lanes = BTreeSet::new();
        for line in self.log_lines() {
            let lane = line["queue.lane"].as_str().unwrap_or_default().to_owned();
            match line["message"].as_str() {
                Some("owns the lane") => {
                    lanes.insert(lane);
                }
                Some("gave the lane up") => {
                    lanes.remove(&lane);
                }
                _ => {}
            }
        }
        lanes
    }
}

/// The ticket, as the api process at `url` has it. Asked for again while the store is
/// too busy to answer in time.
pub(crate) async fn ticket(client: &Client, url: &str, id: Uuid) -> Value {
    let mut ticket = Value::Null;
    eventually("a ticket is read", async || {
        let answer = send(client.get(format!("{url}/tickets/{id}"))).await;
        let answer = answer.unwrap();
        let status = answer.status();
        ticket = answer.json().await.unwrap();
        assert!(status == 200 || status == 503, "{id}: {ticket}");
        status == 200
    })
    .await;
    ticket
}

/// Waits until `done`, so long that only what hangs is missed; `what` names what
/// did not happen. Returns how long it took.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !done().await {
        assert!(
            started.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}"
        );
        sleep(LOOK_AGAIN).await;
    }
    started.elapsed()
}
