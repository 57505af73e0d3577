//! What a sale runs on: processes that it starts itself, or a deployment that is
//! there.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ValueEnum;

use super::fleet::{Fleet, Way, Ways};
use super::observer::Watch;
use super::target::{Names, Target};
use crate::cpu::CLIENT;
use crate::deployment::{ALL, Deployment};
use crate::proof::audit::AuditReport;
use crate::proof::store::Store;
use crate::sale::Tickets;
use crate::scenario::Scenario;
use crate::servers::Servers;

/// The token of another deployment's administration.
const TOKEN_VARIABLE: &str = "APP__ADMIN__TOKEN";

/// What a run starts the service on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// One process with everything in memory.
    Memory,
    /// An api process and workers, on RabbitMQ and MySQL.
    Services,
}

/// A deployment that is ready, with everything on sale.
pub struct Ground {
    /// Where it listens.
    pub target: Target,
    /// Where its tickets are read.
    pub store: Store,
    /// Its processes on this machine, and this one.
    pub watched: Vec<Watch>,
    /// As reports say it: `memory`, `services` or the URL.
    pub on: String,
    /// What runs, by name.
    pub versions: BTreeMap<String, String>,
    /// How long it took to make the users, in seconds; `None` for existing ones.
    pub users_seconds: Option<f64>,
    /// What faults happen to, on real servers.
    pub fleet: Option<Fleet>,
    auditor: Option<Tickets>,
}

impl Ground {
    /// Asks for the service's own audit.
    ///
    /// # Errors
    /// When there is none.
    pub async fn audit(&self) -> anyhow::Result<AuditReport> {
        match &self.auditor {
            // Not in a process whose memory is looked at.
            Some(tickets) => tickets.audit_report().await,
            None => self.target.audit().await,
        }
    }

    /// Sells on a deployment that runs.
    ///
    /// # Errors
    /// Those of the work, and of making shows and users.
    pub async fn at_url<T>(
        url: &str,
        scenario: &Scenario,
        names: &Names,
        users_exist: bool,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        ensure!(
            scenario.faults.is_none(),
            "faults happen to what the run has started: leave --url out"
        );
        let target = Target::of(url, env::var(TOKEN_VARIABLE).ok()).await?;
        let users_seconds = if users_exist {
            None
        } else {
            Some(create_users(&target, scenario, names).await?)
        };
        target.put_on_sale(names, &scenario.shows).await?;
        let ground = Self {
            target,
            store: Store::Http,
            watched: vec![client()],
            on: url.to_owned(),
            versions: BTreeMap::new(),
            users_seconds,
            fleet: None,
            auditor: None,
        };
        work(&ground).await
    }

    /// Starts the service in memory, sells, and stops it.
    ///
    /// # Errors
    /// Those of the work, and of starting and stopping it.
    pub async fn in_memory<T>(
        program: Option<PathBuf>,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        ensure!(
            scenario.service.store_latency_ms == 0 && scenario.service.workers == 1,
            "service.store_latency_ms and service.workers are for --on services"
        );
        ensure!(scenario.faults.is_none(), "faults are for --on services");
        let tickets = Tickets::in_memory(program)?.with_settings(&scenario.service.settings);
        let service = tickets.serve("all").await?;
        let target = Target::local(service.address(), tickets.token());
        let users_seconds = create_users(&target, scenario, names).await?;
        target.put_on_sale(names, &scenario.shows).await?;
        let ground = Self {
            target,
            store: Store::Http,
            watched: vec![Watch::new(ALL, service.process.id()), client()],
            on: "memory".to_owned(),
            versions: BTreeMap::from([("tickets".to_owned(), tickets.version().await?)]),
            users_seconds: Some(users_seconds),
            fleet: None,
            auditor: None,
        };
        let result = work(&ground).await?;
        service.process.stop().await?;
        Ok(result)
    }

    /// Starts the service on real servers, sells, and removes all of it.
    ///
    /// # Errors
    /// Those of the work, and of starting and removing it.
    pub async fn on_services<T>(
        servers: &Servers,
        program: Option<PathBuf>,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let terms = scenario.faults.iter();
        for (kind, _) in terms.flat_map(|terms| &terms.kinds) {
            servers.suffer(*kind)?;
        }
        let on = async |deployment: &Deployment| {
            Self::with_processes(deployment, scenario, names, work).await
        };
        Deployment::with(servers, program, 0, on).await
    }

    async fn with_processes<T>(
        deployment: &Deployment,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        let database = &deployment.database;
        database.insert_users_of(names, &scenario.users).await?;
        let users_seconds = started.elapsed().as_secs_f64();
        let fleet = start_fleet(deployment, scenario).await?;
        deployment.wait_for_owners().await?;
        let tickets = fleet.tickets.clone();
        let target = Target::local(fleet.address().await, tickets.token());
        target.put_on_sale(names, &scenario.shows).await?;

        let mut watched = fleet.watches().await;
        watched.push(client());
        let ground = Self {
            target,
            store: Store::Database(database.clone()),
            watched,
            on: "services".to_owned(),
            versions: deployment.versions().await?,
            users_seconds: Some(users_seconds),
            fleet: Some(fleet),
            auditor: Some(tickets),
        };
        let result = work(&ground).await?;
        if let Some(fleet) = ground.fleet {
            fleet.stop().await?;
        }
        Ok(result)
    }
}

/// Starts the processes of a scenario. Only they are slowed down and broken:
/// users are inserted and tickets read past the proxies.
async fn start_fleet(deployment: &Deployment, scenario: &Scenario) -> anyhow::Result<Fleet> {
    let mut tickets = deployment.tickets.with_settings(&scenario.service.settings);
    let latency = Duration::from_millis(scenario.service.store_latency_ms);
    let has_faults = scenario.faults.is_some();
    let mut lead = async |setting: &str, urls: &str, latency: Duration| {
        let (mut ways, mut through) = (Vec::new(), Vec::new());
        for url in urls.split(',') {
            let way = Way::to(url, latency).await?;
            through.push(way.url(url));
            ways.push(way);
        }
        let through = BTreeMap::from([(setting.to_owned(), through.join(","))]);
        tickets = tickets.with_settings(&through);
        anyhow::Ok(ways)
    };
    let mut ways = Ways::default();
    if has_faults {
        let urls = deployment.servers.rabbitmq_urls();
        ways.broker = lead("rabbitmq.urls", &urls, Duration::ZERO).await?;
    }
    if has_faults || !latency.is_zero() {
        let url = deployment.database.url();
        ways.store = lead("mysql.url", url, latency).await?;
    }
    let servers = deployment.servers.clone();
    Fleet::start(tickets, scenario.service.workers, ways, servers).await
}

async fn create_users(target: &Target, scenario: &Scenario, names: &Names) -> anyhow::Result<f64> {
    let started = Instant::now();
    target
        .create_users(names, &scenario.users)
        .await
        .context("making users; --users-exist names some that are there")?;
    Ok(started.elapsed().as_secs_f64())
}

fn client() -> Watch {
    Watch::new(CLIENT, std::process::id())
}
