//! A deployment of the service on real servers for one run: a database and a
//! prefix of queues of its own, both removed afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use tcp_proxy::host_and_port;
use test_servers::Servers;
use test_servers::broker::{self, Broker, LANE_QUEUES};

use crate::database::Database;
use crate::local_servers::local_processes;
use crate::program::{Program, Service};
use crate::usage::Watched;
use crate::waiting::wait_for;

/// A migrated database, and queues that nobody else uses.
pub struct Deployment {
    /// The database.
    pub database: Database,
    /// The program, configured for both.
    pub program: Program,
    /// Before the name of every queue and exchange.
    pub prefix: String,
    /// What it is on.
    pub servers: Servers,
    /// The servers that are processes of this machine.
    pub local_servers: Vec<Watched>,
}

impl Deployment {
    /// Does `work` on a new deployment and removes it, however the work ends; Ctrl-C ends
    /// it too.
    ///
    /// # Errors
    /// Those of the work, and of making and removing the deployment.
    pub async fn with<T>(
        servers: &Servers,
        program: Option<PathBuf>,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let database = Database::create(&servers.mysql_url).await?;
        let prefix = format!("bench-{:016x}-", rand::random::<u64>());
        let worked = tokio::select! {
            worked = Box::pin(Self::work(servers, program, &database, &prefix, work)) => worked,
            interrupted = tokio::signal::ctrl_c() => match interrupted {
                Ok(()) => Err(anyhow::anyhow!("interrupted")),
                Err(error) => Err(error.into()),
            },
        };
        let removed = Self::remove(servers, database, &prefix).await;
        match (worked, removed) {
            (Ok(result), Ok(())) => Ok(result),
            (Ok(_), Err(error)) => Err(error.context("removing the deployment")),
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(left)) => {
                Err(error.context(format!("the deployment {prefix} was not removed: {left:#}")))
            }
        }
    }

    async fn work<T>(
        servers: &Servers,
        program: Option<PathBuf>,
        database: &Database,
        prefix: &str,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let urls = servers.rabbitmq_urls();
        let deployment = Self {
            program: Program::on_services(program, &urls, prefix, database.url())?,
            database: database.clone(),
            prefix: prefix.to_owned(),
            servers: servers.clone(),
            local_servers: local_processes(servers)?,
        };
        deployment.program.run(&["migrate"]).await?;
        work(&deployment).await
    }

    async fn remove(servers: &Servers, database: Database, prefix: &str) -> anyhow::Result<()> {
        // Both are tried, whatever becomes of the other.
        let dropped = database.drop().await;
        let broker = Broker::connect(&servers.rabbitmq_url).await?;
        broker.delete_topology(prefix).await?;
        broker.close().await?;
        dropped
    }

    /// Starts a worker and waits until it owns every lane, as it does long
    /// before a sale starts.
    ///
    /// # Errors
    /// When it does not start or does not get the lanes.
    pub async fn start_owner(&self) -> anyhow::Result<Service> {
        let worker = self.program.serve("worker").await?;
        self.wait_for_owners().await?;
        Ok(worker)
    }

    /// Waits until every lane has a worker.
    pub async fn wait_for_owners(&self) -> anyhow::Result<()> {
        let broker = Broker::connect(&self.servers.rabbitmq_url).await?;
        let consumed = async || broker.consumed_lane_queues(&self.prefix).await;
        wait_for(LANE_QUEUES, consumed)
            .await
            .context("the worker does not own all lanes")?;
        broker.close().await
    }

    /// What service and servers say that they are, by name.
    pub async fn versions(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let broker = broker::greeting(&host_and_port(&self.servers.rabbitmq_url)).await?;
        let store = self.database.server().await?;
        let tickets = self.program.version().await?;
        let versions = [("tickets", tickets), ("store", store), ("broker", broker)];
        Ok(versions
            .map(|(name, version)| (name.to_owned(), version))
            .into())
    }

    /// Waits until all shows together have had so many changes: every order has its verdict.
    ///
    /// # Errors
    /// When there is none for a minute.
    pub async fn wait_for_changes(&self, changes: u64) -> anyhow::Result<()> {
        wait_for(changes, async || self.database.changes().await)
            .await
            .context("orders were lost: changes of the shows")
    }
}
