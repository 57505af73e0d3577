//! A backlog of orders for one hot show, decided by one worker.

use std::time::Duration;

use anyhow::Context;
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::ratio;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::backlog::{Decided, decide_backlog};
use super::benchmark::{Benchmark, Setting, below};
use super::cpu::CpuMicros;
use super::naive::{self, Naive};
use super::orders::{Orders, names, place, users};
use super::proof::{Expected, Sold};
use crate::digits::{factor, grouped, rate};
use crate::labels::API;
use crate::table::Table;

/// Required on MariaDB, whose commits cost less.
const MIN_NAIVE_RATIO_MARIADB: f64 = 12.0;
const MIN_NAIVE_RATIO_MYSQL: f64 = 20.0;

/// How deciding is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct DecideArgs {
    /// decide: orders in the backlog.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) decide_orders: u64,
    /// decide: seats of the show; later orders are rejected as sold out.
    #[arg(long, default_value_t = 150_000)]
    pub(crate) decide_seats: u32,
    /// decide: connections of the baseline, which sells one ticket per transaction.
    #[arg(long, default_value_t = 16)]
    pub(crate) naive_connections: u32,
    /// decide: length of the baseline in seconds; it runs before and after the backlog.
    #[arg(long, default_value_t = 4.0)]
    pub(crate) naive_seconds: f64,
    /// decide: fails if decisions per sale of the baseline are fewer [default: 12 on MariaDB, 20
    /// on MySQL].
    #[arg(long)]
    pub(crate) min_naive_ratio: Option<f64>,
    /// decide: fails if decisions per second are fewer.
    #[arg(long, default_value_t = 15_000.0)]
    pub(crate) min_decided_per_second: f64,
}

/// What deciding came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Decide {
    pub(super) decided: Decided,
    cpu_micros_per_order: CpuMicros,
    /// Before the backlog and after it.
    pub(super) naive: [Naive; 2],
    /// Beside the better one of the two.
    pub(super) beside_naive: f64,
}

impl Benchmark for Decide {
    type Args = DecideArgs;

    const MARKER: Option<&'static str> = Some("decide");

    async fn measure(setting: &Setting<'_>, args: &DecideArgs) -> anyhow::Result<Self> {
        let time = Duration::try_from_secs_f64(args.naive_seconds).context("--naive-seconds")?;
        let naive = async || naive::measure(setting, args.naive_connections, time).await;
        let before = naive().await?;
        let on = async |deployment: &Deployment| decide(setting, args, deployment).await;
        let (decided, cpu_micros_per_order) = setting.deploy(setting.users, on).await?;
        let after = naive().await?;
        Ok(Self {
            beside_naive: decided.per_second / before.per_second.max(after.per_second),
            decided,
            cpu_micros_per_order,
            naive: [before, after],
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::of(
            "way | verdicts: | verdicts/s: | this engine beside the better one: | \
             orders per transaction: | CPU µs/verdict",
        );
        let decided = &self.decided;
        table.row([
            "this engine, one worker".to_owned(),
            grouped(decided.orders),
            rate(decided.per_second),
            String::new(),
            rate(ratio(decided.orders, ratio(decided.batches, 1.0))),
            self.cpu_micros_per_order.to_string(),
        ]);
        for (when, naive) in ["before", "after"].iter().zip(&self.naive) {
            table.row([
                format!(
                    "one transaction per ticket, {} connections, {when}",
                    naive.connections
                ),
                grouped(naive.tickets),
                rate(naive.per_second),
                factor(self.beside_naive),
                "1".to_owned(),
                naive.cpu_micros_per_ticket.to_string(),
            ]);
        }
        table
    }

    fn missed(&self, setting: &Setting<'_>, args: &DecideArgs) -> Vec<Option<String>> {
        let by_server = if setting.is_mariadb {
            MIN_NAIVE_RATIO_MARIADB
        } else {
            MIN_NAIVE_RATIO_MYSQL
        };
        let of_naive = "decide: decisions by tickets of one transaction each";
        let at_least = args.min_naive_ratio.unwrap_or(by_server);
        let per_second = self.decided.per_second;
        let rate = "decide: decisions per second";
        vec![
            below(of_naive, self.beside_naive, at_least),
            below(rate, per_second, args.min_decided_per_second),
        ]
    }
}

impl Decide {
    /// The better rate of the baseline.
    pub(super) fn naive_per_second(&self) -> f64 {
        let [before, after] = &self.naive;
        before.per_second.max(after.per_second)
    }
}

/// Rate and cost of deciding what was accepted before.
async fn decide(
    setting: &Setting<'_>,
    args: &DecideArgs,
    deployment: &Deployment,
) -> anyhow::Result<(Decided, CpuMicros)> {
    let api = deployment.program.serve("api").await?;
    let terms = Terms::of(args.decide_seats);
    api.target.put_on_sale(&names(), 1, terms).await?;
    let orders = Orders::new(users(setting.users, args.decide_orders));
    let (_, accepted) = place(&api, setting.connections, orders).await?;
    // The api goes on running: verdicts are announced to it, as they always are.
    let (decided, cpu) = decide_backlog(deployment, args.decide_orders, [api.watched(API)]).await?;
    let seats = u64::from(args.decide_seats);
    let expected = Expected {
        confirmed: args.decide_orders.min(seats),
        sold_out: args.decide_orders.saturating_sub(seats),
        ..Expected::default()
    };
    Sold::of(&accepted).prove(deployment, 1, &expected).await?;
    api.stop().await?;
    Ok((decided, cpu))
}
