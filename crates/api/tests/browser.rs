//! The page at `/docs` in Chromium: whether it shows the routes, under its strict policy, with
//! nothing but what the service itself serves.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use api::application::{Application, Role};
use api::clock::SystemClock;
use api::settings::Settings;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_every_route_and_loads_nothing_from_elsewhere() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let variables = [("APP__SERVER__PORT", "0"), ("APP__LOG__LEVEL", "warn")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::load(&config, HashMap::from(variables)).unwrap();
    let built = Application::build(settings, Role::All, Arc::new(SystemClock)).await;
    let application = built.unwrap();
    let origin = format!("http://{}", application.address());
    let stop = CancellationToken::new();
    let running = tokio::spawn(application.run_until_stopped(stop.clone()));

    let folder = TempDir::new().unwrap();
    // With an operation unfolded.
    let shown = shown(&folder, &format!("{origin}/docs#/Tickets/placeOrder")).await;
    let page = String::from_utf8_lossy(&shown.stdout);
    let log = String::from_utf8_lossy(&shown.stderr);
    for route in http_api::routes() {
        let path = format!("data-path=\"{}\"", route.path);
        assert!(page.contains(&path), "{path} is not shown: {page}\n{log}");
    }
    assert!(page.contains("idempotency_conflict"), "nothing is unfolded");
    // Violations of the policy are there, too.
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .collect();
    assert!(told.is_empty(), "{told:?}");
    let asked = asked_by(&origin, &folder);
    let own = |url: &str| url.starts_with(&format!("{origin}/")) || url.starts_with("data:");
    assert!(
        asked.iter().any(|url| url.ends_with("/openapi.json")),
        "{asked:?}"
    );
    assert!(asked.iter().all(|url| own(url)), "{asked:?}");

    stop.cancel();
    running.await.unwrap().unwrap();
}

fn net_log(folder: &TempDir) -> PathBuf {
    folder.path().join("net.json")
}

/// The page as it is after its scripts, and what the browser had to say of it.
async fn shown(folder: &TempDir, url: &str) -> Output {
    let profile = folder.path().join("profile");
    let mut browser = Command::new(chromium());
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        "--window-size=1280,2600",
        "--dump-dom",
    ]);
    browser.arg(format!("--user-data-dir={}", profile.display()));
    browser.arg(format!("--log-net-log={}", net_log(folder).display()));
    let output = browser.arg(url).stdin(Stdio::null()).output();
    output.await.unwrap()
}

/// What was asked for by the page, from wherever.
fn asked_by(origin: &str, folder: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(net_log(folder)).unwrap();
    let log: Value = serde_json::from_str(&text).unwrap();
    let events = log["events"].as_array().unwrap().iter();
    let params = events.map(|event| &event["params"]);
    let by_page = params.filter(|params| params["initiator"] == origin);
    let urls = by_page.filter_map(|params| params["url"].as_str());
    urls.map(str::to_owned).collect()
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
