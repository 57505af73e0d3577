//! Where the real servers are that the service is measured on, and which
//! processes they are if they run on this machine.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, ensure};
use tcp_proxy::host_and_port;
use tokio::process::Command;

use crate::usage::Watched;

/// Written by `make services`; variables of the same names come first.
const FILE: &str = ".local/services.env";
/// Starts servers, and breaks those that nobody else uses.
const SCRIPT: &str = "deploy/services.sh";
/// The same of a broker of three nodes.
const CLUSTER_SCRIPT: &str = "deploy/cluster.sh";
const CLUSTER_URLS: &str = "TICKETS_CLUSTER_URLS";
const MYSQL_URL: &str = "TICKETS_TEST_MYSQL_URL";
const RABBITMQ_URL: &str = "TICKETS_TEST_RABBITMQ_URL";

/// A MySQL or MariaDB server and a RabbitMQ broker. Their URLs hold passwords,
/// so that this has no `Debug`.
#[derive(Clone)]
pub struct Servers {
    /// `mysql://user:password@host:port`; the user may create databases.
    pub mysql_url: String,
    /// `amqp://user:password@host:port`, of one node if there are several.
    pub rabbitmq_url: String,
    /// The folder that the script keeps them in, of servers that nobody else uses.
    own: Option<PathBuf>,
    /// The broker, if it has several nodes.
    cluster: Option<Cluster>,
}

/// A broker of several nodes that nobody else uses.
#[derive(Clone)]
pub struct Cluster {
    folder: PathBuf,
    /// Of every node, with commas between them.
    urls: String,
}

impl Cluster {
    fn own(folder: &Path) -> anyhow::Result<Self> {
        let start = format!(
            "start it by `CLUSTER_STATE={} {CLUSTER_SCRIPT} start`",
            folder.display()
        );
        let file = values_of(folder).with_context(|| start.clone())?;
        Ok(Self {
            urls: value_in(&file, CLUSTER_URLS).context(start)?.to_owned(),
            folder: folder.to_owned(),
        })
    }

    /// Has the script do something to a node, numbered from 0 on, or to all.
    pub async fn tell(&self, what: &str, node: Option<u32>) -> anyhow::Result<()> {
        let node = node.map(|number| (number + 1).to_string());
        let mut command = Command::new(CLUSTER_SCRIPT);
        command
            .arg(what)
            .args(&node)
            .env("CLUSTER_STATE", &self.folder);
        succeed(command).await
    }
}

/// One of the two, as the script calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The database.
    MariaDb,
    /// The broker.
    RabbitMq,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::RabbitMq => "rabbitmq",
        }
    }
}

impl Servers {
    /// Those that the environment or else the file of `make services` names.
    ///
    /// # Errors
    /// When there is none: nothing is measured without real servers.
    pub fn find() -> anyhow::Result<Self> {
        let file = fs::read_to_string(FILE).unwrap_or_default();
        let find = |name: &str| {
            env::var(name)
                .ok()
                .or_else(|| value_in(&file, name).map(str::to_owned))
                .with_context(|| {
                    format!(
                        "{name} is not set and {FILE} does not name it; \
                         run `make services` in the repository's folder"
                    )
                })
        };
        Ok(Self::at(&find(MYSQL_URL)?, &find(RABBITMQ_URL)?))
    }

    /// At these URLs; others may use them, too.
    #[must_use]
    pub fn at(mysql_url: &str, rabbitmq_url: &str) -> Self {
        Self {
            mysql_url: mysql_url.to_owned(),
            rabbitmq_url: rabbitmq_url.to_owned(),
            own: None,
            cluster: None,
        }
    }

    /// Those that `SERVICES_STATE=folder deploy/services.sh` has started; the broker is that of
    /// `CLUSTER_STATE=cluster deploy/cluster.sh start` if there is one.
    pub fn own(folder: &Path, cluster: Option<&Path>) -> anyhow::Result<Self> {
        let start = || {
            format!(
                "start them by `SERVICES_STATE={} {SCRIPT}`",
                folder.display()
            )
        };
        let file = values_of(folder).with_context(start)?;
        let find = |name: &str| {
            let value = value_in(&file, name).map(str::to_owned);
            value.with_context(start)
        };
        let cluster = cluster.map(Cluster::own).transpose()?;
        let rabbitmq_url = match &cluster {
            Some(cluster) => cluster.urls.split(',').next().map(str::to_owned),
            None => Some(find(RABBITMQ_URL)?),
        };
        Ok(Self {
            mysql_url: find(MYSQL_URL)?,
            rabbitmq_url: rabbitmq_url.unwrap_or_default(),
            own: Some(folder.to_owned()),
            cluster,
        })
    }

    /// Of every node of the broker, with commas between them.
    #[must_use]
    pub fn rabbitmq_urls(&self) -> String {
        let cluster = self.cluster.as_ref();
        cluster.map_or_else(|| self.rabbitmq_url.clone(), |cluster| cluster.urls.clone())
    }

    /// The broker of several nodes.
    ///
    /// # Errors
    /// When it has one node, or others may use it.
    pub fn cluster(&self) -> anyhow::Result<&Cluster> {
        let cluster = self.cluster.as_ref();
        cluster.context("the broker has no nodes that may be broken")
    }

    /// Whether nobody else uses them, so that they may be killed.
    #[must_use]
    pub const fn are_own(&self) -> bool {
        self.own.is_some()
    }

    /// Whether the broker has several nodes that may be broken.
    #[must_use]
    pub const fn have_nodes(&self) -> bool {
        self.cluster.is_some()
    }

