//! Orders accepted durably, in turns with a handler that stores nothing and one
//! that publishes each order by itself.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::drive;
use black_box::program::Service;
use clap::Args;
use serde::{Deserialize, Serialize};
use test_servers::broker::{Broker, publish_each_queue};

use super::backlog::{Decided, decide_backlog};
use super::benchmark::{Benchmark, OwnTable, Setting, below};
use super::beside::{self, Beside, WARM_UP};
use super::cpu::{CpuMicros, Meter};
use super::orders::{Orders, SEATS, names};
use super::proof::{Expected, Sold};
use super::rounds::{Ratio, Round};
use crate::digits::grouped;
use crate::labels::{ALL, API};
use crate::markdown::Column::{Figure, Text};
use crate::markdown::Table;

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
    /// accept-durable: broker connections of the baseline that publishes each order by itself.
    #[arg(long, default_value_t = 1)]
    pub(crate) publish_each_connections: usize,
    /// accept-durable: channels of each of these connections; one was never slower than several.
    #[arg(long, default_value_t = 1)]
    pub(crate) publish_each_channels: usize,
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
    /// By a worker that was started after the turns.
    decided: Decided,
    deciding_cpu_micros_per_order: CpuMicros,
    /// One turn of a process that decides at the same time, for information.
    while_deciding: Round,
}

impl Benchmark for Accept {
    type Args = AcceptArgs;

    const TABLE: Option<OwnTable<Self>> = Some(("accept-durable", Self::table));

    async fn measure(setting: &Setting<'_>, args: &AcceptArgs) -> anyhow::Result<Self> {
        let on = async |deployment: &Deployment| {
            let sides = Sides::start(setting, args, deployment).await?;
            Box::pin(sides.measure(args)).await
        };
        setting.deploy(setting.users, on).await
    }

