//! A flash sale as fast as it goes, from the first request to the last verdict:
//! each connection sends its next order when the last one is answered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Setting;
use crate::client::{Response, write_request};
use crate::cpu::CpuMicros;
use crate::deployment::{API, Deployment, WORKER};
use crate::load::{Requests, drive};
use crate::reconcile::{Told, differences};
use crate::sale::{NewShow, Orders, SHOW, Service};

/// How the flash sale goes.
#[derive(Debug, Clone, Args)]
pub struct FlashSaleArgs {
    /// Orders of the flash sale; each user places the same number of them.
    #[arg(long, default_value_t = 100_000)]
    pub flash_orders: u64,
    /// Seats of the flash sale, of which a user may have one.
    #[arg(long, default_value_t = 10_000)]
    pub flash_seats: u32,
    /// Time within which the flash sale must be decided, in seconds.
    #[arg(long, default_value_t = 12.0)]
    pub flash_max_seconds: f64,
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

/// Runs both sales.
pub(super) async fn measure(
    setting: &Setting<'_>,
    args: &FlashSaleArgs,
) -> anyhow::Result<FlashSales> {
    Ok(FlashSales {
        gate: Box::pin(measure_one(setting, args, true)).await?,
        open_gate: Box::pin(measure_one(setting, args, false)).await?,
    })
}

async fn measure_one(
    setting: &Setting<'_>,
    args: &FlashSaleArgs,
    sold_out_gate: bool,
) -> anyhow::Result<FlashSale> {
    ensure!(setting.users > 0, "--users must be at least 1");
    let program = setting.program.clone();
    let on = async |deployment: &Deployment| {
        let gate = (
            "tickets.sold_out_gate".to_owned(),
            sold_out_gate.to_string(),
        );
        let tickets = deployment.tickets.with_settings(&[gate].into());
        let api = tickets.serve("api").await?;
        let worker = deployment.start_owner().await?;
        let show = NewShow {
            max_per_user: 1,
            ..NewShow::of(args.flash_seats)
        };
        api.put_on_sale([SHOW], show).await?;
        let sold = sell(setting, args, deployment, &api, &worker).await?;
        worker.process.stop().await?;
        api.process.stop().await?;
        Ok(sold)
    };
    Deployment::with(setting.servers, program, setting.users, on).await
}

async fn sell(
    setting: &Setting<'_>,
    args: &FlashSaleArgs,
    deployment: &Deployment,
    api: &Service,
    worker: &Service,
) -> anyhow::Result<FlashSale> {
    let seed = rand::random();
    let users = setting.users;
    let mut buyers: Vec<u64> = (0..args.flash_orders).map(|order| order % users).collect();
    buyers.shuffle(&mut StdRng::seed_from_u64(seed));

    let meter = deployment.meter([api.watched(API), worker.watched(WORKER)])?;
    let mut orders = Orders::new(buyers.into_iter());
    let connections = setting.connections;
    let sent = drive(api.address(), connections, None, &mut orders).await?;
    let accepted = orders.accepted.len() as u64;
    // A gate that is closed refuses orders: `409 sold_out`.
    let refused_by_gate = sent.count(409);
    api.wait_for_changes(accepted + 1).await?;
    let decided_after = sent.started.elapsed();
    let cpu_micros_per_order = meter.per(args.flash_orders)?;

    let mut verdicts = Verdicts::of(orders.accepted);
    drive(api.address(), connections, None, &mut verdicts).await?;
    let told = verdicts.told;
    let audited = api.audit().await?;
    let seats = u64::from(args.flash_seats);
    let mut found = differences(&told, &audited, seats.min(users));
    if accepted + refused_by_gate != args.flash_orders {
        found.push(format!(
            "only {accepted} of {} orders were accepted: {:?}",
            args.flash_orders, sent.by_status
        ));
    }
    if refused_by_gate > 0 && audited.sold < seats {
        found.push(format!(
            "undersold: {refused_by_gate} orders were refused by the gate, and {} of {seats} seats sold",
            audited.sold
        ));
    }
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    let latency = &sent.latency_micros;
    let waits = deployment.database.waits_micros().await?;
    let peak = |name: &'static str, service: &Service| {
        let kib = service.process.peak_resident_kib()?;
        Ok((name.to_owned(), kib / 1_024))
    };
    Ok(FlashSale {
        orders: args.flash_orders,
        users,
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
        confirmed: told.confirmed,
        sold_out: told.sold_out,
        limit_exceeded: told.limit_exceeded,
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

impl FlashSales {
    /// What was required and not reached.
    pub(super) fn missed(&self, args: &FlashSaleArgs) -> Vec<String> {
        let limit = args.flash_max_seconds;
        [&self.gate, &self.open_gate]
            .into_iter()
            .map(|sale| sale.decided_after_seconds)
            .filter(|after| *after > limit)
            .map(|after| format!("flash sale: all decided after {after:.2} s, not {limit} s"))
            .collect()
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
