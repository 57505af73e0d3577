//! Accept throughput of the service beside a bare handler, in turns of one run.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use tokio::process::Command;
use uuid::Uuid;

use crate::load::{Measured, drive, ratio};
use crate::process::{Process, own_cpu_micros, sibling};
use crate::reconcile::{Told, differences};
use crate::sale::{Orders, Service};

/// More seats than any run can sell.
const SEATS: u32 = 10_000_000;
const WARM_UP: Duration = Duration::from_secs(1);

/// How the benchmark goes.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Keep-alive connections; one measurement for each number.
    #[arg(long, value_delimiter = ',', default_value = "64,512")]
    pub connections: Vec<usize>,
    /// Turns of service and bare handler.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Length of each turn, in seconds.
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Distinct users that order in turn.
    #[arg(long, default_value_t = 50_000)]
    pub users: u64,
    /// Fails when the median ratio is below.
    #[arg(long, default_value_t = 0.75)]
    pub min_ratio: f64,
    /// The service; the `tickets` beside this binary unless given.
    #[arg(long)]
    pub tickets_bin: Option<PathBuf>,
    /// Writes the figures into this file too.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// One side in one round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Turn {
    accepted_per_second: f64,
    p50_micros: u64,
    p99_micros: u64,
    /// Of the measured process, until the last order of the turn was decided.
    cpu_micros_per_order: f64,
    client_cpu_micros_per_order: f64,
}

/// All rounds with one number of connections; figures are medians of the rounds.
#[derive(Debug, Serialize)]
struct Level {
    connections: usize,
    service: Turn,
    bare: Turn,
    /// Median of the rounds' ratios of accepted orders.
    ratio: f64,
    lowest_ratio: f64,
    highest_ratio: f64,
    accepted: u64,
    refused: u64,
    peak_resident_mib: u64,
}

/// Measures, prints and audits.
///
/// # Errors
/// When an accepted order was not decided, the audit finds a violation, or a
/// ratio is below the limit.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let mut out = io::stdout();
    let mut levels = Vec::new();
    for connections in &args.connections {
        let level = measure(&args, *connections).await?;
        level.print(&mut out)?;
        levels.push(level);
    }
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&levels)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    for level in &levels {
        if level.ratio < args.min_ratio {
            bail!(
                "{} connections: a ratio of {:.2} is below {}",
                level.connections,
                level.ratio,
                args.min_ratio
            );
        }
    }
    Ok(())
}

async fn measure(args: &BenchArgs, connections: usize) -> anyhow::Result<Level> {
    let service = Service::start(args.tickets_bin.clone(), SEATS, SEATS, args.users).await?;
    let with_port = |command: &mut Command, port: u16| {
        command.args(["--port", &port.to_string()]);
    };
    let bare = Process::start(&sibling("bare")?, with_port, "/health").await?;
    let time = Duration::from_secs(args.seconds);
    let mut orders = Orders::new((0..args.users).cycle());
    let mut bare_orders = Orders::new((0..args.users).cycle());
    let warmed_up = drive(service.address(), connections, Some(WARM_UP), &mut orders).await?;
    drive(bare.address, connections, Some(WARM_UP), &mut bare_orders).await?;
    service.wait_for_changes(warmed_up.count(202) + 1).await?;

    let mut refused = warmed_up.answers() - warmed_up.count(202);
    let mut turns = Vec::new();
    let mut bare_turns = Vec::new();
    for _ in 0..args.rounds.max(1) {
        let meter = Meter::start(&service.process)?;
        let measured = drive(service.address(), connections, Some(time), &mut orders).await?;
        let client_cpu = meter.client_micros()?;
        refused += measured.answers() - measured.count(202);
        service
            .wait_for_changes(orders.accepted.len() as u64 + 1)
            .await?;
        turns.push(Turn::of(
            &measured,
            meter.process_micros(&service.process)?,
            client_cpu,
        ));

        let meter = Meter::start(&bare)?;
        let measured = drive_bare(bare.address, connections, time, &mut bare_orders).await?;
        let client_cpu = meter.client_micros()?;
        bare_turns.push(Turn::of(
            &measured,
            meter.process_micros(&bare)?,
            client_cpu,
        ));
    }
    let audited = service.audit().await?;
    let accepted = orders.accepted.len() as u64;
    let told = Told {
        accepted: orders.accepted,
        confirmed: accepted,
        ..Told::default()
    };
    let found = differences(&told, &audited, u64::from(SEATS));
    let peak_resident_mib = service.process.peak_resident_kib()? / 1_024;
    service.process.stop().await?;
    bare.stop().await?;
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    let ratios = turns.iter().zip(&bare_turns);
    let mut ratios: Vec<f64> = ratios
        .map(|(turn, bare)| turn.accepted_per_second / bare.accepted_per_second)
        .collect();
    ratios.sort_by(f64::total_cmp);
    Ok(Level {
        connections,
        service: Turn::median(turns),
        bare: Turn::median(bare_turns),
        ratio: ratios[ratios.len() / 2],
        lowest_ratio: ratios[0],
        highest_ratio: ratios[ratios.len() - 1],
        accepted,
        refused,
        peak_resident_mib,
    })
}

