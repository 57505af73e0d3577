//! Schemathesis sends what the OpenAPI document allows, and what it does not, to a process of the
//! service: in memory, and on a broker and a database. All its checks hold.
//!
//! `SCHEMA_CASES` says how many of each operation, and `SCHEMA_SEED` repeats a run.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::env;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::process::Stdio;

use anyhow::{Context, ensure};
use black_box::deployment::Deployment;
use black_box::program::Program;
use tempfile::TempDir;
use test_servers::Servers;
use tokio::process::Command;

const TICKETS: &str = env!("CARGO_BIN_EXE_tickets");

#[tokio::test]
async fn in_memory_every_answer_is_as_documented() {
    enter_top();
    let program = Program::in_memory(Some(TICKETS.into())).unwrap();
    ask_for_everything(&program).await.unwrap();
}

#[tokio::test]
async fn on_servers_every_answer_is_as_documented() {
    enter_top();
    let servers = Servers::find().unwrap();
    let worked = Deployment::with(&servers, Some(TICKETS.into()), async |deployment| {
        ask_for_everything(&deployment.program).await
    });
    worked.await.unwrap();
}

async fn ask_for_everything(program: &Program) -> anyhow::Result<()> {
    // The demo's show and user are there for those who guess.
    let seeded = [("store.seed_demo".to_owned(), "true".to_owned())];
    let service = program.with_settings(&seeded.into()).serve("all").await?;
    let token = service.target.token.clone().context("no token")?;
    // It leaves what it has seen in the folder where it runs.
    let folder = TempDir::new()?;
    let asked = Command::new(schemathesis()?)
        .arg("--config-file")
        .arg(absolute("deploy/schemathesis.toml")?)
        .arg("run")
        .arg(format!("http://{}/openapi.json", service.address()))
        // A WebSocket is nothing that it speaks.
        .args(["--checks", "all", "--exclude-path", "/ws", "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--max-examples", &number("SCHEMA_CASES", 10)])
        .args(["--seed", &number("SCHEMA_SEED", 1)])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status();
    let status = asked.await.context("`make schemathesis` installs it")?;
    ensure!(status.success(), "Schemathesis ended with {status}");
    service.stop().await
}

/// Where the service finds its configuration.
fn enter_top() {
    env::set_current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap();
}

fn schemathesis() -> io::Result<PathBuf> {
    let named = env::var_os("SCHEMATHESIS").map(PathBuf::from);
    named.map_or_else(|| absolute(".local/schemathesis/bin/st"), Ok)
}

fn number(name: &str, default: u32) -> String {
    env::var(name).unwrap_or_else(|_| default.to_string())
}
