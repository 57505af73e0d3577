//! Accept throughput of the service beside a bare handler, in turns of one run.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use black_box::administration::Terms;
use black_box::load::drive;
use black_box::program::{Program, Service};
use black_box::waiting::wait_for;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::benchmark::below;
use super::beside::{self, BARE, Load, Side, WARM_UP};
use super::cpu::Meter;
use super::orders::{Orders, SEATS, names};
use super::proof::{Expected, Sold};
use super::rounds::{Ratio, Round};
use crate::files::write_json;
use crate::labels::CLIENT;
use crate::provenance::Provenance;
use crate::table::Table;

/// What figures call the other side.
const SERVICE: &str = "service";

/// How the benchmark goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// Numbers of keep-alive connections; each is measured.
    #[arg(long, value_delimiter = ',', default_value = "64,512")]
    pub(crate) connections: Vec<usize>,
    /// How often service and bare handler are measured, in turn.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Length of each measurement in seconds.
    #[arg(long, default_value_t = 3)]
    pub(crate) seconds: u64,
    /// The number of users, who order in turn.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) users: u32,
    /// Fails if the median ratio of accepted orders to those of the bare handler is lower.
    #[arg(long, default_value_t = 0.6)]
    pub(crate) min_ratio: f64,
    /// The program of the service [default: the `tickets` beside this binary].
    #[arg(long)]
    pub(crate) tickets_bin: Option<PathBuf>,
    /// Also writes the figures to this file, as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// The place of the table of its figures.
pub(crate) const MARKER: &str = "accept-memory";

/// Every figure of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) setting: Provenance,
    levels: Vec<Level>,
    /// What was required and not reached, in words.
    pub(crate) missed: Vec<String>,
}

/// All rounds with one number of connections; figures are medians of the rounds.
#[derive(Debug, Serialize, Deserialize)]
struct Level {
    connections: usize,
    service: Round,
    bare: Round,
    /// Of accepted orders, service by bare handler.
    ratio: Ratio,
    accepted: u64,
    refused: u64,
}

/// Measures, prints and audits.
pub(crate) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let program = Program::in_memory(args.tickets_bin.clone())?;
    let versions = [("tickets".to_owned(), program.version().await?)];
    let setting = Provenance::of(versions.into());
    let mut levels = Vec::new();
    for connections in &args.connections {
        levels.push(Box::pin(measure(&program, &args, *connections)).await?);
    }
    let missed = levels.iter().filter_map(|level| {
        let what = format!("{} connections, of the bare handler", level.connections);
        below(&what, level.ratio.median, args.min_ratio)
    });
    let report = Report {
        missed: missed.collect(),
        setting,
        levels,
    };
    write!(io::stdout(), "{}", report.table().aligned())?;
    write_json(args.json.as_deref(), &report)?;
    if !report.missed.is_empty() {
        bail!("{}", report.missed.join("\n"));
    }
    Ok(())
}

impl Report {
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::of(
            "connections |  | orders/s: | of the bare handler: | p50 ms: | p99 ms: | \
             CPU µs/order",
        );
        for level in &self.levels {
            let connections = level.connections.to_string();
            for (name, turn, ratio) in [
                (SERVICE, &level.service, Some(level.ratio)),
                (BARE, &level.bare, None),
            ] {
                let side = [connections.clone(), name.to_owned()];
                table.row(side.into_iter().chain(turn.cells(ratio)));
            }
        }
        table
    }
}

async fn measure(program: &Program, args: &BenchArgs, connections: usize) -> anyhow::Result<Level> {
    let service = start(program, Terms::of(SEATS), args.users).await?;
    let mut baseline = beside::start(BARE, |_| {}).await?;
    let mut bare = Side::baseline(BARE, &baseline, args.users);
    let load = Load {
        connections,
        time: Duration::from_secs(args.seconds),
        servers: &[],
    };
    let mut orders = Orders::new((0..args.users).cycle());
    let warmed_up = drive(service.address(), connections, Some(WARM_UP), &mut orders).await?;
    bare.warm_up(connections).await?;
    wait_for_sold(&service, warmed_up.count(202)).await?;

    let mut refused = warmed_up.answers() - warmed_up.count(202);
    let mut turns = Vec::new();
    for _ in 0..args.rounds.max(1) {
        let meter = Meter::start([service.watched(SERVICE)])?;
        let measured = drive(service.address(), connections, Some(load.time), &mut orders).await?;
        let sent = meter.per(measured.count(202))?;
        refused += measured.answers() - measured.count(202);
        wait_for_sold(&service, orders.accepted.len() as u64).await?;
        // What the client spends on waiting is no part of an order's cost,
        // what the service spends on deciding is.
        let decided = meter.per(measured.count(202))?;
        let cpu = decided.with(&[CLIENT], &sent);
        turns.push(Round::answered(202, &measured, cpu));
        bare.turn(&load).await?;
    }
    let audit = service.target.audit().await?;
    let accepted = orders.accepted.len() as u64;
    let expected = Expected::confirmed(accepted);
    Sold::of(&orders.accepted).prove_counts(audit, &expected)?;
    service.stop().await?;
    baseline.stop().await?;
    Ok(Level {
        connections,
        ratio: Ratio::of(&turns, &bare.turns)?,
        service: Round::median(turns)?,
        bare: Round::median(bare.turns)?,
        accepted,
        refused,
    })
}

/// Starts the service in memory, with one show and users.
pub(super) async fn start(program: &Program, terms: Terms, users: u32) -> anyhow::Result<Service> {
    let service = program.serve("all").await?;
    service.target.put_on_sale(&names(), 1, terms).await?;
    service.target.create_users(&names(), users, 0.0).await?;
    Ok(service)
}

/// Waits until so many seats are sold: every order has its verdict.
async fn wait_for_sold(service: &Service, orders: u64) -> anyhow::Result<()> {
    let names = names();
    let sold = async || Ok(service.target.seats(&names).await?.sold);
    wait_for(orders, sold)
        .await
        .context("orders were lost: seats sold")
}