    fn missed(&self, _: &Setting<'_>, args: &AcceptArgs) -> Vec<String> {
        let of_bare = "accept-durable: accepted orders by those of the bare handler";
        let of_each = "accept-durable: accepted orders by those of one publish per order";
        let each = self.beside_publish_each.median;
        [
            below(of_bare, self.beside_bare.median, args.min_bare_ratio),
            below(of_each, each, args.min_publish_each_ratio),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Accept {
    fn table(&self) -> String {
        let mut table = Table::of([
            Text("way"),
            Figure("orders/s"),
            Figure("this engine beside it"),
            Figure("p50 ms"),
            Figure("p99 ms"),
            Text("CPU µs/order"),
        ]);
        for (name, turn, beside) in [
            ("this engine, role api", &self.service, None),
            (
                "bare handler, stores nothing",
                &self.bare,
                Some(self.beside_bare),
            ),
            (
                "one confirmed publish per order",
                &self.publish_each,
                Some(self.beside_publish_each),
            ),
            (
                "this engine, role all, deciding at the same time",
                &self.while_deciding,
                None,
            ),
        ] {
            let beside = beside.map_or(String::new(), |ratio| ratio.to_string());
            let [per_second, p50, p99, cpu] = turn.cells();
            table.row([name.to_owned(), per_second, beside, p50, p99, cpu]);
        }
        format!(
            "{table}\n{} connections; {} orders accepted, all decided, no other.\n",
            self.connections,
            grouped(self.accepted)
        )
    }
}

/// What takes turns.
struct Sides<'a> {
    setting: &'a Setting<'a>,
    deployment: &'a Deployment,
    time: Duration,
    service: Service,
    bare: Beside,
    publish_each: Beside,
    broker: Broker,
}

impl<'a> Sides<'a> {
    async fn start(
        setting: &'a Setting<'a>,
        args: &AcceptArgs,
        deployment: &'a Deployment,
    ) -> anyhow::Result<Self> {
        let service = deployment.program.serve("api").await?;
        let terms = Terms::of(SEATS);
        service.target.put_on_sale(&names(), 1, terms).await?;
        let rabbitmq_url = &setting.servers.rabbitmq_url;
        let queue = publish_each_queue(&deployment.prefix);
        let set_up = |command: &mut Command| {
            command
                .args(["--queue", &queue])
                .args(["--connections", &args.publish_each_connections.to_string()])
                .args(["--channels", &args.publish_each_channels.to_string()])
                .env("ONSALE_RABBITMQ_URL", rabbitmq_url);
        };
        let publish_each = beside::start(PUBLISH_EACH, set_up).await?;
        Ok(Self {
            setting,
            deployment,
            time: Duration::try_from_secs_f64(args.accept_seconds).context("--accept-seconds")?,
            service,
            bare: Beside::bare(setting.users).await?,
            publish_each: Beside::of(PUBLISH_EACH, publish_each, setting.users),
            broker: Broker::connect(rabbitmq_url).await?,
        })
    }

    async fn measure(mut self, args: &AcceptArgs) -> anyhow::Result<Accept> {
        let mut orders = Orders::new((0..self.setting.users).cycle());
        let (deployment, connections) = (self.deployment, self.setting.connections);
        let load = (connections, self.time);
        for beside in [&mut self.bare, &mut self.publish_each] {
            beside.warm_up(connections).await?;
        }
        let address = self.service.address();
        drive(address, connections, Some(WARM_UP), &mut orders).await?;

        let mut turns = Vec::new();
        let queue = publish_each_queue(&deployment.prefix);
        for _ in 0..args.accept_rounds.max(1) {
            let turn = turn(deployment, &self.service, API, load, &mut orders);
            turns.push(turn.await?);
            for beside in [&mut self.bare, &mut self.publish_each] {
                beside.turn(load, &deployment.local_servers).await?;
            }
            // Nobody consumes it: it would only cost the broker memory.
            self.broker.purge_queue(&queue).await?;
        }
        let bare_turns = self.bare.stop().await?;
        let each_turns = self.publish_each.stop().await?;
        self.broker.close().await?;

        let accepted = orders.accepted.len() as u64;
        let (decided, deciding_cpu_micros_per_order) =
            decide_backlog(deployment, accepted, [self.service.watched(API)]).await?;
        self.service.stop().await?;

        let all = deployment.program.serve("all").await?;
        let while_deciding = turn(deployment, &all, ALL, load, &mut orders).await?;

        let accepted = orders.accepted.len() as u64;
        deployment.wait_for_changes(accepted + 1).await?;
        let expected = Expected::confirmed(orders.accepted.len());
        let sold = Sold::of(&orders.accepted);
        sold.prove(deployment, 1, &expected).await?;
        all.stop().await?;
        Ok(Accept {
            connections,
            beside_bare: Ratio::of(&turns, &bare_turns)
                .context("no round was measured: raise the number of rounds")?,
            beside_publish_each: Ratio::of(&turns, &each_turns)
                .context("no round was measured: raise the number of rounds")?,
            service: Round::median(turns)
                .context("no round was measured: raise the number of rounds")?,
            bare: Round::median(bare_turns)
                .context("no round was measured: raise the number of rounds")?,
            publish_each: Round::median(each_turns)
                .context("no round was measured: raise the number of rounds")?,
            accepted,
            decided,
            deciding_cpu_micros_per_order,
            while_deciding,
        })
    }
}

/// A turn of the service: every order is accepted.
async fn turn(
    deployment: &Deployment,
    service: &Service,
    name: &'static str,
    (connections, time): (usize, Duration),
    orders: &mut Orders<impl Iterator<Item = u32>>,
) -> anyhow::Result<Round> {
    let meter = Meter::on(deployment, [service.watched(name)])?;
    let measured = drive(service.address(), connections, Some(time), orders).await?;
    measured.expect_only(202).context(name)?;
    Ok(Round::of(&measured, meter.per(measured.count(202))?))
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "accept-durable, {} connections: {} of the bare handler, {} of one publish per order",
            self.connections, self.beside_bare, self.beside_publish_each
        )?;
        writeln!(
            f,
            "  {:<18} {:>9} {:>8} {:>8}  CPU µs/order",
            "", "orders/s", "p50 µs", "p99 µs"
        )?;
        for (name, turn) in [
            ("service", &self.service),
            ("bare handler", &self.bare),
            ("publish_each", &self.publish_each),
            ("service, role all", &self.while_deciding),
        ] {
            writeln!(
                f,
                "  {:<18} {:>9.0} {:>8} {:>8}  {}",
                name,
                turn.accepted_per_second,
                turn.p50_micros,
                turn.p99_micros,
                turn.cpu_micros_per_order
            )?;
        }
        writeln!(
            f,
            "  a worker decided {} of them afterwards at {:.0}/s ({} batches); CPU µs/order: {}\n  \
             {} accepted, all decided, no other; audit: 0 violations",
            self.decided.orders,
            self.decided.per_second,
            self.decided.batches,
            self.deciding_cpu_micros_per_order,
            self.accepted
        )
    }
}
