//! What an order costs as their number and that of shows grow. Processes and
//! database of a number of shows stay the same from the smallest size to the
//! largest, so that what piles up shows.

use std::collections::BTreeMap;

use anyhow::ensure;
use black_box::administration::Terms;
use black_box::database::now_micros;
use black_box::deployment::Deployment;
use black_box::load::ratio;
use black_box::usage::{Watched, resident_kib};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::backlog::Decided;
use super::benchmark::{Benchmark, Setting};
use super::cpu::{CpuMicros, Meter, client};
use super::orders::{Orders, SEATS, names, place, users};
use super::proof::{Expected, Sold};
use crate::digits::{grouped, rate};
use crate::labels::{API, WORKER};
use crate::table::Table;

const MILLION: u64 = 1_000_000;

/// How growth is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct GrowthArgs {
    /// growth: orders in total at the end of each step.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    pub(crate) growth_orders: Vec<u64>,
    /// growth: adds a last step to 1,000,000 orders.
    #[arg(long)]
    pub(crate) million: bool,
    /// growth: numbers of shows; orders are for each show in turn.
    #[arg(long, value_delimiter = ',', default_value = "1,10,1000")]
    pub(crate) growth_shows: Vec<u32>,
    /// growth: fails if the resident memory of api and worker grows by more MiB after the first
    /// step.
    #[arg(long, default_value_t = 64)]
    pub(crate) max_growth_mib: u64,
}

/// All steps.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Growth(Vec<Step>);

/// From one number of orders to the next.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    shows: u32,
    /// In all at its end.
    orders: u64,
    accepted_per_second: f64,
    decided: Decided,
    /// Orders by the time from the first request to the last verdict.
    done_per_second: f64,
    cpu_micros_per_order: CpuMicros,
    /// At the end, by process.
    resident_mib: BTreeMap<String, u64>,
}

impl Benchmark for Growth {
    type Args = GrowthArgs;

    const MARKER: Option<&'static str> = Some("growth");

    async fn measure(setting: &Setting<'_>, args: &GrowthArgs) -> anyhow::Result<Self> {
        let mut sizes = args.growth_orders.clone();
        sizes.extend(args.million.then_some(MILLION));
        sizes.sort_unstable();
        sizes.dedup();
        ensure!(
            args.growth_shows.iter().all(|shows| *shows > 0),
            "--growth-shows must be at least 1"
        );
        let mut steps = Vec::new();
        for shows in &args.growth_shows {
            let on =
                async |deployment: &Deployment| grow(setting, deployment, *shows, &sizes).await;
            steps.extend(setting.deploy(setting.users, on).await?);
        }
        Ok(Self(steps))
    }

    /// One row per step.
    fn table(&self) -> Table {
        let mut table = Table::of(
            "shows: | orders in all: | accepted/s: | decided/s: | done/s: | \
             CPU µs/order | resident MiB",
        );
        for step in &self.0 {
            table.row([
                grouped(u64::from(step.shows)),
                grouped(step.orders),
                rate(step.accepted_per_second),
                rate(step.decided.per_second),
                rate(step.done_per_second),
                step.cpu_micros_per_order.to_string(),
                step.resident(),
            ]);
        }
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &GrowthArgs) -> Vec<Option<String>> {
        let grown = self.grown(args.max_growth_mib);
        grown.into_iter().map(Some).collect()
    }
}

impl Growth {
    /// Which processes did not stay flat.
    fn grown(&self, max_mib: u64) -> Vec<String> {
        let mut missed = Vec::new();
        for steps in self.0.chunk_by(|a, b| a.shows == b.shows) {
            let [first, .., last] = steps else { continue };
            for name in [API, WORKER] {
                let of = |step: &Step| step.resident_mib.get(name).copied().unwrap_or_default();
                if of(last) > of(first) + max_mib {
                    missed.push(format!(
                        "growth: {name} with {} shows grew from {} to {} MiB",
                        last.shows,
                        of(first),
                        of(last)
                    ));
                }
            }
        }
        missed
    }
}

async fn grow(
    setting: &Setting<'_>,
    deployment: &Deployment,
    shows: u32,
    sizes: &[u64],
) -> anyhow::Result<Vec<Step>> {
    let api = deployment.program.serve("api").await?;
    let worker = deployment.start_owner().await?;
    let terms = Terms::of(SEATS);
    api.target.put_on_sale(&names(), shows, terms).await?;
    let watched = [api.watched(API), worker.watched(WORKER)];

    let mut accepted = Vec::new();
    let mut steps = Vec::new();
    for size in sizes {
        let count = size - accepted.len() as u64;
        let orders = Orders::of_shows(users(setting.users, count), 0..shows);
        let meter = Meter::on(deployment, watched.clone())?;
        let since = now_micros()?;
        let (sent, more) = place(&api, setting.connections, orders).await?;
        accepted.extend(more);
        deployment.wait_for_changes(u64::from(shows) + size).await?;
        let elapsed = sent.started.elapsed();
        let step = Step {
            shows,
            orders: *size,
            accepted_per_second: sent.rate(202),
            decided: Decided::since(deployment, since).await?,
            done_per_second: ratio(count, elapsed.as_secs_f64()),
            cpu_micros_per_order: meter.per(count)?,
            resident_mib: resident(watched.iter().chain(&deployment.local_servers).cloned())?,
        };
        steps.push(step);
    }
    let expected = Expected::confirmed(accepted.len() as u64);
    Sold::of(&accepted)
        .prove(deployment, shows, &expected)
        .await?;
    worker.stop().await?;
    api.stop().await?;
    Ok(steps)
}

fn resident(processes: impl Iterator<Item = Watched>) -> anyhow::Result<BTreeMap<String, u64>> {
    processes
        .chain([client()])
        .map(|watched| {
            let kib = resident_kib(watched.id)?;
            Ok((watched.name.to_owned(), kib / 1_024))
        })
        .collect()
}

impl Step {
    /// `api 37, worker 28`
    fn resident(&self) -> String {
        let resident = self.resident_mib.iter();
        let resident: Vec<_> = resident
            .map(|(name, mib)| format!("{name} {mib}"))
            .collect();
        resident.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(shows: u32, api_mib: u64) -> Step {
        Step {
            shows,
            orders: 1,
            accepted_per_second: 1.0,
            decided: Decided::of(&[(0, 1), (1, 1)]).unwrap(),
            done_per_second: 1.0,
            cpu_micros_per_order: Meter::start([]).unwrap().per(1).unwrap(),
            resident_mib: [(API, api_mib), (WORKER, 9)]
                .map(|(name, mib)| (name.to_owned(), mib))
                .into(),
        }
    }

    #[test]
    fn memory_may_grow_by_the_limit() {
        let flat = Growth(vec![step(1, 10), step(1, 40), step(1, 15)]);
        assert!(flat.grown(5).is_empty());
        let grows = Growth(vec![step(1, 10), step(2, 10), step(2, 16)]);
        let expected = ["growth: tickets api with 2 shows grew from 10 to 16 MiB"];
        assert_eq!(grows.grown(5), expected);
    }
}
