//! A flash sale as fast as it goes, from the first request to the last verdict:
//! each connection sends its next order when the last one is answered.

use std::time::Duration;

use anyhow::ensure;
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::{Measured, drive};
use black_box::program::Service;
use clap::Args;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::benchmark::{Benchmark, Setting, above};
use super::cpu::{CpuMicros, Meter};
use super::orders::{Orders, names, users};
use super::proof::Sold;
use crate::digits::{factor, grouped, millis, rate};
use crate::labels::{API, WORKER};
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
    pub(super) gate: Sale,
    /// With the gate open: every order is decided.
    pub(super) open_gate: Sale,
}

/// A sale in one of the ways, proven to the last ticket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sale {
    pub(super) answers_per_second: f64,
    /// Orders that were answered as sold out.
    #[serde(default, alias = "refused_by_gate")]
    refused: u64,
    #[serde(alias = "accept_p50_micros")]
    p50_micros: u64,
    #[serde(alias = "accept_p99_micros")]
    p99_micros: u64,
    /// From the first request to the last ticket in the store.
    #[serde(alias = "decided_after_seconds")]
    pub(super) stored_after_seconds: f64,
    cpu_micros_per_order: CpuMicros,
}

impl Sale {
    /// Of orders that were all stored after this time.
    pub(super) fn of(sent: &Measured, stored_after: Duration, cpu: CpuMicros) -> Self {
        Self {
            answers_per_second: sent.rate(202) + sent.rate(409),
            refused: sent.count(409),
            p50_micros: sent.latency_micros.value_at_quantile(0.5),
            p99_micros: sent.latency_micros.value_at_quantile(0.99),
            stored_after_seconds: stored_after.as_secs_f64(),
            cpu_micros_per_order: cpu,
        }
    }
}

/// A way, its sale, and its time by that of this engine with every order decided.
pub(super) type Row<'a> = (String, &'a Sale, Option<f64>);

/// The same sale in several ways.
pub(super) fn table<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Table {
    let mut table = Table::of(
        "way | answers/s: | p50 ms: | p99 ms: | all verdicts stored after: | \
         this engine, every order decided, beside it: | CPU µs/order",
    );
    for (way, sale, beside) in rows {
        table.row([
            way,
            rate(sale.answers_per_second),
            millis(sale.p50_micros),
            millis(sale.p99_micros),
            format!("{:.2} s", sale.stored_after_seconds),
            beside.map_or(String::new(), factor),
            sale.cpu_micros_per_order.to_string(),
        ]);
    }
    table
}

impl FlashSales {
    pub(super) fn rows(&self) -> [Row<'_>; 2] {
        [
            ("this engine, every order decided", &self.open_gate),
            ("this engine, sold-out gate as by default", &self.gate),
        ]
        .map(|(name, sale)| {
            let refused = grouped(sale.refused);
            (
                format!("{name} ({refused} refused by the gate)"),
                sale,
                None,
            )
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
            .map(|sale| above(what, sale.stored_after_seconds, args.flash_max_seconds))
            .into()
    }
}

async fn measure_one(
    setting: &Setting<'_>,
    args: &FlashSaleArgs,
    sold_out_gate: bool,
) -> anyhow::Result<Sale> {
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
) -> anyhow::Result<Sale> {
    let mut buyers: Vec<u32> = users(setting.users, args.flash_orders).collect();
    buyers.shuffle(&mut rand::rng());
    let meter = Meter::on(deployment, [api.watched(API), worker.watched(WORKER)])?;
    let mut orders = Orders::new(buyers.into_iter());
    let sent = drive(api.address(), setting.connections, None, &mut orders).await?;
    let accepted = orders.accepted.len() as u64;
    deployment.wait_for_changes(accepted + 1).await?;
    let after = sent.started.elapsed();
    let sale = Sale::of(&sent, after, meter.per(args.flash_orders)?);
    // A gate that is closed refuses orders: `409 sold_out`.
    ensure!(
        accepted + sale.refused == args.flash_orders,
        "only {accepted} of {} orders were accepted: {:?}",
        args.flash_orders,
        sent.by_status
    );
    let counted = Sold::of(&orders.accepted).audit(deployment, 1).await?;
    ensure!(
        sale.refused == 0 || counted.confirmed == u64::from(args.flash_seats),
        "undersold: {} orders were refused by the gate, and {} of {} seats sold",
        sale.refused,
        counted.confirmed,
        args.flash_seats
    );
    Ok(sale)
}
