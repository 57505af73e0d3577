//! A deployment of the service on real servers for one run: a database and a
//! prefix of queues of its own, both removed afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};

use tcp_proxy::host_and_port;

use crate::broker::{self, Broker, LANE_QUEUES};
use crate::cpu::{Meter, Watched};
use crate::database::Database;
use crate::reconcile::{Told, differences, unaccounted};
use crate::sale::{Service, Tickets, wait_for};
use crate::servers::Servers;

/// Names of processes in figures.
pub const API: &str = "tickets api";
/// As above.
pub const WORKER: &str = "tickets worker";
/// As above, of a process that is both.
pub const ALL: &str = "tickets all";

/// A migrated database with users, and queues that nobody else uses.
pub struct Deployment {
    /// The database.
    pub database: Database,
    /// The program, configured for both.
    pub tickets: Tickets,
    /// Before the name of every queue and exchange.
    pub prefix: String,
    /// What it is on.
    pub servers: Servers,
    /// The servers that are processes of this machine.
    pub local_servers: Vec<Watched>,
}

impl Deployment {
    /// Does `work` on a new deployment with users `0` to `users - 1` and
    /// removes it, however the work ends; Ctrl-C ends it too.
    ///
    /// # Errors
    /// Those of the work, and of making and removing the deployment.
    pub async fn with<T>(
        servers: &Servers,
        program: Option<PathBuf>,
        users: u64,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let database = Database::create(&servers.mysql_url).await?;
        let prefix = format!("bench-{:016x}-", rand::random::<u64>());
        let worked = tokio::select! {
            worked = Box::pin(Self::work(servers, program, users, &database, &prefix, work)) => worked,
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
        users: u64,
        database: &Database,
        prefix: &str,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let urls = servers.rabbitmq_urls();
        let deployment = Self {
            tickets: Tickets::on_services(program, &urls, prefix, database.clone())?,
            database: database.clone(),
            prefix: prefix.to_owned(),
            servers: servers.clone(),
            local_servers: servers.local_processes()?,
        };
        deployment.tickets.run(&["migrate"]).await?;
        deployment.database.insert_users(users).await?;
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
        let worker = self.tickets.serve("worker").await?;
        self.wait_for_owners().await?;
        Ok(worker)
    }

    /// Waits until every lane has a worker.
    ///
    /// # Errors
    /// When one gets none.
    pub async fn wait_for_owners(&self) -> anyhow::Result<()> {
        let broker = Broker::connect(&self.servers.rabbitmq_url).await?;
        let consumed = async || broker.consumed_lane_queues(&self.prefix).await;
        wait_for(LANE_QUEUES, consumed)
            .await
            .context("the worker does not own all lanes")?;
        broker.close().await
    }

    /// What service and servers say that they are, by name.
    ///
    /// # Errors
    /// When one of them does not answer.
    pub async fn versions(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let broker = broker::greeting(&host_and_port(&self.servers.rabbitmq_url)).await?;
        let store = self.database.server().await?.to_string();
        let tickets = self.tickets.version().await?;
        let versions = [("tickets", tickets), ("store", store), ("broker", broker)];
        Ok(versions
            .map(|(name, version)| (name.to_owned(), version))
            .into())
    }

    /// Starts to count the CPU time of these processes, the servers and this process.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn meter(&self, processes: impl IntoIterator<Item = Watched>) -> anyhow::Result<Meter> {
        Meter::start(processes.into_iter().chain(self.local_servers.clone()))
    }

    /// Audits the store and compares it with what clients were told; every
    /// accepted order must be decided, and no other.
    ///
    /// # Errors
    /// On any difference: no figure of the run means anything then.
    pub async fn reconcile(
        &self,
        service: &Service,
        told: &Told,
        seats: u64,
    ) -> anyhow::Result<()> {
        let audited = service.audit().await.context("the audit")?;
        let mut found = differences(told, &audited, seats);
        let decided = self.database.ticket_ids().await?;
        found.extend(unaccounted(&told.accepted, &decided));
        if !found.is_empty() {
            bail!("{}", found.join("\n"));
        }
        Ok(())
    }
}
