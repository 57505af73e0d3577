//! A Redis server that one test has for itself: killed, frozen, full, started again empty.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "fails the test that needs it"
)]

use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ports;

const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Only what hangs takes as long.
const DEADLINE: Duration = Duration::from_secs(30);

/// One server on loopback, which writes nothing to disk; it ends with the value.
pub struct RedisServer {
    port: u16,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one with nothing in it.
    pub async fn start() -> Self {
        let mut server = Self::not_yet();
        server.start_again().await;
        server
    }

    /// One that nobody has started so far.
    #[must_use]
    pub fn not_yet() -> Self {
        Self {
            port: ports::lasting().unwrap(),
            process: None,
        }
    }

    /// Starts it with nothing in it, and waits until it answers.
    pub async fn start_again(&mut self) {
        // As other servers of tests it ends with the thread that starts it, however that ends.
        let started = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server"])
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(started.expect("redis-server; `make services` installs it on Debian"));
        let answers = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                let ended = self.process.as_mut().unwrap().try_wait().unwrap();
                assert!(ended.is_none(), "redis-server ended at its start");
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(DEADLINE, answers).await.expect("a Redis answers");
    }

    /// `redis://host:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would: what it had is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it where it is: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it runs");
        let mut command = Command::new("kill");
        let sent = command.arg(signal).arg(process.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Has it do a command, as an operator would, and returns what it says.
    pub fn tell(&self, words: &[&str]) -> String {
        let mut client = Command::new("redis-cli");
        client
            .args(["-e", "-p", &self.port.to_string()])
            .args(words);
        let done = client.output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
