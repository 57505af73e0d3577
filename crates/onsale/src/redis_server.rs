//! A Redis server of a run's own, which may be killed.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const START_DEADLINE: Duration = Duration::from_secs(10);

/// A `redis-server` on loopback with its default persistence; killed when dropped.
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl RedisServer {
    /// Starts one with nothing in it.
    ///
    /// # Errors
    /// When there is no `redis-server`, or it does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let folder = std::env::temp_dir().join(format!("onsale-redis-{port}"));
        std::fs::create_dir_all(&folder)?;
        let child = spawn(port, &folder).await?;
        Ok(Self {
            child,
            port,
            folder,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The system's number of it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("Redis has ended")
    }

    /// Kills it and starts it again on what it has written to disk.
    ///
    /// # Errors
    /// When it does not start again.
    pub async fn crash(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.child = spawn(self.port, &self.folder).await?;
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // The system clears its temporary folder if this fails.
        let _killed = self.child.start_kill();
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

async fn spawn(port: u16, folder: &std::path::Path) -> anyhow::Result<Child> {
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting redis-server; `make services` installs it on Debian")?;
    let started = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_err()
    {
        anyhow::ensure!(
            started.elapsed() < START_DEADLINE,
            "redis-server does not listen on port {port}"
        );
        sleep(Duration::from_millis(20)).await;
    }
    Ok(child)
}