/// Ids of the bare handler are of no interest once the turn is over.
async fn drive_bare<U: Iterator<Item = u64>>(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    orders: &mut Orders<U>,
) -> anyhow::Result<Measured> {
    let measured = drive(address, connections, Some(time), orders).await?;
    orders.accepted = Vec::<Uuid>::new();
    Ok(measured)
}

struct Meter {
    process: u64,
    client: u64,
}

impl Meter {
    fn start(process: &Process) -> anyhow::Result<Self> {
        Ok(Self {
            process: process.cpu_micros()?,
            client: own_cpu_micros()?,
        })
    }

    fn process_micros(&self, process: &Process) -> anyhow::Result<u64> {
        Ok(process.cpu_micros()? - self.process)
    }

    fn client_micros(&self) -> anyhow::Result<u64> {
        Ok(own_cpu_micros()? - self.client)
    }
}

impl Turn {
    fn of(measured: &Measured, process_micros: u64, client_micros: u64) -> Self {
        let accepted = ratio(measured.count(202), 1.0);
        let latency = &measured.latency_micros;
        Self {
            accepted_per_second: measured.rate(202),
            p50_micros: latency.value_at_quantile(0.5),
            p99_micros: latency.value_at_quantile(0.99),
            cpu_micros_per_order: ratio(process_micros, accepted),
            client_cpu_micros_per_order: ratio(client_micros, accepted),
        }
    }

    /// The round in the middle by rate.
    fn median(mut turns: Vec<Self>) -> Self {
        turns.sort_by(|a, b| a.accepted_per_second.total_cmp(&b.accepted_per_second));
        turns[turns.len() / 2]
    }
}

impl Level {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{} connections: accepted orders, {:.2} of the bare handler (rounds {:.2} to {:.2})",
            self.connections, self.ratio, self.lowest_ratio, self.highest_ratio
        )?;
        writeln!(
            out,
            "  {:<8} {:>10} {:>10} {:>10} {:>14} {:>14}",
            "", "orders/s", "p50 µs", "p99 µs", "CPU µs/order", "client µs/order"
        )?;
        for (name, turn) in [("service", &self.service), ("bare", &self.bare)] {
            writeln!(
                out,
                "  {:<8} {:>10.0} {:>10} {:>10} {:>14.1} {:>14.1}",
                name,
                turn.accepted_per_second,
                turn.p50_micros,
                turn.p99_micros,
                turn.cpu_micros_per_order,
                turn.client_cpu_micros_per_order
            )?;
        }
        writeln!(
            out,
            "  {} accepted, all decided; {} refused; audit: 0 violations; peak resident {} MiB",
            self.accepted, self.refused, self.peak_resident_mib
        )
    }
}
