//! Orders for a show that is sold out: refused by the gate, in turns with a
//! handler that does nothing. No worker runs, so whatever reached the broker
//! would be found in the queues afterwards.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{Required, Setting, missed};
use crate::bench::{drive_bare, start_bare};
use crate::broker::Broker;
use crate::client::{Connection, write_keyed_order};
use crate::cpu::Watched;
use crate::deployment::{API, Deployment};
use crate::load::drive;
use crate::report::text::grouped;
use crate::sale::{NewShow, Orders, SHOW, Service};
use crate::tables::markdown::Column::{Figure, Text};
use crate::tables::markdown::Table;
use crate::turn::{Ratio, Turn};

const BARE: &str = "bare";
const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
/// Who got the only seat, and the key of that order.
const WINNER: u64 = 0;
const KEY: &str = "the-only-seat";

/// How refusing is measured.
#[derive(Debug, Clone, Args)]
pub struct SoldOutArgs {
    /// Turns of gate and bare handler.
    #[arg(long, default_value_t = 5)]
    pub sold_out_rounds: usize,
    /// Length of each turn, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub sold_out_seconds: f64,
    /// Required: refusals by the answers of the bare handler.
    #[arg(long, default_value_t = 0.85)]
    pub min_sold_out_ratio: f64,
}

/// Medians of the rounds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SoldOut {
    connections: usize,
    gate: Turn,
    bare: Turn,
    beside_bare: Ratio,
    refused: u64,
}

impl SoldOut {
    /// What was required and not reached.
    pub(super) fn missed(&self, args: &SoldOutArgs) -> Vec<String> {
        missed(&[Required {
            what: "sold-out: refusals by the answers of the bare handler",
            figure: self.beside_bare.median,
            at_least: args.min_sold_out_ratio,
        }])
    }
}

impl SoldOut {
    /// The gate beside the bare handler.
    pub(super) fn table(&self) -> String {
        let mut table = Table::of([
            Text("way"),
            Figure("answers/s"),
            Figure("of the bare handler"),
            Figure("p50 ms"),
            Figure("p99 ms"),
            Text("CPU µs/answer"),
        ]);
        for (name, turn, beside) in [
            ("sold-out gate", &self.gate, Some(self.beside_bare)),
            ("bare handler", &self.bare, None),
        ] {
            let beside = beside.map_or(String::new(), |ratio| ratio.to_string());
            let [per_second, p50, p99, cpu] = turn.cells();
            table.row([name.to_owned(), per_second, beside, p50, p99, cpu]);
        }
        format!(
            "{table}\n{} connections; {} orders refused, no message reached the broker.\n",
            self.connections,
            grouped(self.refused)
        )
    }
}

pub(super) async fn measure(setting: &Setting<'_>, args: &SoldOutArgs) -> anyhow::Result<SoldOut> {
    let program = setting.program.clone();
    let on = async |deployment: &Deployment| Box::pin(measure_on(setting, args, deployment)).await;
    Deployment::with(setting.servers, program, setting.users, on).await
}

