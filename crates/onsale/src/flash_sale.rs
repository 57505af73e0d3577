//! A flash sale from the first request to the last verdict, reconciled.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Response, write_request};
use crate::cpu::{CpuMicros, Meter, Watched};
use crate::deployment::{ALL, API, Deployment, WORKER};
use crate::load::{Requests, drive};
use crate::reconcile::{Told, differences};
use crate::sale::{NewShow, Orders, SHOW, Service};
use crate::servers::Servers;

/// Within which a sale on real servers must be decided, in seconds.
pub const MAX_SECONDS: f64 = 12.0;

/// What the service runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// One process with everything in memory.
    Memory,
    /// An api and a worker process, RabbitMQ and MySQL.
    Services,
}

/// How the sale goes.
#[derive(Debug, Clone, Args)]
pub struct FlashSaleArgs {
    /// Orders in all; each user places the same number of them.
    #[arg(long, default_value_t = 100_000)]
    pub orders: u64,
    /// Users, each of whom may have one seat.
    #[arg(long, default_value_t = 50_000)]
    pub users: u64,
    /// Seats.
    #[arg(long, default_value_t = 10_000)]
    pub seats: u32,
    /// Keep-alive connections that share the orders.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// What the service runs on.
    #[arg(long, value_enum, default_value_t = On::Memory)]
    pub on: On,
    /// Fails when the last verdict comes later, in seconds after the first
    /// request; 12 with services unless given.
    #[arg(long)]
    pub max_seconds: Option<f64>,
    /// Of the shuffle that puts the orders into sequence; drawn and printed unless given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The service; the `tickets` beside this binary unless given.
    #[arg(long)]
    pub tickets_bin: Option<PathBuf>,
}

