//! Orders accepted durably, in turns with a handler that stores nothing and one
//! that publishes each order by itself.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use clap::Args;
use serde::{Deserialize, Serialize};
use test_servers::broker::{Broker, publish_each_queue};

use super::backlog::decide_backlog;
use super::benchmark::{Benchmark, Setting, below};
use super::beside::{self, BARE, Load, Side};
use super::orders::{SEATS, names};
use super::proof::{Expected, Sold};
use super::rounds::{Ratio, Round};
use crate::digits::grouped;
use crate::labels::{ALL, API};
use crate::table::Table;

const PUBLISH_EACH: &str = "publish_each";

/// How accepting is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct AcceptArgs {
    /// accept-durable: how often service and baselines are measured, in turn.
    #[arg(long, default_value_t = 5)]
    pub(crate) accept_rounds: usize,
    /// accept-durable: length of each measurement in seconds.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) accept_seconds: f64,
    /// accept-durable: fails if accepted orders per order of the bare handler are fewer.
    #[arg(long, default_value_t = 0.6)]
    pub(crate) min_bare_ratio: f64,
    /// accept-durable: fails if accepted orders per order of one publish each are fewer.
    #[arg(long, default_value_t = 2.5)]
    pub(crate) min_publish_each_ratio: f64,
}

/// Medians of the rounds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Accept {
    connections: usize,
    pub(super) service: Round,
    pub(super) bare: Round,
    pub(super) publish_each: Round,
    pub(super) beside_bare: Ratio,
    pub(super) beside_publish_each: Ratio,
    accepted: u64,
    /// One turn of a process that decides at the same time, for information.
    while_deciding: Round,
}

impl Benchmark for Accept {
    type Args = AcceptArgs;

    const MARKER: Option<&'static str> = Some("accept-durable");

    async fn measure(setting: &Setting<'_>, args: &AcceptArgs) -> anyhow::Result<Self> {
        let on =
            async |deployment: &Deployment| Box::pin(take_turns(setting, args, deployment)).await;
        setting.deploy(setting.users, on).await
    }

    fn table(&self) -> Table {
        let mut table = Table::of(
            "way | orders/s: | this engine beside it: | p50 ms: | p99 ms: | \
             CPU µs/order",
        );
        let (bare, each) = (self.beside_bare, self.beside_publish_each);
        let deciding = "this engine, role all, deciding at the same time";
        for (name, turn, beside) in [
            ("this engine, role api", &self.service, None),
            ("bare handler, stores nothing", &self.bare, Some(bare)),
            (
                "one confirmed publish per order",
                &self.publish_each,
                Some(each),
            ),
            (deciding, &self.while_deciding, None),
        ] {
            table.row([name.to_owned()].into_iter().chain(turn.cells(beside)));
        }
        table.note = format!(
            "{} connections; {} orders accepted, all decided, no other.",
            self.connections,
            grouped(self.accepted)
        );
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &AcceptArgs) -> Vec<Option<String>> {
        let of_bare = "accept-durable: accepted orders by those of the bare handler";
        let of_each = "accept-durable: accepted orders by those of one publish per order";
        let each = self.beside_publish_each.median;
        vec![
            below(of_bare, self.beside_bare.median, args.min_bare_ratio),
            below(of_each, each, args.min_publish_each_ratio),
        ]
    }
}

async fn take_turns(
    setting: &Setting<'_>,
    args: &AcceptArgs,
    deployment: &Deployment,
) -> anyhow::Result<Accept> {
    let load = Load {
        connections: setting.connections,
        time: Duration::try_from_secs_f64(args.accept_seconds).context("--accept-seconds")?,
        servers: &deployment.local_servers,
    };
    let rabbitmq_url = &setting.servers.rabbitmq_url;
    let queue = publish_each_queue(&deployment.prefix);
    let with_queue = |command: &mut Command| {
        command
            .args(["--queue", &queue])
            .env("ONSALE_RABBITMQ_URL", rabbitmq_url);
    };
    let api = deployment.program.serve("api").await?;
    let terms = Terms::of(SEATS);
    api.target.put_on_sale(&names(), 1, terms).await?;
    let mut baselines = [
        beside::start(BARE, |_| {}).await?,
        beside::start(PUBLISH_EACH, with_queue).await?,
    ];
    let broker = Broker::connect(rabbitmq_url).await?;

    let mut service = Side::service(API, &api, setting.users, 202);
    let mut bare = Side::baseline(BARE, &baselines[0], setting.users);
    let mut publish_each = Side::baseline(PUBLISH_EACH, &baselines[1], setting.users);
    for side in [&mut bare, &mut publish_each, &mut service] {
        side.warm_up(load.connections).await?;
    }
    for _ in 0..args.accept_rounds.max(1) {
        for side in [&mut service, &mut bare, &mut publish_each] {
            side.turn(&load).await?;
        }
        // Nobody consumes it: it would only cost the broker memory.
        broker.purge_queue(&queue).await?;
    }
    broker.close().await?;
    for baseline in &mut baselines {
        baseline.stop().await?;
    }

    let mut accepted = service.orders.accepted;
    decide_backlog(deployment, accepted.len() as u64, []).await?;
    api.stop().await?;

    let all = deployment.program.serve("all").await?;
    let mut deciding = Side::service(ALL, &all, setting.users, 202);
    deciding.turn(&load).await?;
    accepted.append(&mut deciding.orders.accepted);
    let orders = accepted.len() as u64;
    deployment.wait_for_changes(orders + 1).await?;
    let expected = Expected::confirmed(orders);
    Sold::of(&accepted).prove(deployment, 1, &expected).await?;
    all.stop().await?;
    Ok(Accept {
        connections: load.connections,
        beside_bare: Ratio::of(&service.turns, &bare.turns)?,
        beside_publish_each: Ratio::of(&service.turns, &publish_each.turns)?,
        service: Round::median(service.turns)?,
        bare: Round::median(bare.turns)?,
        publish_each: Round::median(publish_each.turns)?,
        accepted: orders,
        while_deciding: Round::median(deciding.turns)?,
    })
}
