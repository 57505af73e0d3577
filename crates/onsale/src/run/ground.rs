//! What a sale runs on: processes that it starts itself, or a deployment that is
//! there.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::issuer::Issuer;
use black_box::names::Names;
use black_box::program::Program;
use black_box::proof::audit::AuditedShow;
use black_box::secured::Secured;
use black_box::store::Store;
use black_box::target::Target;
use clap::{Args, ValueEnum};
use test_servers::Servers;

use super::chaos;
use super::fleet::{Fleet, Way, Ways};
use super::tokens::Tokens;
use super::usage::Watch;
use crate::labels::{ALL, CLIENT};
use crate::scenario::sale::Scenario;

/// The token of another deployment's administration.
const TOKEN_VARIABLE: &str = "APP__ADMIN__TOKEN";
/// An agent's token for another deployment.
const AGENT_VARIABLE: &str = "ONSALE_AGENT_TOKEN";

/// How to be let into a running deployment.
#[derive(Debug, Clone, Args)]
pub(crate) struct RemoteArgs {
    /// Trusts the certificates in this PEM file, too, if the URL begins with https.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// Where tokens are asked for: signs one for each user with the key in this file.
    ///
    /// A private key of Ed25519 (EdDSA) as PEM, which `openssl genpkey -algorithm ed25519` makes,
    /// or the secret of HS256. Connections that buyers share have a token with the role agent.
    #[arg(
        long,
        value_name = "FILE",
        requires_all = ["url", "token_issuer", "token_audience"]
    )]
    token_key: Option<PathBuf>,
    /// What the tokens say of their issuer: `auth.issuer` of the deployment.
    #[arg(long, value_name = "TEXT", requires = "token_key")]
    token_issuer: Option<String>,
    /// What the tokens say of their audience: `auth.audience` of the deployment.
    #[arg(long, value_name = "TEXT", requires = "token_key")]
    token_audience: Option<String>,
    /// Compares the metrics that are read at this address, such as 10.0.0.5:9464.
    ///
    /// Once for each process of the deployment, which nobody else uses meanwhile.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    metrics: Vec<SocketAddr>,
    /// Uses existing users instead of adding them: this prefix followed by 0, 1, 2, and so on.
    #[arg(long, value_name = "PREFIX", requires = "url")]
    pub(crate) users_exist: Option<String>,
}

impl RemoteArgs {
    /// Who signs the tokens of users.
    fn issuer(&self) -> anyhow::Result<Option<Issuer>> {
        let [issuer, audience] = [&self.token_issuer, &self.token_audience]
            .map(|claim| claim.as_deref().unwrap_or_default());
        let read = |file: &Path| Issuer::read(file, issuer, audience);
        self.token_key.as_deref().map(read).transpose()
    }
}

/// What a run starts the service on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum On {
    /// One process with everything in memory.
    Memory,
    /// An api process and workers, on RabbitMQ and MySQL.
    Services,
}

/// A deployment that is ready, with everything on sale.
pub(crate) struct Ground {
    /// Where it listens.
    pub(crate) target: Target,
    /// What clients prove who they are with.
    pub(crate) tokens: Rc<Tokens>,
    /// Where its tickets are read.
    pub(crate) store: Store,
    /// Its processes on this machine, and this one.
    pub(crate) watched: Vec<Watch>,
    /// As reports say it: `memory`, `services` or the URL.
    pub(crate) on: String,
    /// What runs, by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// How long it took to make the users, in seconds; `None` for existing ones.
    pub(crate) users_seconds: Option<f64>,
    /// What faults happen to, on real servers.
    pub(crate) fleet: Option<Fleet>,
    /// Where the metrics of its processes are read, which begin with 0 when one is replaced.
    pub(crate) metrics: Vec<SocketAddr>,
}

impl Ground {
    /// A deployment of which nothing more is known.
    fn at(target: Target, on: &str) -> Self {
        Self {
            target,
            tokens: Rc::default(),
            store: Store::Http,
            watched: vec![client()],
            on: on.to_owned(),
            versions: BTreeMap::new(),
            users_seconds: None,
            fleet: None,
            metrics: Vec::new(),
        }
    }

    /// Asks for the service's own audit of the run's shows, by their number.
    pub(crate) async fn audit(&self, names: &Names) -> anyhow::Result<Vec<(u32, AuditedShow)>> {
        let report = match &self.fleet {
            // Not in a process whose memory is looked at.
            Some(fleet) => fleet.program.audit().await,
            None => self.target.audit().await,
        };
        Ok(report?.numbered(names))
    }

