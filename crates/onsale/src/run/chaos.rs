//! Carries a schedule of faults out while a sale runs. Whatever it ends it
//! starts again, as a supervisor would, and when it is through everything runs.

use std::time::Duration;

use anyhow::ensure;
use black_box::program::Program;
use futures_util::future::join_all;
use test_servers::{Server, Servers};
use tokio::time::{Instant, sleep, sleep_until};

use super::clients::whole_micros;
use super::fleet::{Fleet, Member, Way};
use crate::outcome::{Chaos, Fault};
use crate::scenario::faults::{FaultKind, PlannedFault};

/// Whether faults of this kind may happen to these servers.
pub(super) fn check(servers: &Servers, kind: FaultKind) -> anyhow::Result<()> {
    let name = kind.name();
    ensure!(
        servers.are_own() || !kind.kills_a_server(),
        "{name} kills a server that others may use: name servers of your own by \
         --own-servers, or leave it out of faults.kinds"
    );
    ensure!(
        servers.have_nodes() || !kind.breaks_a_node(),
        "{name} breaks a node of a broker of several: name one of your own by \
         --own-cluster, or leave it out of faults.kinds"
    );
    ensure!(
        !servers.have_nodes() || kind != FaultKind::BrokerKilled,
        "{name} is for a broker of one node: leave out --own-cluster, or name node_killed \
         in faults.kinds"
    );
    Ok(())
}

/// Does to the fleet what was planned, counted from `start`; each fault is
/// told when it is over.
pub(super) async fn carry_out(
    fleet: &Fleet,
    planned: &[Vec<PlannedFault>],
    start: Instant,
    tell: impl Fn(&Fault),
) -> Chaos {
    let sequences = planned
        .iter()
        .map(|sequence| one_after_the_other(fleet, sequence, start, &tell));
    let mut chaos = Chaos::default();
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
) -> Chaos {
    let now = || whole_micros(Instant::now().saturating_duration_since(start));
    let mut chaos = Chaos::default();
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
    let (program, ways) = (&fleet.program, &fleet.ways);
    let number = planned.number;
    let node = async |breaks, mends| fleet.break_node(number, breaks, lasts, mends).await;
    match planned.kind {
        FaultKind::WorkerKilled => {
            killed(&mut *fleet.worker(number)?.lock().await, program, lasts).await?;
        }
        FaultKind::WorkerFrozen => fleet.worker(number)?.lock().await.freeze(lasts).await?,
        FaultKind::WorkerRestarted => {
            restarted(&mut *fleet.worker(number)?.lock().await, program).await?;
        }
        FaultKind::ApiKilled => killed(&mut *fleet.api.lock().await, program, lasts).await?,
        FaultKind::ApiRestarted => restarted(&mut *fleet.api.lock().await, program).await?,
        FaultKind::BrokerCut => ways.broker.iter().for_each(Way::cut),
        FaultKind::StoreCut => ways.store.iter().for_each(Way::cut),
        FaultKind::BrokerStalled => for_a_while(&ways.broker, Way::stall, lasts).await,
        FaultKind::StoreStalled => for_a_while(&ways.store, Way::stall, lasts).await,
        FaultKind::BrokerUnreachable => for_a_while(&ways.broker, Way::close, lasts).await,
        FaultKind::StoreUnreachable => for_a_while(&ways.store, Way::close, lasts).await,
        FaultKind::BrokerKilled => fleet.kill_server(Server::RabbitMq, lasts).await?,
        FaultKind::StoreKilled => fleet.kill_server(Server::MariaDb, lasts).await?,
        FaultKind::NodeKilled => node("kill", "run").await?,
        FaultKind::NodeFrozen => node("freeze", "thaw").await?,
        FaultKind::NodeCut => node("cut", "heal").await?,
        FaultKind::NodeVanished => node("vanish", "heal").await?,
    }
    Ok(())
}

async fn killed(member: &mut Member, program: &Program, down: Duration) -> anyhow::Result<()> {
    member.kill().await?;
    sleep(down).await;
    member.start_again(program).await
}

async fn restarted(member: &mut Member, program: &Program) -> anyhow::Result<()> {
    let ended = member.end().await;
    // Started again however it ended.
    member.start_again(program).await?;
    ended
}

async fn for_a_while(ways: &[Way], breaks: fn(&Way), lasts: Duration) {
    ways.iter().for_each(breaks);
    sleep(lasts).await;
    ways.iter().for_each(Way::mend);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn servers_suffer_only_what_nobody_else_notices() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("chaos");
        let urls = "TICKETS_TEST_MYSQL_URL=mysql://u:p@h:1\nTICKETS_TEST_RABBITMQ_URL=amqp://h:2\n";
        fs::write(folder.path().join("chaos.env"), urls).unwrap();
        let servers = Servers::own(&state, None).unwrap();
        check(&servers, FaultKind::BrokerKilled).unwrap();
        assert!(check(&servers, FaultKind::NodeKilled).is_err());

        let urls = "TICKETS_CLUSTER_URLS=amqp://a,amqp://b\n";
        fs::write(folder.path().join("nodes.env"), urls).unwrap();
        let nodes = folder.path().join("nodes");
        let servers = Servers::own(&state, Some(&nodes)).unwrap();
        check(&servers, FaultKind::NodeKilled).unwrap();
        assert!(check(&servers, FaultKind::BrokerKilled).is_err());

        let shared = Servers::at("mysql://u:p@h:1", "amqp://h:2");
        assert!(check(&shared, FaultKind::StoreKilled).is_err());
        check(&shared, FaultKind::StoreCut).unwrap();
    }
}
