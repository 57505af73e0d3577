//! The metrics of a process, as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use tokio::time::sleep;

use crate::helpers::{DEADLINE, TestService, config_dir};

/// What was read once. Whatever is against the text format 0.0.4, or not as `docs/OPERATIONS.md` has
/// it, fails the test.
pub(crate) struct Scraped {
    pub(crate) text: String,
    /// By name and labels.
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

/// The labels of each name, as operators read them.
static DOCUMENTED: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let path = config_dir().join("../docs/OPERATIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("<!-- metrics -->").unwrap();
    let (table, _) = table.split_once("<!-- /metrics -->").unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    };
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').collect();
        let labels = quoted(cells[3]).into_iter().collect();
        (quoted(cells[1]).remove(0), labels)
    };
    rows.map(row).collect()
});

/// What a process's listener of metrics answers to `method`.
///
/// # Errors
/// When nothing listens there.
#[expect(
    clippy::disallowed_methods,
    reason = "the listener is no part of the HTTP API"
)]
pub(crate) async fn ask(
    listener: SocketAddr,
    method: Method,
    path: &str,
) -> reqwest::Result<Response> {
    let url = format!("http://{listener}{path}");
    reqwest::Client::new().request(method, url).send().await
}

/// What a process's listener of metrics answers to a `GET`.
pub(crate) async fn answer(service: &TestService, path: &str) -> Response {
    let listener = service.metrics.unwrap();
    ask(listener, Method::GET, path).await.unwrap()
}

impl Scraped {
    pub(crate) async fn of(service: &TestService) -> Self {
        let answer = answer(service, "/metrics").await;
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        Self::parse(answer.text().await.unwrap())
    }

    /// Reads again and again until `done` likes it.
    pub(crate) async fn when(service: &TestService, done: impl Fn(&Self) -> bool) -> Self {
        let started = Instant::now();
        loop {
            let scraped = Self::of(service).await;
            if done(&scraped) {
                return scraped;
            }
            assert!(started.elapsed() < DEADLINE, "{}", scraped.text);
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn parse(text: String) -> Self {
        let mut samples = BTreeMap::new();
        let mut families = BTreeSet::new();
        let (mut helped, mut family, mut kind) = ("", "", "");
        assert!(text.ends_with('\n'), "the last line has no end");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(families.insert(name.to_owned()), "{name} is there twice");
                assert!(!help.is_empty(), "{line}");
                helped = name;
            } else if let Some(of) = line.strip_prefix("# TYPE ") {
                (family, kind) = of.split_once(' ').unwrap();
                assert_eq!(family, helped, "{line}");
                assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series_of(series);
                let ending = name.strip_prefix(family);
                let endings: &[&str] = match kind {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(ending.is_some_and(|it| endings.contains(&it)), "{line}");
                let value: f64 = value.parse().unwrap();
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                let key = (name, labels);
                assert!(samples.insert(key, value).is_none(), "twice: {line}");
            }
        }
        let scraped = Self { text, samples };
        scraped.assert_buckets();
        scraped.assert_documented();
        scraped
    }

    /// Each bucket has what is in the one before it, too, and the last one has all.
    fn assert_buckets(&self) {
        let mut buckets: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.samples {
            if let Some(name) = name.strip_suffix("_bucket") {
                let mut labels = labels.clone();
                let end = labels.remove("le").unwrap().parse().unwrap();
                let ends = buckets.entry((name, labels)).or_default();
                ends.push((end, *value));
            }
        }
        for ((name, labels), mut ends) in buckets {
            ends.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(ends.is_sorted_by_key(|(_, count)| *count), "{name}");
            let count = self.samples[&(format!("{name}_count"), labels)];
            assert_eq!(ends.last(), Some(&(f64::INFINITY, count)), "{name}");
        }
    }

    fn assert_documented(&self) {
        for (name, labels) in self.samples.keys() {
            let endings = ["_bucket", "_sum", "_count", ""];
            let mut names = endings
                .iter()
                .filter_map(|ending| name.strip_suffix(ending));
            let documented = names.find_map(|name| DOCUMENTED.get(name));
            let labels = labels.keys().filter(|label| *label != "le");
            let labels: BTreeSet<_> = labels.cloned().collect();
            assert_eq!(documented, Some(&labels), "{name}");
        }
    }

    /// All values of a name, by labels of which these are some.
    pub(crate) fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let has = |of: &BTreeMap<String, String>| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| of.get(*name).is_some_and(|it| it == value))
        };
        let samples = self.samples.iter();
        let samples = samples.filter(|((of, labels), _)| of == name && has(labels));
        samples.map(|(_, value)| *value).collect()
    }

    /// Their sum.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).into_iter().sum()
    }

    /// Every value that a label of a name has.
    pub(crate) fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.samples.keys().filter(|(of, _)| of == name);
        let values = samples.filter_map(|(_, labels)| labels.get(label));
        values.map(String::as_str).collect()
    }
}

/// A name, and its labels.
fn series_of(series: &str) -> (String, BTreeMap<String, String>) {
    let is_name = |text: &str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !text.is_empty() && text.chars().all(is_plain)
    };
    let Some((name, labels)) = series.split_once('{') else {
        assert!(is_name(series), "{series}");
        return (series.to_owned(), BTreeMap::new());
    };
    assert!(is_name(name), "{series}");
    let mut rest = labels.strip_suffix('}').unwrap();
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        // No value here has anything that would be escaped.
        let (label, quoted) = rest.split_once("=\"").unwrap();
        let (value, next) = quoted.split_once('"').unwrap();
        assert!(is_name(label) && !value.contains('\\'), "{series}");
        let before = found.insert(label.to_owned(), value.to_owned());
        assert_eq!(before, None, "{series}");
        rest = next.strip_prefix(',').unwrap_or(next);
    }
    (name.to_owned(), found)
}
