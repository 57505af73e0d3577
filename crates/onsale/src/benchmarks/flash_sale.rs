//! A flash sale as fast as it goes, from the first request to the last verdict:
//! each connection sends its next order when the last one is answered.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::drive;
use black_box::program::Service;
use clap::Args;
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::benchmark::{Benchmark, Setting, above};
use super::cpu::{CpuMicros, Meter};
use super::orders::{Orders, names, users};
use super::proof::Sold;
use crate::digits::{factor, grouped, millis, rate};
use crate::labels::{API, WORKER};
use crate::table::Column::{Figure, Text};
use crate::table::Table;

/// How the flash sale goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct FlashSaleArgs {
    /// flash-sale: orders; each user places the same number of them.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) flash_orders: u64,
    /// flash-sale: seats, at most one for each user.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) flash_seats: u32,
    /// flash-sale: fails if deciding all orders takes longer, in seconds.
    #[arg(long, default_value_t = 12.0)]
    pub(crate) flash_max_seconds: f64,
}

/// The same sale twice.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FlashSales {
    /// As configured by default: what is sold out is refused.
    pub(super) gate: FlashSale,
    /// With the gate open: every order is decided.
    pub(super) open_gate: FlashSale,
}

/// A sale that was reconciled to the last ticket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FlashSale {
    pub(super) orders: u64,
    users: u64,
    pub(super) seats: u32,
    seed: u64,
    connections: usize,
    /// Time that it took to open them, before the first request.
    opening_seconds: f64,
    /// Orders accepted, or refused by the gate.
    pub(super) answers_per_second: f64,
    /// Orders that the sold-out gate refused.
    pub(super) refused_by_gate: u64,
    pub(super) accept_p50_micros: u64,
    pub(super) accept_p99_micros: u64,
    /// From the first request.
    pub(super) decided_after_seconds: f64,
    /// From the acceptance of an order to its decision.
    wait: Wait,
    confirmed: u64,
    sold_out: u64,
    limit_exceeded: u64,
    /// Until the last verdict.
    pub(super) cpu_micros_per_order: CpuMicros,
    /// Of each process of the service.
    peak_resident_mib: BTreeMap<String, u64>,
}

/// Between `requested_at` and `decided_at` of the tickets.
#[derive(Debug, Serialize, Deserialize)]
struct Wait {
    p50_micros: u64,
    p99_micros: u64,
}

/// A sale beside others of the same.
pub(super) struct Row {
    pub(super) way: String,
    pub(super) answers_per_second: f64,
    pub(super) p50_micros: u64,
    pub(super) p99_micros: u64,
    pub(super) stored_after_seconds: f64,
    /// Its time by that of this engine with every order decided.
    pub(super) beside: Option<f64>,
    pub(super) cpu_micros_per_order: CpuMicros,
}

/// The same sale in several ways.
pub(super) fn table(rows: impl IntoIterator<Item = Row>) -> Table {
    let mut table = Table::of([
        Text("way"),
        Figure("answers/s"),
        Figure("p50 ms"),
        Figure("p99 ms"),
        Figure("all verdicts stored after"),
        Figure("this engine, every order decided, beside it"),
        Text("CPU µs/order"),
    ]);
    for row in rows {
        table.row([
            row.way,
            rate(row.answers_per_second),
            millis(row.p50_micros),
            millis(row.p99_micros),
            format!("{:.2} s", row.stored_after_seconds),
            row.beside.map_or(String::new(), factor),
            row.cpu_micros_per_order.to_string(),
        ]);
    }
    table
}

impl FlashSales {
    pub(super) fn rows(&self) -> [Row; 2] {
        [
            ("this engine, every order decided", &self.open_gate),
            ("this engine, sold-out gate as by default", &self.gate),
        ]
        .map(|(name, sale)| Row {
            way: format!(
                "{name} ({} refused by the gate)",
                grouped(sale.refused_by_gate)
            ),
            answers_per_second: sale.answers_per_second,
            p50_micros: sale.accept_p50_micros,
            p99_micros: sale.accept_p99_micros,
            stored_after_seconds: sale.decided_after_seconds,
            beside: None,
            cpu_micros_per_order: sale.cpu_micros_per_order.clone(),
        })
    }
}

impl Benchmark for FlashSales {
    type Args = FlashSaleArgs;

    async fn measure(setting: &Setting<'_>, args: &FlashSaleArgs) -> anyhow::Result<Self> {
        Ok(Self {
            gate: Box::pin(measure_one(setting, args, true)).await?,
            open_gate: Box::pin(measure_one(setting, args, false)).await?,
        })
    }

    fn table(&self) -> Table {
        table(self.rows())
    }

