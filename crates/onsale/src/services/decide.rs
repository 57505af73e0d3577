//! A backlog of orders for one hot show, decided by one worker.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::naive::{self, Naive};
use super::{Required, Setting, missed};
use crate::cpu::CpuMicros;
use crate::database::StoreServer;
use crate::deciding::{Decided, decide_backlog};
use crate::deployment::{API, Deployment};
use crate::load::{drive, ratio};
use crate::reconcile::Told;
use crate::report::text::{factor, grouped, rate};
use crate::sale::{NewShow, Orders, SHOW};
use crate::tables::markdown::Column::{Figure, Text};
use crate::tables::markdown::Table;

/// Required on MariaDB, whose commits cost less.
const MIN_NAIVE_RATIO_MARIADB: f64 = 12.0;
const MIN_NAIVE_RATIO_MYSQL: f64 = 20.0;

/// How deciding is measured.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// Orders of the backlog.
    #[arg(long, default_value_t = 200_000)]
    pub decide_orders: u64,
    /// Seats, so that orders past them are sold out.
    #[arg(long, default_value_t = 150_000)]
    pub decide_seats: u32,
    /// Connections that sell one ticket per transaction.
    #[arg(long, default_value_t = 16)]
    pub naive_connections: u32,
    /// How long they sell, before and again after the backlog, in seconds.
    #[arg(long, default_value_t = 4.0)]
    pub naive_seconds: f64,
    /// Required: decisions by tickets of one transaction each; 12 on MariaDB
    /// and 20 on MySQL unless given.
    #[arg(long)]
    pub min_naive_ratio: Option<f64>,
    /// Required: decisions per second.
    #[arg(long, default_value_t = 15_000.0)]
    pub min_decided_per_second: f64,
}

/// What deciding came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Decide {
    accepted_per_second: f64,
    accept_cpu_micros_per_order: CpuMicros,
    pub(super) decided: Decided,
    cpu_micros_per_order: CpuMicros,
    /// Before the backlog and after it.
    pub(super) naive: [Naive; 2],
    /// Beside the better one of the two.
    pub(super) beside_naive: f64,
}

impl Decide {
    /// What was required and not reached.
    pub(super) fn missed(&self, args: &DecideArgs, server: &StoreServer) -> Vec<String> {
        let by_server = if server.is_mariadb() {
            MIN_NAIVE_RATIO_MARIADB
        } else {
            MIN_NAIVE_RATIO_MYSQL
        };
        missed(&[
            Required {
                what: "decide: decisions by tickets of one transaction each",
                figure: self.beside_naive,
                at_least: args.min_naive_ratio.unwrap_or(by_server),
            },
            Required {
                what: "decide: decisions per second",
                figure: self.decided.per_second,
                at_least: args.min_decided_per_second,
            },
        ])
    }
}

impl Decide {
    /// One row per way.
    pub(super) fn table(&self) -> String {
        let mut table = Table::of([
            Text("way"),
            Figure("verdicts"),
            Figure("verdicts/s"),
            Figure("this engine beside the better one"),
            Figure("orders per transaction"),
            Text("CPU µs/verdict"),
        ]);
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
        table.to_string()
    }
}

pub(super) async fn measure(setting: &Setting<'_>, args: &DecideArgs) -> anyhow::Result<Decide> {
    let time = Duration::try_from_secs_f64(args.naive_seconds).context("--naive-seconds")?;
    let naive = async || naive::measure(setting, args.naive_connections, time).await;
    let before = naive().await?;
    let program = setting.program.clone();
    let on = async |deployment: &Deployment| decide(setting, args, deployment).await;
    let decided = Deployment::with(setting.servers, program, setting.users, on);
    let (accepted_per_second, accept_cpu_micros_per_order, decided, cpu_micros_per_order) =
        decided.await?;
    let after = naive().await?;
    Ok(Decide {
        accepted_per_second,
        accept_cpu_micros_per_order,
        beside_naive: decided.per_second / before.per_second.max(after.per_second),
        decided,
        cpu_micros_per_order,
        naive: [before, after],
    })
}

/// Rate and cost of accepting, then of deciding.
async fn decide(
    setting: &Setting<'_>,
    args: &DecideArgs,
    deployment: &Deployment,
) -> anyhow::Result<(f64, CpuMicros, Decided, CpuMicros)> {
    let api = deployment.tickets.serve("api").await?;
    api.put_on_sale([SHOW], NewShow::of(args.decide_seats))
        .await?;
    let users = (0..setting.users).cycle();
    let mut orders = Orders::new((0..args.decide_orders).zip(users).map(|(_, user)| user));
    let meter = deployment.meter([api.watched(API)])?;
    let queued = drive(api.address(), setting.connections, None, &mut orders).await?;
    queued.expect_only(202)?;
    let accept_cpu = meter.per(args.decide_orders)?;
    // The api goes on running: verdicts are announced to it, as they always are.
    let (decided, cpu) = decide_backlog(deployment, args.decide_orders, [api.watched(API)]).await?;
    let seats = u64::from(args.decide_seats);
    let told = Told {
        accepted: orders.accepted,
        confirmed: args.decide_orders.min(seats),
        sold_out: args.decide_orders.saturating_sub(seats),
        ..Told::default()
    };
    deployment.reconcile(&api, &told, seats).await?;
    api.process.stop().await?;
    Ok((queued.rate(202), accept_cpu, decided, cpu))
}

impl fmt::Display for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "decide: {:.0} orders/s, {:.1} times one transaction per ticket\n  \
             {} orders of one show in {:.2} s and {} batches; CPU µs/order: {}\n  \
             (queued at {:.0} orders/s; CPU µs/order: {})",
            self.decided.per_second,
            self.beside_naive,
            self.decided.orders,
            self.decided.seconds,
            self.decided.batches,
            self.cpu_micros_per_order,
            self.accepted_per_second,
            self.accept_cpu_micros_per_order
        )?;
        for (when, naive) in ["before", "after"].iter().zip(&self.naive) {
            writeln!(
                f,
                "  one transaction per ticket, {} connections, {when}: {:.0} tickets/s; \
                 CPU µs/ticket: {}",
                naive.connections, naive.per_second, naive.cpu_micros_per_ticket
            )?;
        }
        writeln!(f, "  all decided, no other; audit: 0 violations")
    }
}