    /// Ends one by SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run, or others may use it.
    pub async fn kill(&self, server: Server) -> anyhow::Result<()> {
        self.tell("kill", server).await
    }

    /// Starts one again on its data, and waits until it takes logins.
    ///
    /// # Errors
    /// When it does not start, or others may use it.
    pub async fn start(&self, server: Server) -> anyhow::Result<()> {
        self.tell("start", server).await
    }

    async fn tell(&self, what: &str, server: Server) -> anyhow::Result<()> {
        let own = self.own.as_ref();
        let own = own.context("servers that others may use are not killed")?;
        let mut command = Command::new(SCRIPT);
        command
            .args([what, server.name()])
            .env("SERVICES_STATE", own);
        succeed(command).await
    }

    /// Those of the two that are processes of this machine.
    pub fn local_processes(&self) -> anyhow::Result<Vec<Watched>> {
        let mysql = local_process(&self.mysql_url, &["mariadbd", "mysqld"])?;
        let rabbitmq = local_process(&self.rabbitmq_url, &["beam.smp"])?;
        Ok(mysql.into_iter().chain(rabbitmq).collect())
    }
}

/// Runs a script to its end.
async fn succeed(mut command: Command) -> anyhow::Result<()> {
    let of_script = format!("{:?}", command.as_std());
    let output = command.output().await.with_context(|| of_script.clone())?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{of_script}: {}", error.trim_end());
    Ok(())
}

/// What a script has written down beside its folder.
fn values_of(folder: &Path) -> anyhow::Result<String> {
    let mut path = folder.as_os_str().to_owned();
    path.push(".env");
    Ok(fs::read_to_string(path)?)
}

/// The value of a line `NAME=value`.
fn value_in<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    file.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// The process with one of the names; if there are several, the one whose
/// command line or environment names the port. `None` when that leaves it open.
fn local_process(url: &str, names: &[&'static str]) -> anyhow::Result<Option<Watched>> {
    let authority = host_and_port(url);
    let host_with_port = authority.rsplit_once(':');
    let is_here = |host| ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    let Some((_, port)) = host_with_port.filter(|(host, _)| is_here(*host)) else {
        return Ok(None);
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let id = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        // Processes may end while they are looked at.
        let (Some(id), Ok(command)) = (id, fs::read_to_string(path.join("comm"))) else {
            continue;
        };
        if let Some(name) = names.iter().find(|name| **name == command.trim_end()) {
            // RabbitMQ is told its port by a variable.
            let names_port = ["cmdline", "environ"].into_iter().any(|file| {
                let text = fs::read(path.join(file)).unwrap_or_default();
                String::from_utf8_lossy(&text).contains(port)
            });
            found.push((Watched { name, id }, names_port));
        }
    }
    if found.len() > 1 {
        found.retain(|(_, names_port)| *names_port);
    }
    let is_certain = found.len() == 1;
    Ok(found
        .pop()
        .map(|(watched, _)| watched)
        .filter(|_| is_certain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let file = "TICKETS_TEST_MYSQL_URL_OLD=x\nTICKETS_TEST_MYSQL_URL=mysql://u:p@h:1\n";
        assert_eq!(
            value_in(file, "TICKETS_TEST_MYSQL_URL"),
            Some("mysql://u:p@h:1")
        );
        assert_eq!(value_in(file, "TICKETS_TEST_MYSQL"), None);
    }

    #[test]
    fn servers_of_other_machines_are_no_local_processes() {
        let servers = Servers::at("mysql://u:p@db.example:3306", "amqp://u:p@mq.example:5672");
        assert_eq!(servers.local_processes().unwrap(), []);
    }

    /// Somebody else may be in the middle of a sale on them.
    #[tokio::test]
    async fn servers_of_others_are_not_killed() {
        let servers = Servers::at("mysql://u:p@127.0.0.1:1", "amqp://u:p@127.0.0.1:1");
        assert!(!servers.are_own());
        let refused = servers.kill(Server::MariaDb).await.unwrap_err();
        assert!(refused.to_string().contains("others may use"), "{refused}");
    }

    #[test]
    fn own_servers_are_those_of_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("chaos");
        let missing = Servers::own(&state, None).err().unwrap().to_string();
        assert!(
            missing.starts_with("start them by `SERVICES_STATE="),
            "{missing}"
        );
        let urls = "TICKETS_TEST_MYSQL_URL=mysql://u:p@h:1\nTICKETS_TEST_RABBITMQ_URL=amqp://h:2\n";
        fs::write(folder.path().join("chaos.env"), urls).unwrap();
        let servers = Servers::own(&state, None).unwrap();
        assert!(servers.are_own() && !servers.have_nodes());
        assert_eq!(servers.rabbitmq_urls(), "amqp://h:2");

        let nodes = folder.path().join("nodes");
        let missing = Servers::own(&state, Some(&nodes)).err().unwrap();
        let missing = missing.to_string();
        assert!(
            missing.starts_with("start it by `CLUSTER_STATE="),
            "{missing}"
        );
        fs::write(
            folder.path().join("nodes.env"),
            "TICKETS_CLUSTER_URLS=amqp://a,amqp://b\n",
        )
        .unwrap();
        let servers = Servers::own(&state, Some(&nodes)).unwrap();
        assert!(servers.are_own() && servers.have_nodes());
        assert_eq!(servers.rabbitmq_url, "amqp://a");
        assert_eq!(servers.rabbitmq_urls(), "amqp://a,amqp://b");
    }
}
