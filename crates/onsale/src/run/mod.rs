//! `onsale run`: a scenario from the start that everyone waits for to the last
//! verdict, reconciled with what every client was told.

mod answers;
mod buyers;
mod chaos;
mod clients;
mod desks;
mod fleet;
mod ground;
mod observer;
mod pool;
mod subscribers;
mod usage;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use black_box::database::now_micros;
use black_box::names::Names;
use black_box::proof::history::History;
use black_box::proof::order::PlannedOrder;
use black_box::proof::reconcile::{Evidence, Read, reconcile};
use black_box::proof::told::{Answer, Told};
use black_box::servers::Servers;
use black_box::store::{Asked, Stored};
use clap::Args;
use tokio::task::LocalSet;
use tokio::time::Instant;
use uuid::Uuid;

use self::buyers::Buyers;
use self::clients::Clients;
use self::ground::{Ground, On};
use self::observer::Observer;
use crate::outcome::tally::Tally;
use crate::outcome::{Chaos, Ending, Fault, Outcome};
use crate::provenance::Provenance;
use crate::report::html;
use crate::report::result::{Report, Setting};
use crate::scenario::faults::{PlannedFault, plan_faults};
use crate::scenario::plan::plan;
use crate::scenario::sale::{Outline, Scenario};

/// From the opening of the connections to the start: everyone waits.
const WAIT: Duration = Duration::from_millis(500);
/// Events that are on their way when the sale is over.
const LATE_NEWS: Duration = Duration::from_secs(11);

/// How a scenario is run.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// The scenario; docs/LOAD.md explains its fields.
    #[arg(long)]
    pub(crate) scenario: PathBuf,
    /// A deployment that runs, such as http://localhost:3001. Administration's
    /// token is read from APP__ADMIN__TOKEN. Without it, the service is started.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// What the service is started on.
    #[arg(long, value_enum, default_value_t = On::Memory, conflicts_with = "url")]
    pub(crate) on: On,
    /// With --on services: the folder of servers that nobody else uses, as
    /// `SERVICES_STATE=FOLDER deploy/services.sh` leaves them. Faults may kill those.
    #[arg(long, conflicts_with = "url")]
    pub(crate) own_servers: Option<PathBuf>,
    /// With --own-servers: the folder of a broker of three nodes, as
    /// `CLUSTER_STATE=FOLDER deploy/cluster.sh start` leaves it. It is used in place of
    /// that of --own-servers, and faults may break its nodes.
    #[arg(long, requires = "own_servers")]
    pub(crate) own_cluster: Option<PathBuf>,
    /// Of everything that is drawn; drawn itself and reported unless given.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Writes the result into this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page with plots into this file.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Writes a line a second to stderr even if it is no terminal.
    #[arg(long)]
    pub(crate) progress: bool,
    /// Users that exist, called this and a number from 0 on: none are made.
    #[arg(long, requires = "url")]
    pub(crate) users_exist: Option<String>,
    /// The service; the `tickets` beside this binary unless given.
    #[arg(long, conflicts_with = "url")]
    pub(crate) tickets_bin: Option<PathBuf>,
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
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let (scenario, text) = Scenario::load(&args.scenario)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let names = Names::new(args.users_exist.as_deref());
    let drawn = Drawn::of(&scenario, seed)?;
    let sell = async |ground: &Ground| {
        let outcome = Box::pin(sell(ground, &scenario, drawn, &names, args.progress)).await?;
        let setting = Setting {
            run: names.run().to_owned(),
            seed,
            on: ground.on.clone(),
            users_seconds: ground.users_seconds,
            provenance: Provenance::of(ground.versions.clone()),
        };
        Ok((outcome, setting))
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
    let report = Report::of(&scenario, outline, setting, &outcome);
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

/// From the opening of the connections to the proof.
async fn sell(
    ground: &Ground,
    scenario: &Scenario,
    drawn: Drawn,
    names: &Names,
    progress: bool,
) -> anyhow::Result<Outcome> {
    let Drawn { orders, faults } = drawn;
    let (names, target) = (names.clone(), ground.target.clone());
    let clients = Rc::new(Clients::new(scenario.clone(), orders, names, target)?);
    let buyers = Buyers::new(Rc::clone(&clients));
    let observer = Observer::new(Rc::clone(&buyers), ground.watched.clone(), progress);
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
    let selling = set.run_until(async {
        tokio::select! {
            sold = sell_from(start, ground, &faults, &buyers, &observer) => sold,
            () = observer.watch(&ground.store) => bail!("nobody looks on any more"),
        }
    });
    let sold = selling.await?;
    observer.end_line();
    let (usage, seats) = (observer.usage(), observer.seats());
    // Ends the connections.
    drop(set);

    let told = std::mem::take(&mut *clients.told.borrow_mut());
    let tally = std::mem::replace(&mut *clients.tally.borrow_mut(), Tally::new()?);
    let journal = sold.stored.journal.as_deref();
    let history = journal.map(|journal| History::replay(&sold.stored.tickets, journal));
    let audited = ground.audit(&clients.names).await?;
    let findings = reconcile(&Evidence {
        plan: &clients.plan,
        told: &told,
        contradictions: (tally.contradicted, &tally.contradictions),
        stored: &sold.stored.tickets,
        read: history.as_ref().map_or(Read::Named, |_| Read::All),
        history: history.as_ref(),
        audited: &audited,
        shows: &(0..scenario.shows.number).collect::<Vec<_>>(),
        hold_seconds: scenario.shows.hold_seconds,
        started_at,
    });
    let watchers = clients.desks.figures.borrow().clone();
    Ok(Outcome {
        plan: clients.plan.clone(),
        told,
        tally,
        ending: sold.ending,
        ended: sold.ended,
        connections: buyers.connections(),
        watchers,
        stored: sold.stored,
        history,
        audited,
        usage,
        seats,
        started_at,
        opening_seconds,
        chaos: sold.chaos,
        findings,
    })
}

/// What came of a sale while it was looked at.
struct Sold {
    ending: Ending,
    ended: u64,
    chaos: Chaos,
    stored: Stored,
}

/// Sells and breaks what is to be broken, and reads what the store says of it.
async fn sell_from(
    start: Instant,
    ground: &Ground,
    faults: &[Vec<PlannedFault>],
    buyers: &Rc<Buyers>,
    observer: &Observer,
) -> anyhow::Result<Sold> {
    let clients = &buyers.clients;
    let sale = async { (buyers.sell(start).await, clients.now()) };
    let breaking = async {
        let Some(fleet) = &ground.fleet else {
            return Chaos::default();
        };
        let tell = |fault: &Fault| observer.tell(&fault.to_string());
        chaos::carry_out(fleet, faults, start, tell).await
    };
    let ((ending, ended), chaos) = tokio::join!(sale, breaking);
    let known = Known::of(&clients.plan, &clients.told.borrow());
    let limits = &clients.scenario.limits;
    let asked = Asked {
        target: &ground.target,
        names: &clients.names,
        accepted: &known.accepted,
        uncertain: &known.uncertain,
        doubtful: &known.doubtful,
        hold_seconds: clients.scenario.shows.hold_seconds,
        patience: Duration::from_secs(limits.patience_seconds),
    };
    let stored = ground.store.read(&asked).await?;
    buyers.wait_for_news(LATE_NEWS).await;
    observer.see_after(&ground.store).await;
    Ok(Sold {
        ending,
        ended,
        chaos,
        stored,
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