    /// Sells on a deployment that runs.
    pub(crate) async fn at_url<T>(
        url: &str,
        remote: &RemoteArgs,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        ensure!(
            scenario.faults.is_none(),
            "faults happen to what the run has started: leave --url out"
        );
        let issuer = remote.issuer()?;
        let token = env::var(TOKEN_VARIABLE).ok();
        let target = Target::of(url, token, remote.ca_file.as_deref()).await?;
        let users_seconds = if remote.users_exist.is_some() {
            None
        } else {
            Some(create_users(&target, scenario, names).await?)
        };
        put_on_sale(&target, scenario, names).await?;
        let agent = env::var(AGENT_VARIABLE).ok();
        let tokens = Tokens::of(issuer.as_ref(), agent, names, scenario.users.number);
        let ground = Self {
            tokens: Rc::new(tokens),
            users_seconds,
            metrics: remote.metrics.clone(),
            ..Self::at(target, url)
        };
        work(&ground).await
    }

    /// Starts the service in memory, sells, and stops it.
    pub(crate) async fn in_memory<T>(
        program: Option<PathBuf>,
        secured: Option<&Secured>,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        ensure!(
            scenario.service.store_latency_ms == 0 && scenario.service.workers == 1,
            "service.store_latency_ms and service.workers are for --on services"
        );
        ensure!(scenario.faults.is_none(), "faults are for --on services");
        let program = Program::in_memory(program)?.with_settings(&scenario.service.settings);
        let program = secure(program, secured)?;
        let service = program.serve("all").await?;
        let target = service.target.clone();
        let users_seconds = create_users(&target, scenario, names).await?;
        put_on_sale(&target, scenario, names).await?;
        let ground = Self {
            tokens: tokens_of(secured, scenario, names),
            watched: vec![Watch::new(ALL, service.process.id()), client()],
            metrics: vec![service.metrics],
            versions: BTreeMap::from([("tickets".to_owned(), program.version().await?)]),
            users_seconds: Some(users_seconds),
            ..Self::at(target, "memory")
        };
        let result = work(&ground).await?;
        service.stop().await?;
        Ok(result)
    }

    /// Starts the service on real servers, sells, and removes all of it.
    pub(crate) async fn on_services<T>(
        servers: &Servers,
        program: Option<PathBuf>,
        secured: Option<&Secured>,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let terms = scenario.faults.iter();
        for (kind, _) in terms.flat_map(|terms| &terms.kinds) {
            chaos::check(servers, *kind)?;
        }
        let on = async |deployment: &Deployment| {
            Self::with_processes(deployment, secured, scenario, names, work).await
        };
        Deployment::with(servers, program, on).await
    }

    async fn with_processes<T>(
        deployment: &Deployment,
        secured: Option<&Secured>,
        scenario: &Scenario,
        names: &Names,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        let database = &deployment.database;
        let users = &scenario.users;
        database
            .insert_users(names, users.number, users.high_priority)
            .await?;
        let users_seconds = started.elapsed().as_secs_f64();
        let fleet = start_fleet(deployment, secured, scenario).await?;
        deployment.wait_for_owners().await?;
        let target = fleet.target().await;
        put_on_sale(&target, scenario, names).await?;

        let metrics = match scenario.faults {
            None => fleet.metrics().await,
            Some(_) => Vec::new(),
        };
        let mut watched = fleet.watches().await;
        watched.push(client());
        let ground = Self {
            tokens: tokens_of(secured, scenario, names),
            store: Store::Database(database.clone()),
            watched,
            versions: deployment.versions().await?,
            users_seconds: Some(users_seconds),
            metrics,
            fleet: Some(fleet),
            ..Self::at(target, "services")
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
async fn start_fleet(
    deployment: &Deployment,
    secured: Option<&Secured>,
    scenario: &Scenario,
) -> anyhow::Result<Fleet> {
    let program = deployment.program.with_settings(&scenario.service.settings);
    let mut program = secure(program, secured)?;
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
        program = program.with_settings(&through);
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
    Fleet::start(program, scenario.service.workers, ways, servers).await
}

/// The program, asking for tokens and speaking HTTPS if it is to.
fn secure(program: Program, secured: Option<&Secured>) -> anyhow::Result<Program> {
    match secured {
        Some(secured) => program.with_settings(&secured.tokens()).with_https(secured),
        None => Ok(program),
    }
}

fn tokens_of(secured: Option<&Secured>, scenario: &Scenario, names: &Names) -> Rc<Tokens> {
    let issuer = secured.map(|secured| &secured.issuer);
    Rc::new(Tokens::of(issuer, None, names, scenario.users.number))
}

async fn create_users(target: &Target, scenario: &Scenario, names: &Names) -> anyhow::Result<f64> {
    let started = Instant::now();
    let users = &scenario.users;
    target
        .create_users(names, users.number, users.high_priority)
        .await
        .context("making users; --users-exist names some that are there")?;
    Ok(started.elapsed().as_secs_f64())
}

async fn put_on_sale(target: &Target, scenario: &Scenario, names: &Names) -> anyhow::Result<()> {
    let shows = &scenario.shows;
    let terms = Terms {
        seats: shows.seats,
        max_per_user: shows.max_per_user,
        hold_seconds: shows.hold_seconds,
    };
    target.put_on_sale(names, shows.number, terms).await
}

fn client() -> Watch {
    Watch::new(CLIENT, std::process::id())
}
