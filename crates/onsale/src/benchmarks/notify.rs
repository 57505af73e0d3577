//! Verdicts to buyers' sockets, on another process than the one that took the
//! orders: how many at once, and how soon.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::load::ratio;
use black_box::program::Service;
use clap::Args;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::benchmark::{Benchmark, Setting, above};
use super::cpu::{CpuMicros, Meter};
use super::heard::{Heard, hear, listen};
use super::orders::{Orders, SEATS, names, place};
use crate::digits::{grouped, millis, rate};
use crate::labels::{API, WORKER};
use crate::table::Table;

/// Within which every state must be told before it counts as missed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sockets that are opened at a time.
const OPENING: usize = 64;
/// The process that takes the orders in figures.
const OTHER_API: &str = "tickets api that accepts";
/// Length of a slice in which orders are placed and then decided together.
const SLICE: Duration = Duration::from_millis(100);
const SLICES_PER_SECOND: u64 = 10;
/// Sockets that hear the paced verdicts, each in turn.
const PACED_LISTENERS: usize = 400;
/// Connections that place the orders of a slice.
const PACED_CONNECTIONS: usize = 16;

/// How notifying is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct NotifyArgs {
    /// notify: WebSocket connections.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) notify_connections: usize,
    /// notify: tickets that each connection subscribes to.
    #[arg(long, default_value_t = 5)]
    pub(crate) notify_tickets: usize,
    /// notify: fails if the last verdict arrives more than this many seconds after the first.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) notify_max_seconds: f64,
    /// notify: verdicts per second while their delay is measured.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) notify_rate: u64,
    /// notify: length of the measurement of the delay, in seconds.
    #[arg(long, default_value_t = 10)]
    pub(crate) notify_seconds: u64,
    /// notify: fails if the 99th percentile of the delay to the socket is higher, in ms.
    #[arg(long, default_value_t = 50.0)]
    pub(crate) notify_max_p99_ms: f64,
}

/// What notifying came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Notify {
    fan_out: FanOut,
    paced: Paced,
}

/// A backlog decided at full speed, every verdict to a socket.
#[derive(Debug, Serialize, Deserialize)]
struct FanOut {
    connections: usize,
    verdicts: usize,
    /// From the first verdict told to the last.
    seconds: f64,
    kib_per_connection: f64,
    cpu_micros_per_verdict: CpuMicros,
}

/// Verdicts at a steady rate.
#[derive(Debug, Serialize, Deserialize)]
struct Paced {
    verdicts_per_second: f64,
    /// From the decision under the show's lock, which is before the commit, to the socket.
    p50_micros: u64,
    p99_micros: u64,
    /// From the send to the receipt of an in-process broadcast at the same rate.
    broadcast_p50_micros: u64,
    broadcast_p99_micros: u64,
}

impl Benchmark for Notify {
    type Args = NotifyArgs;

    const MARKER: Option<&'static str> = Some("notify");

    async fn measure(setting: &Setting<'_>, args: &NotifyArgs) -> anyhow::Result<Self> {
        let on = async |deployment: &Deployment| {
            let accepting = deployment.program.serve("api").await?;
            let terms = Terms::of(SEATS);
            accepting.target.put_on_sale(&names(), 1, terms).await?;
            let measuring = Measuring {
                setting,
                args,
                deployment,
                accepting,
            };
            Box::pin(measuring.run()).await
        };
        setting.deploy(setting.users, on).await
    }

