//! `onsale run`: a scenario from the start that everyone waits for to the last
//! verdict, reconciled with what every client was told.

pub mod administration;
mod answers;
pub mod buyers;
pub mod chaos;
pub mod fleet;
pub mod ground;
pub mod observer;
mod pool;
pub mod target;
pub mod told;
pub mod watchers;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use self::buyers::{Buyers, Ending};
use self::chaos::Chaos;
use self::ground::{Ground, On};
use self::observer::{Observer, SeatsSample, Usage};
use self::target::Names;
use self::told::{Answer, Tally, Told};
use self::watchers::WatcherFigures;
use crate::deciding::now_micros;
use crate::proof::audit::AuditedShow;
use crate::proof::history::History;
use crate::proof::store::{Asked, Stored};
use crate::proof::{Evidence, Findings, reconcile};
use crate::report::{Report, Setting, html};
use crate::scenario::faults::{PlannedFault, plan_faults};
use crate::scenario::plan::{PlannedOrder, plan};
use crate::scenario::{Outline, Scenario};
use crate::servers::Servers;

/// From the opening of the connections to the start: everyone waits.
const WAIT: Duration = Duration::from_millis(500);
/// Events that are on their way when the sale is over.
const LATE_NEWS: Duration = Duration::from_secs(11);

/// How a scenario is run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The scenario; docs/LOAD.md explains its fields.
    #[arg(long)]
    pub scenario: PathBuf,
    /// A deployment that runs, such as http://localhost:3001. Administration's
    /// token is read from APP__ADMIN__TOKEN. Without it, the service is started.
    #[arg(long)]
    pub url: Option<String>,
    /// What the service is started on.
    #[arg(long, value_enum, default_value_t = On::Memory, conflicts_with = "url")]
    pub on: On,
    /// With --on services: the folder of servers that nobody else uses, as
    /// `SERVICES_STATE=FOLDER deploy/services.sh` leaves them. Faults may kill those.
    #[arg(long, conflicts_with = "url")]
    pub own_servers: Option<PathBuf>,
    /// With --own-servers: the folder of a broker of three nodes, as
    /// `CLUSTER_STATE=FOLDER deploy/cluster.sh start` leaves it. It is used in place of
    /// that of --own-servers, and faults may break its nodes.
    #[arg(long, requires = "own_servers")]
    pub own_cluster: Option<PathBuf>,
    /// Of everything that is drawn; drawn itself and reported unless given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes the result into this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Writes a page with plots into this file.
    #[arg(long)]
    pub html: Option<PathBuf>,
    /// Writes a line a second to stderr even if it is no terminal.
    #[arg(long)]
    pub progress: bool,
    /// Users that exist, called this and a number from 0 on: none are made.
    #[arg(long, requires = "url")]
    pub users_exist: Option<String>,
    /// The service; the `tickets` beside this binary unless given.
    #[arg(long, conflicts_with = "url")]
    pub tickets_bin: Option<PathBuf>,
}

/// All that is known when a sale is over.
pub struct Outcome {
    /// Every order, by number.
    pub plan: Vec<PlannedOrder>,
    /// What the client of each was told.
    pub told: Vec<Told>,
    /// What happened to requests.
    pub tally: Tally,
    /// Why it ended.
    pub ending: Ending,
    /// When it ended for the clients, in µs from the start.
    pub ended: u64,
    /// Connections that were needed.
    pub connections: usize,
    /// What happened on WebSocket connections.
    pub watchers: WatcherFigures,
    /// What the store says.
    pub stored: Stored,
    /// Every change replayed, where the store can be read.
    pub history: Option<History>,
    /// The service's own audit, by number of the show.
    pub audited: Vec<(u32, AuditedShow)>,
    /// What processes used.
    pub usage: Vec<Usage>,
    /// Seats as they were seen.
    pub seats: Vec<SeatsSample>,
    /// The start, in µs since 1970.
    pub started_at: i64,
    /// How long it took to open the connections before it.
    pub opening_seconds: f64,
    /// What was broken meanwhile.
    pub chaos: Chaos,
    /// What is wrong.
    pub findings: Findings,
}

/// What was drawn before the start.
struct Drawn {
    orders: Vec<PlannedOrder>,
    faults: Vec<Vec<PlannedFault>>,
}

impl Drawn {
    fn of(scenario: &Scenario, seed: u64) -> anyhow::Result<Self> {
        let faults = scenario
            .faults
            .as_ref()
            .map(|terms| plan_faults(terms, scenario.seconds(), scenario.service.workers, seed));
        Ok(Self {
            orders: plan(scenario, seed)?,
            faults: faults.unwrap_or_default(),
        })
    }
}