    fn missed(&self, _: &Setting<'_>, args: &FlashSaleArgs) -> Vec<Option<String>> {
        let what = "flash sale: seconds until all are decided";
        let sales = [&self.gate, &self.open_gate];
        sales
            .map(|sale| above(what, sale.decided_after_seconds, args.flash_max_seconds))
            .into()
    }
}

async fn measure_one(
    setting: &Setting<'_>,
    args: &FlashSaleArgs,
    sold_out_gate: bool,
) -> anyhow::Result<FlashSale> {
    let on = async |deployment: &Deployment| {
        let gate = (
            "tickets.sold_out_gate".to_owned(),
            sold_out_gate.to_string(),
        );
        let program = deployment.program.with_settings(&[gate].into());
        let api = program.serve("api").await?;
        let worker = deployment.start_owner().await?;
        let terms = Terms {
            max_per_user: 1,
            ..Terms::of(args.flash_seats)
        };
        api.target.put_on_sale(&names(), 1, terms).await?;
        let sold = Box::pin(sell(setting, args, deployment, &api, &worker)).await?;
        worker.stop().await?;
        api.stop().await?;
        Ok(sold)
    };
    setting.deploy(setting.users, on).await
}

async fn sell(
    setting: &Setting<'_>,
    args: &FlashSaleArgs,
    deployment: &Deployment,
    api: &Service,
    worker: &Service,
) -> anyhow::Result<FlashSale> {
    let seed = rand::random();
    let mut buyers: Vec<u32> = users(setting.users, args.flash_orders).collect();
    buyers.shuffle(&mut StdRng::seed_from_u64(seed));

    let meter = Meter::on(deployment, [api.watched(API), worker.watched(WORKER)])?;
    let mut orders = Orders::new(buyers.into_iter());
    let connections = setting.connections;
    let sent = drive(api.address(), connections, None, &mut orders).await?;
    let accepted = orders.accepted.len() as u64;
    // A gate that is closed refuses orders: `409 sold_out`.
    let refused_by_gate = sent.count(409);
    deployment.wait_for_changes(accepted + 1).await?;
    let decided_after = sent.started.elapsed();
    let cpu_micros_per_order = meter.per(args.flash_orders)?;

    ensure!(
        accepted + refused_by_gate == args.flash_orders,
        "only {accepted} of {} orders were accepted: {:?}",
        args.flash_orders,
        sent.by_status
    );
    let counted = Sold::of(&orders.accepted).audit(deployment, 1).await?;
    ensure!(
        refused_by_gate == 0 || counted.confirmed == u64::from(args.flash_seats),
        "undersold: {refused_by_gate} orders were refused by the gate, and {} of {} seats sold",
        counted.confirmed,
        args.flash_seats
    );
    let latency = &sent.latency_micros;
    let waits = deployment.database.waits_micros().await?;
    let peak = |name: &'static str, service: &Service| {
        let kib = service.process.peak_resident_kib()?;
        Ok((name.to_owned(), kib / 1_024))
    };
    Ok(FlashSale {
        orders: args.flash_orders,
        users: u64::from(setting.users),
        seats: args.flash_seats,
        seed,
        connections,
        opening_seconds: sent.opening.as_secs_f64(),
        answers_per_second: sent.rate(202) + sent.rate(409),
        refused_by_gate,
        accept_p50_micros: latency.value_at_quantile(0.5),
        accept_p99_micros: latency.value_at_quantile(0.99),
        decided_after_seconds: decided_after.as_secs_f64(),
        wait: Wait::of(&waits)?,
        confirmed: counted.confirmed,
        sold_out: counted.sold_out,
        limit_exceeded: counted.limit_exceeded,
        cpu_micros_per_order,
        peak_resident_mib: [peak(API, api), peak(WORKER, worker)]
            .into_iter()
            .collect::<anyhow::Result<_>>()?,
    })
}

impl Wait {
    fn of(waits_micros: &[i64]) -> anyhow::Result<Self> {
        let mut waits = Histogram::<u64>::new(3).context("histogram")?;
        for wait in waits_micros {
            let wait = u64::try_from(*wait).context("an order was decided before it came")?;
            waits.record(wait.max(1))?;
        }
        Ok(Self {
            p50_micros: waits.value_at_quantile(0.5),
            p99_micros: waits.value_at_quantile(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_those_of_most_orders() {
        let waits: Vec<i64> = (1..=100).collect();
        let wait = Wait::of(&waits).unwrap();
        assert_eq!((wait.p50_micros, wait.p99_micros), (50, 99));
        assert!(Wait::of(&[-1]).is_err());
    }
}
