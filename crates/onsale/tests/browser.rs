//! How reports and pictures look in Chromium: by light and by dark, on a desk, a
//! tablet and a phone. `browser/measure.js` measures.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use onsale::{kinds_of_faults, page_of};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use self::support::{TOKEN, service};

/// Of a phone, a tablet and a desk, in CSS pixels.
const WIDTHS: [u32; 3] = [390, 768, 1280];
const MEASURE: &str = include_str!("browser/measure.js");
/// Everything that plots and tables can show, in a second.
const SCENARIO: &str = r#"
about = "Everything that a report can show"
[[arrivals.phases]]
shape = "flat"
orders = 300
seconds = 1
[shows]
seats = 100
hold_seconds = 1
[users]
number = 200
[holds]
confirm = 0.6
cancel = 0.2
lapse = 0.2
[readers]
poll = 0.3
poll_interval_ms = 50
websocket = 0.4
websocket_connections = 4
"#;

/// What the script found in one frame.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    document: String,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    is_dark: bool,
    #[serde(default)]
    font: String,
    #[serde(default)]
    brightness: f64,
    problems: Vec<String>,
    #[serde(default)]
    counts: BTreeMap<String, u32>,
    /// Whether a class changes anything.
    #[serde(default)]
    classes: BTreeMap<String, bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Dark = 0,
    Light = 1,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_readable_in_light() {
    expect_readable(Scheme::Light, &reports().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_readable_in_dark() {
    expect_readable(Scheme::Dark, &reports().await).await;
}

#[tokio::test]
async fn pictures_of_the_documents_are_readable() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pictures = ["benchmarks.svg", "benchmarks-flash-sale.svg"].map(|name| {
        let picture = fs::read_to_string(docs.join(name)).unwrap();
        (name.to_owned(), format!("<!doctype html>{picture}"))
    });
    for scheme in [Scheme::Light, Scheme::Dark] {
        // They are shown on pages that are wide, and shrink elsewhere.
        for finding in look_at(scheme, &pictures, &[900]).await {
            assert!(finding.problems.is_empty(), "{scheme:?}: {finding:#?}");
            assert!(finding.counts["texts"] > 10, "{finding:?}");
            assert_eq!(finding.brightness < 0.1, scheme == Scheme::Dark);
        }
    }
}

async fn expect_readable(scheme: Scheme, reports: &[(String, String)]) {
    let findings = look_at(scheme, reports, &WIDTHS).await;
    assert_eq!(findings.len(), reports.len() * WIDTHS.len());
    let mut problems = String::new();
    let mut classes: BTreeMap<&str, bool> = BTreeMap::new();
    for finding in &findings {
        let Finding {
            document, width, ..
        } = finding;
        for problem in &finding.problems {
            writeln!(problems, "{document}, {width} wide, {scheme:?}: {problem}").unwrap();
        }
        for (class, matters) in &finding.classes {
            *classes.entry(class).or_default() |= matters;
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
    for (finding, width) in findings.iter().zip(WIDTHS.iter().cycle()) {
        // What was not there was not looked at.
        assert_eq!(finding.width, *width);
        assert_eq!(finding.is_dark, scheme == Scheme::Dark, "{finding:?}");
        assert_eq!(
            finding.brightness < 0.1,
            scheme == Scheme::Dark,
            "{finding:?}"
        );
        assert!(finding.font.contains("sans-serif"), "{}", finding.font);
        let counts = &finding.counts;
        assert_eq!(counts["plots"], 6, "{counts:?}");
        assert!(counts["texts"] > 300 && counts["keys"] >= 10 && counts["tables"] >= 7);
        assert_eq!(counts["keys"], counts["curves"]);
    }
    let useless: Vec<_> = classes.iter().filter(|(_, matters)| !**matters).collect();
    assert!(useless.is_empty(), "no style for the classes {useless:?}");
    assert!(classes.len() > 30, "{classes:?}");
}

/// The page of a run, and the same with everything in it that can go wrong.
async fn reports() -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let report = run(&folder).await;
    [("a run", report.clone()), ("all that can be", full(report))]
        .map(|(name, report)| (name.to_owned(), page_of(report).unwrap()))
        .into()
}

/// What a run in memory reports.
async fn run(folder: &TempDir) -> Value {
    let (scenario, json) = (
        folder.path().join("small.toml"),
        folder.path().join("small.json"),
    );
    fs::write(&scenario, SCENARIO).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_onsale"))
        .arg("run")
        .args(["--url", &format!("http://{}", service().await)])
        .arg("--scenario")
        .arg(&scenario)
        .arg("--json")
        .arg(&json)
        .env("APP__ADMIN__TOKEN", TOKEN)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

/// With long names, large figures, faults of every kind, violations and more
/// processes than there are colours.
fn full(mut report: Value) -> Value {
    const POINTS: usize = 120;
    report["passed"] = json!(false);
    report["scenario"]["about"] = json!("Words that go on and on. ".repeat(12));
    report["violations"]["lost"] = json!(1_234_567);
    let id = "0198c7a2-7c1e-7d0b-9a53-0c4f5e7d1b2a";
    report["examples"] = json!([format!(
        "lost: the order of user run-01234567-u123456 was accepted as {id} and has no verdict"
    )]);
    report["missed"] = json!(["all decided after 200.00 s, not 165 s"]);
    report["orders"]["sent"] = json!(12_345_678);
    report["verdicts"]["capacity"] = json!(80_000_000);
    report["setting"]["command"] = json!("onsale run --scenario ".to_owned() + &"long/".repeat(60));
    report["setting"]["versions"]["store"] =
        json!("MariaDB 11.8.3, flushed at every commit, doublewrite on, 1 GiB of buffer pool");
    report["unanswered"] = json!([{"request": "order", "why": "timed_out", "count": 1_234_567}]);

    let series = &mut report["series"];
    series["interval_seconds"] = json!(10.0);
    let rising = |most: usize| (0..POINTS).map(|at| at * most / POINTS).collect::<Vec<_>>();
    for rates in [
        "arrivals",
        "sent",
        "accepted",
        "refused_by_gate",
        "verdicts",
        "heard",
    ] {
        series[format!("{rates}_per_second")] = json!(rising(1_234_567 + 10_000 * rates.len()));
    }
    for counts in ["backlog", "held", "sold", "available"] {
        series[counts] = json!(rising(1_234_567));
    }
    let distribution = json!({
        "count": 12_345_678, "mean": 1.5, "p50": 150, "p75": 900, "p90": 12_345, "p95": 123_456,
        "p99": 1_234_567, "p999": 12_345_678, "p9999": 123_456_789, "max": 234_567_890
    });
    for name in [
        "order_to_accepted",
        "order_answer",
        "order_to_verdict",
        "accepted_to_verdict",
        "order_to_heard_by_poll",
        "order_to_heard_by_websocket",
        "verdict_to_heard_by_websocket",
        "poll",
        "confirm",
        "cancel",
    ] {
        report["latency_micros"][name] = distribution.clone();
    }
    let processes = (0..13).map(|number| {
        json!({
            "name": format!("tickets worker {number}"), "start_mib": 20.1, "peak_mib": 12_345.6,
            "end_mib": 1_234.5, "cpu_micros_per_order": 1_234.5, "cpu_seconds": 1_234.5,
            "resident_mib": [[-0.5, 20.1], [60.0, 99.0 + f64::from(number)], [1_200.0, 30.0]]
        })
    });
    report["processes"] = processes.collect();
    let faults = kinds_of_faults().enumerate().map(|(place, kind)| {
        json!({
            "kind": kind, "target": format!("tickets worker {place}"),
            "at_seconds": 50.0 + 85.0 * place as f64, "lasted_seconds": 3.5 * place as f64,
            "without_verdict_seconds": 1_234.567, "show_without_verdict_seconds": 1_234.567,
            "without_acceptance_seconds": 0.0
        })
    });
    report["faults"] = faults.collect();
    report
}

/// Has every document measured at every width, in one start of the browser.
async fn look_at(scheme: Scheme, documents: &[(String, String)], widths: &[u32]) -> Vec<Finding> {
    let attribute = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
    let mut frames = String::new();
    for (name, document) in documents {
        for width in widths {
            // A window cannot be narrower than 500 pixels, a frame can.
            writeln!(
                frames,
                "<iframe data-document=\"{name}\" style=\"width: {width}px; height: 900px; border: 0\" \
                 srcdoc=\"{}\"></iframe>",
                attribute(document)
            )
            .unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.html");
    let page = format!(
        "<!doctype html><html style=\"color-scheme: light dark\"><meta charset=\"utf-8\">\
         <script id=\"findings\" type=\"application/json\"></script><script>{MEASURE}</script>\
         <body>{frames}</body></html>"
    );
    fs::write(&file, page).unwrap();
    let output = Command::new(chromium())
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--virtual-time-budget=10000",
            "--window-size=1400,1000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            scheme as u8
        ))
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let dumped = String::from_utf8_lossy(&output.stdout);
    let found = dumped
        .split_once("<script id=\"findings\" type=\"application/json\">")
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map(|(found, _)| found)
        .filter(|found| !found.is_empty());
    let Some(found) = found else {
        let told = String::from_utf8_lossy(&output.stderr);
        panic!("Chromium measured nothing, {}: {told}", output.status);
    };
    serde_json::from_str(found).unwrap()
}

/// The browser: `CHROMIUM`, or else what Debian or Google call it.
fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no Chromium in PATH. `make browser` installs Debian's as root; \
             elsewhere install it, or set CHROMIUM to the program"
        )
    })
}
