//! Processes: started and ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::time::{sleep, timeout};

use crate::http::{Connection, Head};
use crate::usage::{Watched, resident_kib};

const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Between two looks whether a process has ended that was told to.
const LOOK_FOR_END: Duration = Duration::from_millis(2);

/// A program that listens on a loopback port; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// The address that the process listens on.
    pub address: SocketAddr,
}

impl Process {
    /// Starts what will listen on this port, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, ends, or is not ready within 30 s.
    pub async fn start(command: Command, port: u16, ready_path: &str) -> anyhow::Result<Self> {
        let mut process = Self::spawn(command, port)?;
        let is_ready = |status| status == 200;
        process
            .wait_for_answer(ready_path, START_DEADLINE, is_ready)
            .await?;
        Ok(process)
    }

    /// Starts what will listen on this port, and does not wait.
    pub fn spawn(mut command: Command, port: u16) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {name}; `make build` builds it"))?;
        Ok(Self {
            name,
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        })
    }

    /// Waits until `GET path` has an answer of a status that is `expected`.
    ///
    /// # Errors
    /// When the process ends first, or has none within `patience`.
    pub async fn wait_for_answer(
        &mut self,
        path: &str,
        patience: Duration,
        expected: impl Fn(u16) -> bool,
    ) -> anyhow::Result<()> {
        let mut request = Vec::new();
        Head::new("GET", path).write(&mut request, "");
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                bail!("{} ended at its start: {status}", self.name);
            }
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok(answer) = connection.exchange(&request).await
                && expected(answer.status)
            {
                return Ok(());
            }
            let name = &self.name;
            ensure!(
                started.elapsed() < patience,
                "{name} is not ready after {patience:?}"
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The system's number of it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// It, under the name that figures shall have.
    #[must_use]
    pub fn watched(&self, name: &'static str) -> Watched {
        Watched {
            name,
            id: self.id(),
        }
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        resident_kib(self.id())
    }

    /// Ends it by SIGTERM, as an operator would.
    ///
    /// # Errors
    /// When it does not end within a minute, or not with 0.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM").await?;
        let status = timeout(STOP_DEADLINE, self.end())
            .await
            .with_context(|| format!("{} does not end", self.name))??;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// Ends it by SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let killed = self.child.kill();
        killed.with_context(|| format!("killing {}", self.name))?;
        self.end().await?;
        Ok(())
    }

    /// Waits until it ends.
    async fn end(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            sleep(LOOK_FOR_END).await;
        }
    }

    /// Sends a signal such as `STOP`, `CONT` or `TERM`.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        send_signal(self.id(), signal)
            .await
            .with_context(|| format!("{} of {}", self.id(), self.name))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone before what it uses is removed. It has ended already in most cases.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends a signal to a process.
pub async fn send_signal(id: u32, signal: &str) -> anyhow::Result<()> {
    let (signal, id) = (format!("-{signal}"), id.to_string());
    let mut kill = tokio::process::Command::new("kill");
    let sent = kill.args([&signal, &id]).status().await?;
    ensure!(sent.success(), "{signal} could not be sent to {id}");
    Ok(())
}

/// A binary beside the running one.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