    /// A backlog to many sockets, then a steady rate.
    fn table(&self) -> Table {
        let (fan_out, paced) = (&self.fan_out, &self.paced);
        let both = |p50, p99| format!("{} and {} ms", millis(p50), millis(p99));
        let mut table = Table::of("what | figure:");
        for (what, figure) in [
            (
                "verdicts of a backlog, to sockets",
                format!(
                    "{} to {}",
                    grouped(fan_out.verdicts as u64),
                    grouped(fan_out.connections as u64)
                ),
            ),
            (
                "from the first one told to the last",
                format!("{:.2} s", fan_out.seconds),
            ),
            ("missed", "none".to_owned()),
            (
                "memory of the api process per connection",
                format!("{:.1} KiB", fan_out.kib_per_connection),
            ),
            ("CPU µs/verdict", fan_out.cpu_micros_per_verdict.to_string()),
            (
                "verdicts per second at a steady rate",
                rate(paced.verdicts_per_second),
            ),
            (
                "from the decision to the socket, p50 and p99",
                both(paced.p50_micros, paced.p99_micros),
            ),
            (
                "a broadcast within one process at that rate, p50 and p99",
                both(paced.broadcast_p50_micros, paced.broadcast_p99_micros),
            ),
        ] {
            table.row([what.to_owned(), figure]);
        }
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &NotifyArgs) -> Vec<Option<String>> {
        let told = "notify: seconds from the first verdict told to the last";
        let p99 = "notify: p99 from the decision to the socket, in ms";
        let p99_ms = ratio(self.paced.p99_micros, 1e3);
        vec![
            above(told, self.fan_out.seconds, args.notify_max_seconds),
            above(p99, p99_ms, args.notify_max_p99_ms),
        ]
    }
}

struct Measuring<'a> {
    setting: &'a Setting<'a>,
    args: &'a NotifyArgs,
    deployment: &'a Deployment,
    accepting: Service,
}