/// A sale that was reconciled to the last ticket.
#[derive(Debug, Serialize)]
pub struct FlashSale {
    orders: u64,
    users: u64,
    seats: u32,
    seed: u64,
    connections: usize,
    /// Time that it took to open them, before the first request.
    opening_seconds: f64,
    accepted_per_second: f64,
    accept_p50_micros: u64,
    accept_p99_micros: u64,
    /// From the first request.
    decided_after_seconds: f64,
    /// From the acceptance of an order to its decision, where the store can be read.
    wait: Option<Wait>,
    confirmed: u64,
    sold_out: u64,
    limit_exceeded: u64,
    /// Until the last verdict.
    cpu_micros_per_order: CpuMicros,
    /// Of each process of the service.
    peak_resident_mib: Vec<(&'static str, u64)>,
}

/// Between `requested_at` and `decided_at` of the tickets.
#[derive(Debug, Serialize)]
struct Wait {
    p50_micros: u64,
    p99_micros: u64,
}

/// Runs the sale and prints what happened.
///
/// # Errors
/// On any difference between what clients were told and what the audit says,
/// and when it took too long.
pub async fn run(args: FlashSaleArgs) -> anyhow::Result<()> {
    let sold = Box::pin(measure(&args)).await?;
    write!(io::stdout(), "{sold}")?;
    let missed = sold.missed(&args);
    if !missed.is_empty() {
        bail!("{}", missed.join("\n"));
    }
    Ok(())
}

/// Runs the sale.
///
/// # Errors
/// On any difference between what clients were told and what the audit says.
pub async fn measure(args: &FlashSaleArgs) -> anyhow::Result<FlashSale> {
    ensure!(args.users > 0, "--users must be at least 1");
    let program = args.tickets_bin.clone();
    match args.on {
        On::Memory => {
            let service = Service::start(program, args.seats, 1, args.users).await?;
            let sold = sell(args, &[(ALL, &service)], Meter::start).await?;
            service.process.stop().await?;
            Ok(sold)
        }
        On::Services => {
            let servers = Servers::find()?;
            let on = async |deployment: &Deployment| {
                let api = deployment.tickets.serve("api").await?;
                let worker = deployment.start_owner().await?;
                let show = NewShow {
                    max_per_user: 1,
                    ..NewShow::of(args.seats)
                };
                api.put_on_sale([SHOW], show).await?;
                let processes = [(API, &api), (WORKER, &worker)];
                let mut sold = sell(args, &processes, |watched| deployment.meter(watched)).await?;
                let waits = deployment.database.waits_micros().await?;
                sold.wait = Some(Wait::of(&waits)?);
                worker.process.stop().await?;
                api.process.stop().await?;
                Ok(sold)
            };
            Deployment::with(&servers, program, args.users, on).await
        }
    }
}

/// Places all orders with the first of the processes.
async fn sell(
    args: &FlashSaleArgs,
    processes: &[(&'static str, &Service)],
    meter: impl FnOnce(Vec<Watched>) -> anyhow::Result<Meter>,
) -> anyhow::Result<FlashSale> {
    let (_, service) = processes.first().context("no process")?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let mut users: Vec<u64> = (0..args.orders).map(|order| order % args.users).collect();
    users.shuffle(&mut StdRng::seed_from_u64(seed));

    let watched = processes.iter().map(|(name, one)| one.watched(name));
    let meter = meter(watched.collect())?;
    let mut orders = Orders::new(users.into_iter());
    let sent = drive(service.address(), args.connections, None, &mut orders).await?;
    let accepted = orders.accepted.len() as u64;
    service.wait_for_changes(accepted + 1).await?;
    let decided_after = sent.started.elapsed();
    let cpu_micros_per_order = meter.per(accepted)?;

    let mut verdicts = Verdicts::of(orders.accepted);
    drive(service.address(), args.connections, None, &mut verdicts).await?;
    let told = verdicts.told;
    let audited = service.audit().await?;
    let mut found = differences(&told, &audited, u64::from(args.seats).min(args.users));
    if accepted != args.orders {
        found.push(format!(
            "only {accepted} of {} orders were accepted: {:?}",
            args.orders, sent.by_status
        ));
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    let latency = &sent.latency_micros;
    Ok(FlashSale {
        orders: args.orders,
        users: args.users,
        seats: args.seats,
        seed,
        connections: args.connections,
        opening_seconds: sent.opening.as_secs_f64(),
        accepted_per_second: sent.rate(202),
        accept_p50_micros: latency.value_at_quantile(0.5),
        accept_p99_micros: latency.value_at_quantile(0.99),
        decided_after_seconds: decided_after.as_secs_f64(),
        wait: None,
        confirmed: told.confirmed,
        sold_out: told.sold_out,
        limit_exceeded: told.limit_exceeded,
        cpu_micros_per_order,
        peak_resident_mib: processes
            .iter()
            .map(|(name, one)| Ok((*name, one.process.peak_resident_kib()? / 1_024)))
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

impl FlashSale {
    /// What was required and not reached.
    #[must_use]
    pub fn missed(&self, args: &FlashSaleArgs) -> Vec<String> {
        let limit = match args.on {
            On::Memory => args.max_seconds,
            On::Services => args.max_seconds.or(Some(MAX_SECONDS)),
        };
        let after = self.decided_after_seconds;
        limit
            .filter(|limit| after > *limit)
            .map(|limit| format!("flash sale: all decided after {after:.2} s, not {limit} s"))
            .into_iter()
            .collect()
    }
}

impl fmt::Display for FlashSale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "flash sale: {} orders by {} users for {} seats, seed {}\n  \
             connections          {}, opened in {:.2} s\n  \
             accepted per second  {:.0}\n  \
             accept p50, p99      {} µs, {} µs\n  \
             all decided after    {:.2} s",
            self.orders,
            self.users,
            self.seats,
            self.seed,
            self.connections,
            self.opening_seconds,
            self.accepted_per_second,
            self.accept_p50_micros,
            self.accept_p99_micros,
            self.decided_after_seconds
        )?;
        if let Some(wait) = &self.wait {
            writeln!(
                f,
                "  verdict p50, p99     {:.2} s, {:.2} s after the acceptance",
                Duration::from_micros(wait.p50_micros).as_secs_f64(),
                Duration::from_micros(wait.p99_micros).as_secs_f64()
            )?;
        }
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

/// Reads every accepted ticket back.
struct Verdicts {
    unread: Vec<Uuid>,
    reading: HashMap<u64, Uuid>,
    sent: u64,
    told: Told,
}

impl Verdicts {
    fn of(accepted: Vec<Uuid>) -> Self {
        Self {
            unread: accepted.clone(),
            reading: HashMap::new(),
            sent: 0,
            told: Told {
                accepted,
                ..Told::default()
            },
        }
    }
}

impl Requests for Verdicts {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u64> {
        let id = self.unread.pop()?;
        self.sent += 1;
        self.reading.insert(self.sent, id);
        write_request(request, "GET", &format!("/tickets/{id}"), None, "");
        Some(self.sent)
    }

    fn answered(&mut self, mark: u64, response: Response<'_>) {
        #[derive(Deserialize)]
        struct Ticket<'a> {
            ticket_id: Uuid,
            status: &'a str,
            reason: Option<&'a str>,
        }
        let ticket: Option<Ticket<'_>> = serde_json::from_slice(response.body)
            .ok()
            .filter(|ticket: &Ticket<'_>| Some(ticket.ticket_id) == self.reading.remove(&mark));
        let told = &mut self.told;
        let counter = match ticket.map(|ticket| (ticket.status, ticket.reason)) {
            Some(("confirmed", None)) => &mut told.confirmed,
            Some(("rejected", Some("sold_out"))) => &mut told.sold_out,
            Some(("rejected", Some("limit_exceeded"))) => &mut told.limit_exceeded,
            _ => &mut told.unexpected,
        };
        *counter += 1;
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
