//! A Redis server of a run's own, which may be killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use black_box::process::Process;
use test_servers::ports;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// What figures call it.
pub(super) const REDIS: &str = "redis-server";
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A `redis-server` on loopback with its default persistence; killed when dropped.
pub(super) struct RedisServer {
    pub(super) process: Process,
    port: u16,
    folder: PathBuf,
}

impl RedisServer {
    /// Starts one with nothing in it.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let port = ports::free()?;
        let folder = std::env::temp_dir().join(format!("onsale-redis-{port}"));
        std::fs::create_dir_all(&folder)?;
        let process = spawn(port, &folder).await?;
        Ok(Self {
            process,
            port,
            folder,
        })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it and starts it again on what it has written to disk.
    pub(super) async fn crash(&mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        self.process = spawn(self.port, &self.folder).await?;
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // The system clears its temporary folder if this fails.
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

async fn spawn(port: u16, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
        .arg(folder)
        .stdout(Stdio::null());
    let process = Process::spawn(command, port)
        .context("starting redis-server; `make services` installs it on Debian")?;
    let started = Instant::now();
    while TcpStream::connect(process.address).await.is_err() {
        ensure!(
            started.elapsed() < START_DEADLINE,
            "redis-server does not listen on port {port}"
        );
        sleep(Duration::from_millis(20)).await;
    }
    Ok(process)
}
