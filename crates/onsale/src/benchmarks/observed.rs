//! Orders accepted and decided by processes that measure and trace what they do, in turns with
//! processes that do not.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::metrics::scrape;
use black_box::program::Program;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::backlog::{decide_backlog, decide_backlog_by};
use super::benchmark::{Benchmark, Setting, below};
use super::beside::{Load, Side};
use super::orders::{Orders, SEATS, names, place, users};
use super::proof::{Expected, Sold};
use super::rounds::{Ratio, Round};
use crate::digits::{grouped, rate};
use crate::labels::API;
use crate::table::Table;

/// How it is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct ObservedArgs {
    /// observed: how often each process is measured, in turn.
    #[arg(long, default_value_t = 7)]
    pub(crate) observed_rounds: usize,
    /// observed: length of each measurement of accepting in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) observed_seconds: f64,
    /// observed: orders in each backlog that is decided.
    #[arg(long, default_value_t = 60_000)]
    pub(crate) observed_orders: u64,
    /// observed: fails if orders with metrics and traces, per order without, are fewer.
    #[arg(long, default_value_t = 0.97)]
    pub(crate) min_observed_ratio: f64,
}

/// Of orders that are traced.
const SAMPLE_RATIO: &str = "0.001";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Observed {
    connections: usize,
    accept: [Round; 2],
    accept_ratio: Ratio,
    /// Verdicts per second, in the middle of the rounds.
    decide: [f64; 2],
    decide_ratio: Ratio,
    orders: u64,
}

impl Benchmark for Observed {
    type Args = ObservedArgs;

    const MARKER: Option<&'static str> = Some("observed");

    async fn measure(setting: &Setting<'_>, args: &ObservedArgs) -> anyhow::Result<Self> {
        let on =
            async |deployment: &Deployment| Box::pin(take_turns(setting, args, deployment)).await;
        setting.deploy(setting.users, on).await
    }

    fn table(&self) -> Table {
        let mut table = Table::of(
            "what is done | orders/s: | of the row before: | p50 ms: | p99 ms: | CPU µs/order",
        );
        let ways = ["without metrics and traces", "with both"];
        for (way, round) in ways.iter().zip(&self.accept) {
            let beside = (*way != ways[0]).then_some(self.accept_ratio);
            let name = [format!("accepted durably, {way}")];
            table.row(name.into_iter().chain(round.cells(beside)));
        }
        for (way, per_second) in ways.iter().zip(self.decide) {
            let beside = (*way != ways[0]).then(|| self.decide_ratio.to_string());
            let none = String::new;
            table.row([
                format!("decided by one worker, {way}"),
                rate(per_second),
                beside.unwrap_or_default(),
                none(),
                none(),
                none(),
            ]);
        }
        table.note = format!(
            "{} connections; one order of 1,000 traced, metrics read every second. {} orders, all \
             decided, no other.",
            self.connections,
            grouped(self.orders)
        );
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &ObservedArgs) -> Vec<Option<String>> {
        let at_least = args.min_observed_ratio;
        let accepted = "observed: orders accepted with metrics and traces by those without";
        let decided = "observed: orders decided with metrics and traces by those without";
        vec![
            below(accepted, self.accept_ratio.median, at_least),
            below(decided, self.decide_ratio.median, at_least),
        ]
    }
}

/// The programs: one says nothing of itself, the other all.
struct Ways {
    programs: [Program; 2],
    _collector: Collector,
}

impl Ways {
    async fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let collector = Collector::start().await?;
        let endpoint = format!("http://{}", collector.address);
        let on = [
            ("tracing.otlp_endpoint", endpoint.as_str()),
            ("tracing.sample_ratio", SAMPLE_RATIO),
        ];
        let off = [("metrics.port", "")];
        let with = |settings: &[(&str, &str)]| {
            let settings = settings.iter();
            let settings: BTreeMap<_, _> = settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            deployment.program.with_settings(&settings)
        };
        Ok(Self {
            programs: [with(&off), with(&on)],
            _collector: collector,
        })
    }
}

async fn take_turns(
    setting: &Setting<'_>,
    args: &ObservedArgs,
    deployment: &Deployment,
) -> anyhow::Result<Observed> {
    let load = Load {
        connections: setting.connections,
        time: Duration::try_from_secs_f64(args.observed_seconds).context("--observed-seconds")?,
        servers: &deployment.local_servers,
    };
    let rounds = args.observed_rounds.max(1);
    let ways = Ways::of(deployment).await?;
    let mut services = Vec::new();
    for program in &ways.programs {
        services.push(program.serve("api").await?);
    }
    let terms = Terms::of(SEATS);
    services[0].target.put_on_sale(&names(), 1, terms).await?;
    let mut sides = Vec::new();
    for service in &services {
        let mut side = Side::service(API, service, setting.users, 202);
        side.warm_up(setting.connections).await?;
        sides.push(side);
    }
    let reading = read_metrics(services[1].metrics);
    for _ in 0..rounds {
        for side in &mut sides {
            side.turn(&load).await?;
        }
    }
    reading.abort();
    let (mut accepted, mut turns) = (Vec::new(), Vec::new());
    for mut side in sides {
        accepted.append(&mut side.orders.accepted);
        turns.push(side.turns);
    }
    decide_backlog(deployment, accepted.len() as u64, []).await?;

    let mut decided = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (program, rates) in ways.programs.iter().zip(&mut decided) {
            let backlog = Orders::new(users(setting.users, args.observed_orders));
            let (_, mut placed) = place(&services[0], setting.connections, backlog).await?;
            accepted.append(&mut placed);
            let orders = args.observed_orders;
            let (figures, _) = decide_backlog_by(program, deployment, orders, []).await?;
            rates.push(figures.per_second);
        }
    }
    for service in services {
        service.stop().await?;
    }
    let orders = accepted.len() as u64;
    let expected = Expected::confirmed(orders);
    Sold::of(&accepted).prove(deployment, 1, &expected).await?;

    let accept_ratio = Ratio::of(&turns[1], &turns[0])?;
    let decide_ratio = Ratio::of_rates(&decided[1], &decided[0])?;
    let [off, on] = [turns.remove(0), turns.remove(0)];
    Ok(Observed {
        connections: load.connections,
        accept: [Round::median(off)?, Round::median(on)?],
        accept_ratio,
        decide: decided.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        }),
        decide_ratio,
        orders,
    })
}

/// As Prometheus does.
fn read_metrics(address: SocketAddr) -> AbortHandle {
    const PERIOD: Duration = Duration::from_secs(1);

    let reading = async move {
        while scrape(address).await.is_ok() {
            sleep(PERIOD).await;
        }
    };
    tokio::spawn(reading).abort_handle()
}

/// Takes every trace and keeps none.
struct Collector {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Collector {
    async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // The end of a connection is no fault.
                tokio::spawn(async move { drop(take_traces(client).await) });
            }
        });
        Ok(Self {
            address,
            accepting: accepting.abort_handle(),
        })
    }
}

/// Answers each request of a connection that its body was taken.
async fn take_traces(client: TcpStream) -> io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if client.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().map_err(io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        client.get_mut().write_all(answer).await?;
    }
}
