//! A flash sale as fast as it goes, from the first request to the last verdict:
//! each connection sends its next order when the last one is answered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::drive;
use black_box::program::Service;
use black_box::proof::ticket::State;
use black_box::store::{Asked, Store};
use clap::Args;
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::benchmark::{Benchmark, Setting};
use super::cpu::{CpuMicros, Meter};
use super::orders::{Orders, names, users};
use super::proof::{Expected, Sold};
use crate::labels::{API, WORKER};

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

impl Benchmark for FlashSales {
    type Args = FlashSaleArgs;

    async fn measure(setting: &Setting<'_>, args: &FlashSaleArgs) -> anyhow::Result<Self> {
        Ok(Self {
            gate: Box::pin(measure_one(setting, args, true)).await?,
            open_gate: Box::pin(measure_one(setting, args, false)).await?,
        })
    }

    fn missed(&self, _: &Setting<'_>, args: &FlashSaleArgs) -> Vec<String> {
        let limit = args.flash_max_seconds;
        [&self.gate, &self.open_gate]
            .into_iter()
            .map(|sale| sale.decided_after_seconds)
            .filter(|after| *after > limit)
            .map(|after| format!("flash sale: all decided after {after:.2} s, not {limit} s"))
            .collect()
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

    let Verdicts { states, counted } = verdicts(api, &orders).await?;
    ensure!(
        accepted + refused_by_gate == args.flash_orders,
        "only {accepted} of {} orders were accepted: {:?}",
        args.flash_orders,
        sent.by_status
    );
    ensure!(
        refused_by_gate == 0 || counted.confirmed == u64::from(args.flash_seats),
        "undersold: {refused_by_gate} orders were refused by the gate, and {} of {} seats sold",
        counted.confirmed,
        args.flash_seats
    );
    let mut sold = Sold::of(&orders.accepted);
    for (order, told) in orders.accepted.iter().zip(&mut sold.told) {
        told.states.extend(states.get(&order.ticket).copied());
    }
    sold.prove(deployment, 1, &counted).await?;
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

impl fmt::Display for FlashSales {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}with the gate open, {}", self.gate, self.open_gate)
    }
}

impl fmt::Display for FlashSale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "flash sale: {} orders by {} users for {} seats, seed {}\n  \
             connections          {}, opened in {:.2} s\n  \
             answers per second   {:.0}; {} orders were refused by the gate\n  \
             accept p50, p99      {} µs, {} µs\n  \
             all decided after    {:.2} s",
            self.orders,
            self.users,
            self.seats,
            self.seed,
            self.connections,
            self.opening_seconds,
            self.answers_per_second,
            self.refused_by_gate,
            self.accept_p50_micros,
            self.accept_p99_micros,
            self.decided_after_seconds
        )?;
        writeln!(
            f,
            "  verdict p50, p99     {:.2} s, {:.2} s after the acceptance",
            Duration::from_micros(self.wait.p50_micros).as_secs_f64(),
            Duration::from_micros(self.wait.p99_micros).as_secs_f64()
        )?;
        let peaks = self.peak_resident_mib.iter();
        let peaks: Vec<_> = peaks.map(|(name, mib)| format!("{name} {mib}")).collect();
        writeln!(
            f,
            "  confirmed            {}\n  \
             sold out             {}\n  \
             limit exceeded       {}\n  \
             CPU µs/order         {}\n  \
             peak resident MiB    {}\n  \
             audit: 0 violations; clients and service agree on every ticket",
            self.confirmed,
            self.sold_out,
            self.limit_exceeded,
            self.cpu_micros_per_order,
            peaks.join(", ")
        )
    }
}

/// What every client reads of its ticket.
struct Verdicts {
    states: HashMap<Uuid, State>,
    counted: Expected,
}

/// Reads every accepted ticket back.
async fn verdicts<U>(api: &Service, orders: &Orders<U>) -> anyhow::Result<Verdicts> {
    let accepted: Vec<Uuid> = orders.accepted.iter().map(|order| order.ticket).collect();
    let asked = Asked {
        target: &api.target,
        names: &names(),
        accepted: &accepted,
        uncertain: &[],
        doubtful: &HashSet::new(),
        hold_seconds: 0,
        patience: Duration::ZERO,
    };
    let read = Store::Http.read(&asked).await?.tickets;
    let states: HashMap<Uuid, State> = read
        .iter()
        .map(|ticket| (ticket.id, ticket.state))
        .collect();
    let count = |wanted: State| states.values().filter(|state| **state == wanted).count() as u64;
    let counted = Expected {
        confirmed: count(State::Confirmed),
        sold_out: count(State::SoldOut),
        limit_exceeded: count(State::LimitExceeded),
        ..Expected::default()
    };
    Ok(Verdicts { states, counted })
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
