//! Carries a schedule of faults out while a sale runs. Whatever it ends it
//! starts again, as a supervisor would, and when it is through everything runs.

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::buyers::whole_micros;
use super::fleet::{Fleet, Member, Way};
use crate::sale::Tickets;
use crate::scenario::faults::{FaultKind, PlannedFault};
use crate::servers::Server;

/// A fault that has happened. Instants are µs from the start of the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// To what.
    pub target: String,
    /// When it began.
    pub at: u64,
    /// When it was over and what it had ended was ready again.
    pub ended: u64,
}

/// `12.3 s  worker_killed of tickets worker 1, 0.8 s`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: u64| micros as f64 / 1e6;
        write!(
            f,
            "{:.1} s  {} of {}, {:.1} s",
            seconds(self.at),
            self.kind.name(),
            self.target,
            seconds(self.ended.saturating_sub(self.at))
        )
    }
}

/// What came of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Every fault, in sequence.
    pub faults: Vec<Fault>,
    /// What went wrong although a fault does not explain it: processes that
    /// ended by themselves, did not end when told to, or did not start again.
    pub wrong: Vec<String>,
}

impl Chaos {
    /// Does to the fleet what was planned, counted from `start`; each fault is
    /// told when it is over.
    pub async fn carry_out(
        fleet: &Fleet,
        planned: &[Vec<PlannedFault>],
        start: Instant,
        tell: impl Fn(&Fault),
    ) -> Self {
        let sequences = planned
            .iter()
            .map(|sequence| Self::one_after_the_other(fleet, sequence, start, &tell));
        let mut chaos = Self::default();
        for part in join_all(sequences).await {
            chaos.faults.extend(part.faults);
            chaos.wrong.extend(part.wrong);
        }
        chaos.faults.sort_by_key(|fault| fault.at);
        chaos.wrong.extend(fleet.supervise().await);
        chaos
    }

    async fn one_after_the_other(
        fleet: &Fleet,
        planned: &[PlannedFault],
        start: Instant,
        tell: &impl Fn(&Fault),
    ) -> Self {
        let now = || whole_micros(Instant::now().saturating_duration_since(start));
        let mut chaos = Self::default();
        for planned in planned {
            sleep_until(start + Duration::from_micros(planned.at_micros)).await;
            chaos.wrong.extend(fleet.supervise().await);
            let at = now();
            let target = target(fleet, planned).await;
            if let Err(error) = suffer(fleet, planned).await {
                let kind = planned.kind.name();
                chaos.wrong.push(format!("{kind} of {target}: {error:#}"));
            }
            let fault = Fault {
                kind: planned.kind,
                target,
                at,
                ended: now(),
            };
            tell(&fault);
            chaos.faults.push(fault);
        }
        chaos
    }
}

/// What it happens to, as reports call it.
async fn target(fleet: &Fleet, planned: &PlannedFault) -> String {
    match planned.kind {
        FaultKind::WorkerKilled | FaultKind::WorkerFrozen | FaultKind::WorkerRestarted => {
            match fleet.worker(planned.number) {
                Ok(worker) => worker.lock().await.watch.name.clone(),
                Err(error) => error.to_string(),
            }
        }
        FaultKind::ApiKilled | FaultKind::ApiRestarted => fleet.api.lock().await.watch.name.clone(),
        FaultKind::BrokerCut | FaultKind::BrokerStalled | FaultKind::BrokerUnreachable => {
            "way to the broker".to_owned()
        }
        FaultKind::StoreCut | FaultKind::StoreStalled | FaultKind::StoreUnreachable => {
            "way to the store".to_owned()
        }
        FaultKind::BrokerKilled => "broker".to_owned(),
        FaultKind::StoreKilled => "store".to_owned(),
        FaultKind::NodeKilled
        | FaultKind::NodeFrozen
        | FaultKind::NodeCut
        | FaultKind::NodeVanished => format!("node {}", planned.number + 1),
    }
}

async fn suffer(fleet: &Fleet, planned: &PlannedFault) -> anyhow::Result<()> {
    let lasts = Duration::from_micros(planned.lasts_micros);
    let tickets = &fleet.tickets;
    let number = planned.number;
    let node = async |breaks, mends| fleet.break_node(number, breaks, lasts, mends).await;
    match planned.kind {
        FaultKind::WorkerKilled => {
            killed(&mut *fleet.worker(number)?.lock().await, tickets, lasts).await?;
        }
        FaultKind::WorkerFrozen => fleet.worker(number)?.lock().await.freeze(lasts).await?,
        FaultKind::WorkerRestarted => {
            restarted(&mut *fleet.worker(number)?.lock().await, tickets).await?;
        }
        FaultKind::ApiKilled => killed(&mut *fleet.api.lock().await, tickets, lasts).await?,
        FaultKind::ApiRestarted => restarted(&mut *fleet.api.lock().await, tickets).await?,
        FaultKind::BrokerCut => fleet.broker().iter().for_each(Way::cut),
        FaultKind::StoreCut => fleet.store().iter().for_each(Way::cut),
        FaultKind::BrokerStalled => for_a_while(fleet.broker(), Way::stall, lasts).await,
        FaultKind::StoreStalled => for_a_while(fleet.store(), Way::stall, lasts).await,
        FaultKind::BrokerUnreachable => for_a_while(fleet.broker(), Way::close, lasts).await,
        FaultKind::StoreUnreachable => for_a_while(fleet.store(), Way::close, lasts).await,
        FaultKind::BrokerKilled => fleet.kill_server(Server::RabbitMq, lasts).await?,
        FaultKind::StoreKilled => fleet.kill_server(Server::MariaDb, lasts).await?,
        FaultKind::NodeKilled => node("kill", "run").await?,
        FaultKind::NodeFrozen => node("freeze", "thaw").await?,
        FaultKind::NodeCut => node("cut", "heal").await?,
        FaultKind::NodeVanished => node("vanish", "heal").await?,
    }
    Ok(())
}

async fn killed(member: &mut Member, tickets: &Tickets, down: Duration) -> anyhow::Result<()> {
    member.kill().await?;
    sleep(down).await;
    member.start_again(tickets).await
}

async fn restarted(member: &mut Member, tickets: &Tickets) -> anyhow::Result<()> {
    let ended = member.end().await;
    // Started again however it ended.
    member.start_again(tickets).await?;
    ended
}

async fn for_a_while(ways: &[Way], breaks: fn(&Way), lasts: Duration) {
    ways.iter().for_each(breaks);
    sleep(lasts).await;
    ways.iter().for_each(Way::mend);
}
