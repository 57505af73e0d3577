//! Orders for a show that is sold out: refused by the gate, in turns with a
//! handler that does nothing. No worker runs, so whatever reached the broker
//! would be found in the queues afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::drive;
use black_box::program::Service;
use clap::Args;
use serde::{Deserialize, Serialize};
use test_servers::broker::Broker;
use tokio::time::sleep;

use super::benchmark::{Benchmark, Setting, below};
use super::beside::{self, BARE, Load, Side};
use super::orders::{Orders, names, place};
use super::rounds::{Ratio, Round};
use crate::digits::grouped;
use crate::labels::API;
use crate::table::Table;

const PATIENCE: Duration = Duration::from_secs(30);
/// Who gets the only seat.
const WINNER: u32 = 0;

/// How refusing is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct SoldOutArgs {
    /// sold-out: how often service and bare handler are measured, in turn.
    #[arg(long, default_value_t = 5)]
    pub(crate) sold_out_rounds: usize,
    /// sold-out: length of each measurement in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) sold_out_seconds: f64,
    /// sold-out: fails if refusals per answer of the bare handler are fewer.
    #[arg(long, default_value_t = 0.85)]
    pub(crate) min_sold_out_ratio: f64,
}

/// Medians of the rounds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SoldOut {
    connections: usize,
    gate: Round,
    bare: Round,
    beside_bare: Ratio,
    refused: u64,
}

impl Benchmark for SoldOut {
    type Args = SoldOutArgs;

    const MARKER: Option<&'static str> = Some("sold-out");

    async fn measure(setting: &Setting<'_>, args: &SoldOutArgs) -> anyhow::Result<Self> {
        let on =
            async |deployment: &Deployment| Box::pin(take_turns(setting, args, deployment)).await;
        setting.deploy(setting.users, on).await
    }

    fn table(&self) -> Table {
        let mut table = Table::of(
            "way | answers/s: | of the bare handler: | p50 ms: | p99 ms: | \
             CPU µs/answer",
        );
        for (name, turn, beside) in [
            ("sold-out gate", &self.gate, Some(self.beside_bare)),
            ("bare handler", &self.bare, None),
        ] {
            table.row([name.to_owned()].into_iter().chain(turn.cells(beside)));
        }
        table.note = format!(
            "{} connections; {} orders refused, no message reached the broker.",
            self.connections,
            grouped(self.refused)
        );
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &SoldOutArgs) -> Vec<Option<String>> {
        let what = "sold-out: refusals by the answers of the bare handler";
        let ratio = self.beside_bare.median;
        vec![below(what, ratio, args.min_sold_out_ratio)]
    }
}

async fn take_turns(
    setting: &Setting<'_>,
    args: &SoldOutArgs,
    deployment: &Deployment,
) -> anyhow::Result<SoldOut> {
    let load = Load {
        connections: setting.connections,
        time: Duration::try_from_secs_f64(args.sold_out_seconds).context("--sold-out-seconds")?,
        servers: &deployment.local_servers,
    };
    let service = sold_out_service(deployment).await?;
    let mut baseline = beside::start(BARE, |_| {}).await?;
    let mut gate = Side::service(API, &service, setting.users, 409);
    let mut bare = Side::baseline(BARE, &baseline, setting.users);
    for side in [&mut bare, &mut gate] {
        side.warm_up(load.connections).await?;
    }
    for _ in 0..args.sold_out_rounds.max(1) {
        for side in [&mut gate, &mut bare] {
            side.turn(&load).await?;
        }
    }
    baseline.stop().await?;

    let broker = Broker::connect(&setting.servers.rabbitmq_url).await?;
    let queued = broker.queued_messages(&deployment.prefix).await?;
    broker.close().await?;
    ensure!(queued == 0, "{queued} messages reached the broker");
    service.stop().await?;
    Ok(SoldOut {
        connections: load.connections,
        beside_bare: Ratio::of(&gate.turns, &bare.turns)?,
        gate: Round::median(gate.turns)?,
        bare: Round::median(bare.turns)?,
        refused: gate.answers,
    })
}

/// A process whose gate is closed, with nothing queued and no worker.
async fn sold_out_service(deployment: &Deployment) -> anyhow::Result<Service> {
    let service = deployment.program.serve("api").await?;
    let target = &service.target;
    target.put_on_sale(&names(), 1, Terms::of(1)).await?;
    let worker = deployment.start_owner().await?;
    place(&service, 1, Orders::new(WINNER..WINNER + 1)).await?;
    deployment.wait_for_changes(2).await?;
    let started = Instant::now();
    let mut sent = 0;
    loop {
        let mut order = Orders::new(WINNER + 1..WINNER + 2);
        if drive(service.address(), 1, None, &mut order)
            .await?
            .count(409)
            == 1
        {
            break;
        }
        sent += 1;
        ensure!(started.elapsed() < PATIENCE, "the gate does not close");
        sleep(Duration::from_millis(10)).await;
    }
    deployment.wait_for_changes(2 + sent).await?;
    worker.stop().await?;
    Ok(service)
}
