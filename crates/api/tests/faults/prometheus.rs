//! A Prometheus that scrapes the processes of a test and evaluates the alerts that operators have.
//! For it every duration in `alerts.yml` is a tenth, so that a test needs no minutes; limits, such
//! as how long an order may wait, are as they are.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use black_box::process;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_servers::ports;

use crate::deployment::eventually;

const CONFIGURATION: &str = "
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [alerts.yml]
scrape_configs:
  - job_name: tickets
    file_sd_configs: [{ files: [targets.json], refresh_interval: 1s }]
";

/// Ended and removed when dropped.
pub(crate) struct Prometheus {
    process: process::Process,
    client: Client,
    folder: TempDir,
    /// It has scraped all processes, for which it takes its time: nobody was there until then.
    since: Instant,
}

impl Prometheus {
    /// Scrapes these, each by its role, and has done so when it is returned.
    pub(crate) async fn start(targets: &[(&str, SocketAddr)]) -> Self {
        let folder = TempDir::new().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR"));
        let rules = rules.join("../../deploy/observability/alerts.yml");
        let rules = tenth(&fs::read_to_string(rules).unwrap());
        fs::write(folder.path().join("alerts.yml"), rules).unwrap();
        fs::write(folder.path().join("prometheus.yml"), CONFIGURATION).unwrap();
        write_targets(folder.path(), targets);
        let prometheus = env::var("PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
        let port = ports::lasting().unwrap();
        let mut command = Command::new(&prometheus);
        command
            .current_dir(folder.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap());
        let started = process::Process::start(command, port, "/-/ready").await;
        let process = started.unwrap_or_else(|error| {
            let log = fs::read_to_string(folder.path().join("log")).unwrap();
            panic!(
                "{error:#}; `make prometheus` installs Debian's {prometheus} as root, or set \
                 PROMETHEUS\n{log}"
            )
        });
        let mut prometheus = Self {
            process,
            client: Client::new(),
            folder,
            since: Instant::now(),
        };
        let up = targets.len() as f64;
        eventually("all processes are scraped", async || {
            let answer = prometheus.ask("sum(up)").await;
            answer.iter().any(|(_, sum)| *sum == up)
        })
        .await;
        prometheus.wait_until_only(&[]).await;
        prometheus.since = Instant::now();
        prometheus
    }

    /// Scrapes these from now on; all others are gone.
    pub(crate) fn scrape(&self, targets: &[(&str, SocketAddr)]) {
        write_targets(self.folder.path(), targets);
    }

    /// What a query comes to now: the labels and the value of each series.
    #[expect(clippy::disallowed_methods, reason = "Prometheus answers")]
    pub(crate) async fn ask(&self, query: &str) -> Vec<(Value, f64)> {
        let url = format!("http://{}/api/v1/query", self.process.address);
        let url = Url::parse_with_params(&url, [("query", query)]).unwrap();
        let asked = self.client.get(url).send().await;
        let answer: Value = asked.unwrap().json().await.unwrap();
        let series = answer["data"]["result"].as_array();
        let series = series.unwrap_or_else(|| panic!("{query}: {answer}"));
        let series = series.iter().map(|series| {
            let value = series["value"][1].as_str().unwrap();
            (series["metric"].clone(), value.parse().unwrap())
        });
        series.collect()
    }

    /// Alerts that have fired since the start.
    pub(crate) async fn fired(&self) -> BTreeSet<String> {
        let seconds = self.since.elapsed().as_secs();
        let fired = format!("last_over_time(ALERTS{{alertstate=\"firing\"}}[{seconds}s])");
        self.alerts(&fired).await
    }

    async fn alerts(&self, query: &str) -> BTreeSet<String> {
        let alerts = self.ask(query).await.into_iter();
        let names = alerts.map(|(labels, _)| labels["alertname"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// Waits until these fire, and no others.
    pub(crate) async fn wait_until_only(&self, expected: &[&str]) {
        self.wait_until(expected, |firing| firing.len() == expected.len())
            .await;
    }

    /// Waits until these fire, whatever else does.
    pub(crate) async fn wait_until_also(&self, expected: &[&str]) {
        self.wait_until(expected, |_| true).await;
    }

    #[expect(clippy::print_stderr, reason = "shown with a failed test")]
    async fn wait_until(&self, expected: &[&str], others: impl Fn(&BTreeSet<String>) -> bool) {
        let mut before = BTreeSet::new();
        eventually(&format!("{expected:?}"), async || {
            let firing = self.alerts("ALERTS{alertstate=\"firing\"}").await;
            if firing != before {
                eprintln!("firing: {firing:?}");
                before.clone_from(&firing);
            }
            others(&firing) && expected.iter().all(|name| firing.contains(*name))
        })
        .await;
    }
}

/// Prometheus sees that the file has changed: it is another one.
fn write_targets(folder: &Path, targets: &[(&str, SocketAddr)]) {
    let target = |(role, address): &(&str, SocketAddr)| {
        let targets = [address.to_string()];
        json!({"targets": targets, "labels": {"service": role}})
    };
    let targets: Value = targets.iter().map(target).collect();
    let new = folder.join("new");
    fs::write(&new, targets.to_string()).unwrap();
    fs::rename(new, folder.join("targets.json")).unwrap();
}

/// The rules with a tenth of each duration: `for`, and ranges.
fn tenth(rules: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let mut shorter = String::new();
    for piece in rules.split_inclusive(|c| !is_word(c)) {
        let (word, rest) = piece.split_at(piece.find(|c| !is_word(c)).unwrap_or(piece.len()));
        let unit = [("s", 100), ("m", 6_000)];
        let millis = unit.iter().find_map(|(unit, millis)| {
            let number: u64 = word.strip_suffix(unit)?.parse().ok()?;
            Some(number * millis)
        });
        shorter += &millis.map_or(word.to_owned(), |millis| format!("{millis}ms"));
        shorter += rest;
    }
    shorter
}