/// Runs a scenario, writes what is asked for, and prints what happened.
///
/// # Errors
/// On every violation, on a limit that was not kept, and when there is no run.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    let (scenario, text) = Scenario::load(&args.scenario)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let names = Names::new(args.users_exist.as_deref());
    let drawn = Drawn::of(&scenario, seed)?;
    let sell = async |ground: &Ground| {
        let outcome = Box::pin(sell(ground, &scenario, drawn, &names, args.progress)).await?;
        Ok((outcome, Setting::of(ground, &names, seed)))
    };
    let program = args.tickets_bin.clone();
    let sold = match (&args.url, args.on) {
        (Some(url), _) => {
            let users_exist = args.users_exist.is_some();
            Box::pin(Ground::at_url(url, &scenario, &names, users_exist, sell)).await
        }
        (None, On::Memory) if args.own_servers.is_some() => {
            bail!("--own-servers is for --on services")
        }
        (None, On::Memory) => Box::pin(Ground::in_memory(program, &scenario, &names, sell)).await,
        (None, On::Services) => {
            let servers = match &args.own_servers {
                Some(folder) => Servers::own(folder, args.own_cluster.as_deref())?,
                None => Servers::find()?,
            };
            let on = Ground::on_services(&servers, program, &scenario, &names, sell);
            Box::pin(on).await
        }
    };
    // Printed with the result, which there is none of then.
    let (outcome, setting) = sold.with_context(|| format!("the run of seed {seed}"))?;
    let outline = Outline::of(&scenario, &args.scenario, text);
    let mut report = Report::of(&scenario, outline, setting, &outcome);
    let missed = scenario.limits.silences.missed(&report.faults);
    report.passed &= missed.is_empty();
    report.missed.extend(missed);
    if let Some(path) = &args.json {
        write_file(path, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = &args.html {
        write_file(path, &html::page(&report))?;
    }
    write!(io::stdout(), "{report}")?;
    let failures = report.failures();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

async fn sell(
    ground: &Ground,
    scenario: &Scenario,
    drawn: Drawn,
    names: &Names,
    progress: bool,
) -> anyhow::Result<Outcome> {
    let Drawn { orders, faults } = drawn;
    let buyers = Buyers::new(
        scenario.clone(),
        orders,
        names.clone(),
        ground.target.clone(),
    )?;
    let watched = ground.watched.clone();
    let observer = Observer::new(buyers.clone(), names.clone(), watched, progress);
    let set = LocalSet::new();
    let opened = set.run_until(async {
        let opening = Instant::now();
        buyers.open_connections().await?;
        let opening_seconds = opening.elapsed().as_secs_f64();
        observer.see_before(&ground.store).await?;
        anyhow::Ok(opening_seconds)
    });
    let opening_seconds = opened.await?;
    let start = Instant::now() + WAIT;
    let started_at = now_micros()? + i64::try_from(WAIT.as_micros())?;
    observer.start(start);
    let selling = async {
        let sale = async { (buyers.sell(start).await, buyers.now()) };
        let breaking = async {
            let Some(fleet) = &ground.fleet else {
                return Chaos::default();
            };
            Chaos::carry_out(fleet, &faults, start, |fault| {
                observer.tell(&fault.to_string())
            })
            .await
        };
        let ((ending, ended), chaos) = tokio::join!(sale, breaking);
        let known = Known::of(&buyers.plan, &buyers.told.borrow());
        let asked = Asked {
            target: &ground.target,
            names,
            accepted: &known.accepted,
            uncertain: &known.uncertain,
            doubtful: &known.doubtful,
            hold_seconds: scenario.shows.hold_seconds,
            patience: Duration::from_secs(scenario.limits.patience_seconds),
        };
        let stored = ground.store.read(&asked).await?;
        buyers.wait_for_news(LATE_NEWS).await;
        observer.see_after(&ground.store).await;
        anyhow::Ok((ending, ended, chaos, stored))
    };
    let observed = set.run_until(async {
        tokio::select! {
            sold = selling => sold,
            () = observer.watch(&ground.store) => bail!("nobody looks on any more"),
        }
    });
    let (ending, ended, chaos, stored) = observed.await?;
    observer.end_line();
    let (usage, seats) = (observer.usage(), observer.seats());
    let connections = buyers.connections();
    let watchers = buyers.watchers.figures();
    let told = std::mem::take(&mut *buyers.told.borrow_mut());
    let tally = std::mem::replace(&mut *buyers.tally.borrow_mut(), Tally::new()?);
    let plan = buyers.plan.clone();
    drop(observer);
    drop(set);

    let journal = stored.journal.as_deref();
    let history = journal.map(|journal| History::replay(&stored.tickets, journal));
    let audit = ground.audit().await?;
    let of_run = audit.shows.into_iter().filter_map(|show| {
        let number = names.show_number(&show.show_id)?;
        Some((number, show))
    });
    let audited: Vec<_> = of_run.collect();
    let findings = reconcile(&Evidence {
        plan: &plan,
        told: &told,
        contradictions: (tally.contradicted, &tally.contradictions),
        stored: &stored.tickets,
        stored_is_all: history.is_some(),
        history: history.as_ref(),
        audited: &audited,
        shows: scenario.shows.number,
        hold_seconds: scenario.shows.hold_seconds,
        started_at,
    });
    Ok(Outcome {
        plan,
        told,
        tally,
        ending,
        ended,
        connections,
        watchers,
        stored,
        history,
        audited,
        usage,
        seats,
        started_at,
        opening_seconds,
        chaos,
        findings,
    })
}

/// What clients know of their tickets.
struct Known {
    /// Those that were accepted.
    accepted: Vec<Uuid>,
    /// Those that may have been.
    uncertain: Vec<Uuid>,
    /// Users who do not know whether they have one.
    doubtful: HashSet<u32>,
}

impl Known {
    fn of(plan: &[PlannedOrder], told: &[Told]) -> Self {
        let named = |is_accepted: bool| {
            let named = told
                .iter()
                .filter(|told| (told.answer == Answer::Accepted) == is_accepted)
                .filter_map(|told| told.ticket);
            let distinct: HashSet<Uuid> = named.collect();
            distinct.into_iter().collect()
        };
        let doubtful = plan
            .iter()
            .zip(told)
            .filter(|(_, told)| told.uncertain && told.ticket.is_none())
            .map(|(order, _)| order.user);
        Self {
            accepted: named(true),
            uncertain: named(false),
            doubtful: doubtful.collect(),
        }
    }
}

impl Buyers {
    /// Waits a while for subscriptions to be told of what has happened by now.
    async fn wait_for_news(&self, at_most: Duration) {
        let told = async {
            while self.watchers.awaited() > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        // What was not told by then is found missing.
        let _told_in_time = timeout(at_most, told).await;
    }
}