impl Measuring<'_> {
    async fn run(self) -> anyhow::Result<Notify> {
        let fan_out = Box::pin(self.fan_out()).await?;
        let paced = Box::pin(self.paced()).await?;
        self.accepting.stop().await?;
        Ok(Notify { fan_out, paced })
    }

    /// Places `count` orders and returns their tickets.
    async fn place(&self, count: usize, connections: usize) -> anyhow::Result<Vec<Uuid>> {
        let users = (0..self.setting.users).cycle().take(count);
        let (_, accepted) = place(&self.accepting, connections, Orders::new(users)).await?;
        Ok(accepted.iter().map(|order| order.ticket).collect())
    }

    async fn fan_out(&self) -> anyhow::Result<FanOut> {
        let args = self.args;
        let verdicts = args.notify_connections * args.notify_tickets;
        let tickets = self.place(verdicts, self.setting.connections).await?;
        let api = self.deployment.program.serve("api").await?;
        let resident_kib_before = api.process.resident_kib()?;
        let (sender, mut told) = mpsc::unbounded_channel();
        let opening = tickets.chunks(args.notify_tickets).map(|tickets| {
            let sender = sender.clone();
            let target = &api.target;
            async move {
                let mut listener = listen(target, sender).await?;
                listener.subscribe(tickets).await?;
                anyhow::Ok(listener)
            }
        });
        let listeners: Vec<_> = stream::iter(opening)
            .buffer_unordered(OPENING)
            .try_collect()
            .await?;
        hear(&mut told, verdicts, PATIENCE, |heard| !heard.decided)
            .await
            .context("states of subscribed tickets")?;
        let resident_kib = api.process.resident_kib()?;

        let watched = [api.watched(API), self.accepting.watched(OTHER_API)];
        let mut meter = Meter::on(self.deployment, watched)?;
        let worker = self.deployment.program.serve("worker").await?;
        meter.add(worker.watched(WORKER));
        let mut decided = HashSet::with_capacity(verdicts);
        let (mut first, mut last) = (None, None);
        hear(&mut told, verdicts, PATIENCE, |heard| {
            let is_news = heard.decided && decided.insert(heard.ticket_id);
            if is_news {
                first.get_or_insert(heard.at);
                last = Some(heard.at);
            }
            is_news
        })
        .await
        .context("verdicts of subscribed tickets")?;
        let cpu_micros_per_verdict = meter.per(verdicts as u64)?;
        let (first, last) = first.zip(last).context("no verdict")?;
        let strange = tickets.iter().filter(|id| !decided.contains(id)).count();
        ensure!(
            strange == 0,
            "{strange} verdicts were of tickets that nobody subscribed to"
        );
        worker.stop().await?;
        drop(listeners);
        api.stop().await?;
        Ok(FanOut {
            connections: args.notify_connections,
            verdicts,
            seconds: last.duration_since(first).as_secs_f64(),
            kib_per_connection: ratio(resident_kib.saturating_sub(resident_kib_before), 1.0)
                / ratio(args.notify_connections as u64, 1.0),
            cpu_micros_per_verdict,
        })
    }

    /// Orders are placed and subscribed to while the show's row is locked, so
    /// that no verdict is there before its listener.
    async fn paced(&self) -> anyhow::Result<Paced> {
        let args = self.args;
        let api = self.deployment.program.serve("api").await?;
        let worker = self.deployment.start_owner().await?;
        let (sender, mut told) = mpsc::unbounded_channel();
        let mut listeners = Vec::new();
        for _ in 0..PACED_LISTENERS {
            listeners.push(listen(&api.target, sender.clone()).await?);
        }
        let in_slice = usize::try_from(args.notify_rate / SLICES_PER_SECOND)?.max(1);
        let slices = args.notify_seconds.max(1) * SLICES_PER_SECOND;
        let show = names().show(0);
        let mut latency = Histogram::<u64>::new(3)?;
        let mut turns = (0..PACED_LISTENERS).cycle();
        let started = Instant::now();
        let mut due = started;
        for _ in 0..slices {
            sleep_until(due).await;
            due += SLICE;
            let mut lock = self.deployment.database.pool().begin().await?;
            sqlx::query("SELECT id FROM shows WHERE id = ? FOR UPDATE")
                .bind(show.as_bytes())
                .execute(&mut *lock)
                .await?;
            let tickets = self.place(in_slice, PACED_CONNECTIONS).await?;
            for (ticket, turn) in tickets.iter().zip(&mut turns) {
                listeners[turn].subscribe(&[*ticket]).await?;
            }
            hear(&mut told, in_slice, PATIENCE, |heard| !heard.decided).await?;
            lock.commit().await?;
            let record = |heard: &Heard| match heard.after_micros {
                Some(micros) => latency.record(micros.max(1)).is_ok(),
                None => false,
            };
            hear(&mut told, in_slice, PATIENCE, record)
                .await
                .context("verdicts")?;
        }
        let elapsed = started.elapsed();
        worker.stop().await?;
        api.stop().await?;
        let broadcast = broadcast_latency(in_slice, slices).await?;
        Ok(Paced {
            verdicts_per_second: ratio(latency.len(), elapsed.as_secs_f64()),
            p50_micros: latency.value_at_quantile(0.5),
            p99_micros: latency.value_at_quantile(0.99),
            broadcast_p50_micros: broadcast.value_at_quantile(0.5),
            broadcast_p99_micros: broadcast.value_at_quantile(0.99),
        })
    }
}

/// The least that telling can cost: a channel of this process, with as many
/// listeners and as many messages per slice, each for one of the listeners.
async fn broadcast_latency(in_slice: usize, slices: u64) -> anyhow::Result<Histogram<u64>> {
    let (sender, _) = broadcast::channel::<(usize, Instant)>(2 * in_slice);
    let (taken, mut latencies) = mpsc::unbounded_channel();
    for listener in 0..PACED_LISTENERS {
        let (mut messages, taken) = (sender.subscribe(), taken.clone());
        tokio::spawn(async move {
            while let Ok((number, sent)) = messages.recv().await {
                if number % PACED_LISTENERS == listener && taken.send(sent.elapsed()).is_err() {
                    return;
                }
            }
        });
    }
    let mut latency = Histogram::<u64>::new(3)?;
    let mut due = Instant::now();
    for _ in 0..slices {
        sleep_until(due).await;
        due += SLICE;
        for number in 0..in_slice {
            sender.send((number, Instant::now()))?;
        }
        for _ in 0..in_slice {
            let took = latencies.recv().await.context("a listener fell behind")?;
            latency.record(u64::try_from(took.as_micros())?.max(1))?;
        }
    }
    Ok(latency)
}
