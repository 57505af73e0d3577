//! The database and the broker of a run.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cluster::Cluster;
use crate::scripts::{SERVICES, value_in, values_of};
use crate::services::{MYSQL_URL, RABBITMQ_URL, find};

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
            let (folder_name, script) = (SERVICES.folder, SERVICES.path);
            format!(
                "start them by `{folder_name}={} {script}`",
                folder.display()
            )
        };
        let file = values_of(folder).with_context(start)?;
        let find = |name: &str| {
            let value = value_in(&file, name).map(str::to_owned);
            value.with_context(start)
        };
        let cluster = cluster.map(Cluster::own).transpose()?;
        Ok(Self {
            mysql_url: find(MYSQL_URL)?,
            rabbitmq_url: match &cluster {
                Some(cluster) => cluster.first_url().to_owned(),
                None => find(RABBITMQ_URL)?,
            },
            own: Some(folder.to_owned()),
            cluster,
        })
    }

    /// Of every node of the broker, with commas between them.
    #[must_use]
    pub fn rabbitmq_urls(&self) -> String {
        let cluster = self.cluster.as_ref();
        let urls = cluster.map_or(&*self.rabbitmq_url, Cluster::urls);
        urls.to_owned()
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
        SERVICES.run(own, &[what, server.name()]).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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
