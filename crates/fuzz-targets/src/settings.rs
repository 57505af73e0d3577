//! The configuration: every start finds the same settings or faults, and no fault tells a secret.
//!
//! Lines such as `APP__SERVER__PORT=0` are variables, all others are the file of the environment.

use std::collections::HashMap;
use std::fs;
use std::sync::LazyLock;

use api::settings::Settings;
use tempfile::TempDir;

const BASE: &str = include_str!("../../../config/base.toml");
const SECRET: &str = "canary-9d2f7c1e";

static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("base.toml"), BASE).unwrap();
    directory
});

fn secrets() -> HashMap<String, String> {
    let url = |scheme| format!("{scheme}://user:{SECRET}@host:1/name");
    HashMap::from([
        ("APP_ENV".to_owned(), "fuzzed".to_owned()),
        ("APP__ADMIN__TOKEN".to_owned(), SECRET.to_owned()),
        (
            "APP__TICKETS__ID_SECRETS".to_owned(),
            format!("{SECRET},{SECRET}-2"),
        ),
        ("APP__AUTH__MODE".to_owned(), "off".to_owned()),
        ("APP__AUTH__HMAC_SECRET".to_owned(), SECRET.to_owned()),
        ("APP__MYSQL__URL".to_owned(), url("mysql")),
        ("APP__RABBITMQ__URL".to_owned(), url("amqp")),
        ("APP__RABBITMQ__MANAGEMENT_URLS".to_owned(), url("http")),
    ])
}

/// Tries the input.
pub fn run(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    let mut variables = secrets();
    let mut file = format!("[admin]\ntoken = \"{SECRET}\"\n");
    for line in text.lines() {
        match line.split_once('=') {
            Some((name, value)) if name.starts_with("APP_") && name != "APP_ENV" => {
                variables.insert(name.to_owned(), value.to_owned());
            }
            _ => file.extend([line, "\n"]),
        }
    }
    fs::write(DIRECTORY.path().join("fuzzed.toml"), file).unwrap();
    let load = || match Settings::load(DIRECTORY.path(), variables.clone()) {
        Ok(settings) => format!("{settings:?}"),
        Err(faults) => faults.to_string(),
    };
    let told = load();
    assert_eq!(told, load());
    assert!(!told.contains(SECRET) || text.contains("canary"), "{told}");
}
