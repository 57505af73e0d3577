//! A sale from its start to what is known of it.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use black_box::database::now_micros;
use black_box::names::Names;
use black_box::proof::evidence::{Evidence, Read};
use black_box::proof::history::History;
use black_box::proof::order::PlannedOrder;
use black_box::proof::reconcile::reconcile;
use black_box::proof::told::{Answer, Told};
use black_box::store::{Asked, Stored};
use tokio::task::LocalSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::buyers::Buyers;
use super::chaos;
use super::clients::Clients;
use super::ground::Ground;
use super::metrics::Metrics;
use super::observer::Observer;
use crate::outcome::tally::Tally;
use crate::outcome::{Chaos, Ending, Fault, Outcome};
use crate::scenario::faults::{PlannedFault, plan_faults};
use crate::scenario::plan::plan;
use crate::scenario::sale::Scenario;

/// From the opening of the connections to the start: everyone waits.
const WAIT: Duration = Duration::from_millis(500);
/// Events that are on their way when the sale is over.
const LATE_NEWS: Duration = Duration::from_secs(11);

/// What was drawn before the start.
pub(super) struct Drawn {
    orders: Vec<PlannedOrder>,
    faults: Vec<Vec<PlannedFault>>,
}

impl Drawn {
    pub(super) fn of(scenario: &Scenario, seed: u64) -> anyhow::Result<Self> {
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

/// From the opening of the connections to the proof.
pub(super) async fn sell(
    ground: &Ground,
    scenario: &Scenario,
    drawn: Drawn,
    names: &Names,
    progress: bool,
) -> anyhow::Result<Outcome> {
    let Drawn { orders, faults } = drawn;
    let (names, target) = (names.clone(), ground.target.clone());
    let tokens = Rc::clone(&ground.tokens);
    let clients = Clients::new(scenario.clone(), orders, names, target, tokens)?;
    let clients = Rc::new(clients);
    let metrics = Metrics::before(&ground.metrics).await?;
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
            () = observer.watch(&ground.store) => bail!("the observer of the sale has stopped"),
        }
    });
    let sold = selling.await?;
    observer.end_line();
    let (usage, seats) = (observer.usage(), observer.seats());
    // Ends the connections.
    drop(set);

    let told = std::mem::take(&mut *clients.told.borrow_mut());
    let tally = std::mem::replace(&mut *clients.tally.borrow_mut(), Tally::new()?);
    let metrics = metrics.compare(&tally, &sold.stored.tickets).await?;
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
        metrics,
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
