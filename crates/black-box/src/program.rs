//! The program `tickets` with the configuration of a deployment, and its processes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use rand::random;
use test_servers::broker::LANES;
use test_servers::ports;
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::process::{Process, sibling};
use crate::proof::audit::AuditReport;
use crate::secured::{HOST, Secured};
use crate::target::Target;
use crate::usage::Watched;

/// Where a process says that it is ready.
const READY: &str = "/health/ready";
/// The variable that says where a process's metrics are read.
const METRICS_PORT: &str = "APP__METRICS__PORT";
/// The role that takes no orders.
const WORKER: &str = "worker";

/// The program with the configuration that all its processes of a deployment have.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    token: String,
    variables: Vec<(String, String)>,
    /// Where its processes that take orders speak HTTPS.
    https: Option<Endpoint>,
}

impl Program {
    /// At `path`, or the `tickets` beside this binary, with everything in memory.
    pub fn in_memory(path: Option<PathBuf>) -> anyhow::Result<Self> {
        Ok(Self {
            path: match path {
                Some(path) => path,
                None => sibling("tickets")?,
            },
            token: secret(),
            variables: Vec::new(),
            https: None,
        })
    }

    /// The same with the queue in a broker and the store in a database.
    pub fn on_services(
        path: Option<PathBuf>,
        rabbitmq_urls: &str,
        prefix: &str,
        mysql_url: &str,
    ) -> anyhow::Result<Self> {
        let settings = [
            ("queue.adapter", "rabbitmq".to_owned()),
            ("queue.lanes", LANES.to_string()),
            ("rabbitmq.urls", rabbitmq_urls.to_owned()),
            ("rabbitmq.prefix", prefix.to_owned()),
            ("store.adapter", "mysql".to_owned()),
            ("mysql.url", mysql_url.to_owned()),
            ("tickets.id_secrets", secret()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        Ok(Self::in_memory(path)?.with_settings(&settings.into()))
    }

    /// The same with more settings, such as `queue.capacity`.
    #[must_use]
    pub fn with_settings(&self, settings: &BTreeMap<String, String>) -> Self {
        let mut program = self.clone();
        let settings = settings.iter().map(|(name, value)| {
            let name = name.replace('.', "__").to_uppercase();
            (format!("APP__{name}"), value.clone())
        });
        program.variables.extend(settings);
        program
    }

    /// The same with HTTPS, at a port that one process at a time can have.
    ///
    /// # Errors
    /// When the certificate cannot be read, or no port is free.
    pub fn with_https(&self, secured: &Secured) -> anyhow::Result<Self> {
        let port = ports::lasting()?;
        let (certificate, key) = (secured.certificate(), secured.certificate_key());
        let settings = [
            ("tls.mode", "on".to_owned()),
            ("tls.port", port.to_string()),
            ("tls.certificate_file", certificate.display().to_string()),
            ("tls.key_file", key.display().to_string()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self {
            https: Some(Endpoint::tls(address, HOST, Some(&certificate))?),
            ..self.with_settings(&settings.into())
        })
    }

    /// What the program says that it is.
    pub async fn version(&self) -> anyhow::Result<String> {
        let version = self.run(&["--version"]).await?;
        Ok(String::from_utf8_lossy(&version).trim().to_owned())
    }

    /// `tickets audit`, whatever it finds.
    pub async fn audit(&self) -> anyhow::Result<AuditReport> {
        let output = self.output(&["audit", "--json"]).await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            format!("tickets audit ended with {}: {error}", output.status)
        })
    }

    /// The program with its configuration and nothing to do yet.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .env("APP__STORE__SEED_DEMO", "false")
            // Where it is set there would be two lists of addresses.
            .env_remove("APP__RABBITMQ__URL")
            .env("APP__LOG__LEVEL", "error")
            .env("APP__ADMIN__TOKEN", &self.token)
            .env("APP__TICKETS__ID_SECRETS", "a secret for measurements")
            .env("APP__AUTH__MODE", "off")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a process of a role (`all`, `api` or `worker`) and waits until it is ready.
    pub async fn serve(&self, role: &str) -> anyhow::Result<Service> {
        self.serve_on(ports::free()?, role).await
    }

    /// As [`Self::serve`], on this port.
    pub async fn serve_on(&self, port: u16, role: &str) -> anyhow::Result<Service> {
        let mut command = self.command();
        command
            .args(["serve", "--role", role])
            .env("APP__SERVER__PORT", port.to_string());
        let mut https = self.https.clone();
        if role == WORKER {
            // The port is that of the process that takes orders.
            command.env("APP__TLS__MODE", "off");
            https = None;
        }
        let is_silent = self.variables.iter().any(|(name, _)| name == METRICS_PORT);
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::lasting()?));
        if !is_silent {
            command.env(METRICS_PORT, metrics.port().to_string());
        }
        let process = Process::start(command, port, READY).await?;
        let endpoint = https.unwrap_or_else(|| process.address.into());
        Ok(Service {
            target: Target::local(endpoint, &self.token),
            metrics,
            process,
        })
    }

    /// Runs another command to its end and returns what it printed.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = self.output(arguments).await?;
        ensure!(
            output.status.success(),
            "tickets {} ended with {}: {}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    async fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command();
        command.args(arguments);
        Ok(tokio::process::Command::from(command).output().await?)
    }
}

/// Long enough for the configuration's checks.
fn secret() -> String {
    Uuid::from_u128(random()).simple().to_string()
}

/// A process of the service. It may hold administration's token, so that it has no `Debug`.
pub struct Service {
    /// The running process.
    pub process: Process,
    /// Where it listens.
    pub target: Target,
    /// Where its metrics are read, unless a setting of the program says otherwise.
    pub metrics: SocketAddr,
}

impl Service {
    /// The address that the process listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.target.endpoint.address
    }

    /// Its process, under the name that figures shall have.
    #[must_use]
    pub fn watched(&self, name: &'static str) -> Watched {
        self.process.watched(name)
    }

    /// Ends it by SIGTERM, as an operator would.
    ///
    /// # Errors
    /// When it does not end within a minute, or not with 0.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}