async fn measure_on(
    setting: &Setting<'_>,
    args: &SoldOutArgs,
    deployment: &Deployment,
) -> anyhow::Result<SoldOut> {
    let time = Duration::try_from_secs_f64(args.sold_out_seconds).context("--sold-out-seconds")?;
    let service = sold_out_service(deployment).await?;
    let bare = start_bare().await?;
    let connections = setting.connections;
    let new_orders = || Orders::new((0..setting.users).cycle());
    let (mut refused_orders, mut untold) = (new_orders(), new_orders());
    drive_bare(bare.address, connections, WARM_UP, &mut untold).await?;
    let address = service.address();
    drive(address, connections, Some(WARM_UP), &mut refused_orders).await?;

    let (mut turns, mut bare_turns, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..args.sold_out_rounds.max(1) {
        let meter = deployment.meter([service.watched(API)])?;
        let measured = drive(address, connections, Some(time), &mut refused_orders).await?;
        measured.expect_only(409).context("orders after the end")?;
        refused += measured.count(409);
        turns.push(Turn::answered(
            409,
            &measured,
            meter.per(measured.count(409))?,
        ));

        let (name, id) = (BARE, bare.id());
        let meter = deployment.meter([Watched { name, id }])?;
        let measured = drive_bare(bare.address, connections, time, &mut untold).await?;
        measured.expect_only(202).context(BARE)?;
        bare_turns.push(Turn::of(&measured, meter.per(measured.count(202))?));
    }
    bare.stop().await?;

    let broker = Broker::connect(&setting.servers.rabbitmq_url).await?;
    let queued = broker.queued_messages(&deployment.prefix).await?;
    broker.close().await?;
    ensure!(queued == 0, "{queued} messages reached the broker");
    let (status, ticket) = order_with_key(&service, WINNER).await?;
    ensure!(
        status == 200 && ticket["status"] == "confirmed",
        "who got the seat is told {status} {ticket} when asking again"
    );
    let (status, answer) = order_with_key(&service, WINNER + 1).await?;
    ensure!(
        status == 202,
        "an order with a key is answered by the gate: {status} {answer}"
    );
    service.process.stop().await?;
    Ok(SoldOut {
        connections,
        beside_bare: Ratio::of(&turns, &bare_turns).context("no round")?,
        gate: Turn::median(turns).context("no round")?,
        bare: Turn::median(bare_turns).context("no round")?,
        refused,
    })
}

/// A process whose gate is closed, with nothing queued and no worker.
async fn sold_out_service(deployment: &Deployment) -> anyhow::Result<Service> {
    let service = deployment.tickets.serve("api").await?;
    service.put_on_sale([SHOW], NewShow::of(1)).await?;
    let worker = deployment.start_owner().await?;
    let (status, answer) = order_with_key(&service, WINNER).await?;
    ensure!(status == 202, "{status} {answer}");
    service.wait_for_changes(2).await?;
    let started = Instant::now();
    let mut sent = 0;
    loop {
        let mut order = Orders::new([WINNER + 2].into_iter());
        if drive(service.address(), 1, None, &mut order)
            .await?
            .count(409)
            == 1
        {
            break;
        }
        sent += 1;
        ensure!(started.elapsed() < PATIENCE, "the gate does not close");
        sleep(Duration::from_millis(10)).await;
    }
    service.wait_for_changes(2 + sent).await?;
    worker.process.stop().await?;
    Ok(service)
}

async fn order_with_key(service: &Service, user: u64) -> anyhow::Result<(u16, serde_json::Value)> {
    let body = format!(r#"{{"show_id":"{SHOW}","user_id":"{user}"}}"#);
    let mut request = Vec::new();
    write_keyed_order(&mut request, KEY, &body);
    let mut connection = Connection::open(service.address()).await?;
    let answer = connection.exchange(&request).await?;
    Ok((answer.status, serde_json::from_slice(answer.body)?))
}

impl fmt::Display for SoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sold-out, {} connections: refusals, {:.2} of the bare handler (rounds {:.2} to {:.2})",
            self.connections,
            self.beside_bare.median,
            self.beside_bare.lowest,
            self.beside_bare.highest
        )?;
        for (name, turn) in [("gate", &self.gate), ("bare handler", &self.bare)] {
            writeln!(
                f,
                "  {:<12} {:>9.0} answers/s, p50 {} µs, p99 {} µs; CPU µs/answer: {}",
                name,
                turn.accepted_per_second,
                turn.p50_micros,
                turn.p99_micros,
                turn.cpu_micros_per_order
            )?;
        }
        writeln!(
            f,
            "  {} refused, no message reached the broker; with a key: the winner's ticket again, \
             and others queued",
            self.refused
        )
    }
}
