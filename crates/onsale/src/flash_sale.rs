//! A flash sale from the first request to the last verdict, reconciled.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{bail, ensure};
use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Deserialize;
use uuid::Uuid;

use crate::client::{Response, write_request};
use crate::load::{Requests, drive};
use crate::reconcile::{Told, differences};
use crate::sale::{Orders, Service};

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
    /// Of the shuffle that puts the orders into sequence; drawn and printed unless given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The service; the `tickets` beside this binary unless given.
    #[arg(long)]
    pub tickets_bin: Option<PathBuf>,
}

/// Runs the sale and prints what happened.
///
/// # Errors
/// On any difference between what clients were told and what the audit says.
pub async fn run(args: FlashSaleArgs) -> anyhow::Result<()> {
    ensure!(args.users > 0, "--users must be at least 1");
    let seed = args.seed.unwrap_or_else(rand::random);
    let service = Service::start(args.tickets_bin, args.seats, 1, args.users).await?;
    let mut users: Vec<u64> = (0..args.orders).map(|order| order % args.users).collect();
    users.shuffle(&mut StdRng::seed_from_u64(seed));

    let started = Instant::now();
    let mut orders = Orders::new(users.into_iter());
    let sent = drive(service.address(), args.connections, None, &mut orders).await?;
    let accepted = orders.accepted.len() as u64;
    service.wait_for_changes(accepted + 1).await?;
    let decided_after = started.elapsed();

    let mut verdicts = Verdicts::of(orders.accepted);
    drive(service.address(), args.connections, None, &mut verdicts).await?;
    let told = verdicts.told;
    let audited = service.audit().await?;
    let peak_mib = service.process.peak_resident_kib()? / 1_024;

    let latency = &sent.latency_micros;
    writeln!(
        io::stdout(),
        "flash sale: {} orders by {} users for {} seats, seed {seed}\n\
         answers              {:?}\n\
         accepted per second  {:.0}\n\
         accept p50, p99      {} µs, {} µs\n\
         all decided after    {:.2} s\n\
         confirmed            {}\n\
         sold out             {}\n\
         limit exceeded       {}\n\
         peak resident        {peak_mib} MiB",
        args.orders,
        args.users,
        args.seats,
        sent.by_status,
        sent.rate(202),
        latency.value_at_quantile(0.5),
        latency.value_at_quantile(0.99),
        decided_after.as_secs_f64(),
        told.confirmed,
        told.sold_out,
        told.limit_exceeded,
    )?;
    let mut found = differences(&told, &audited, u64::from(args.seats).min(args.users));
    if accepted != args.orders {
        found.push(format!(
            "only {accepted} of {} orders were accepted",
            args.orders
        ));
    }
    service.process.stop().await?;
    if !found.is_empty() {
        bail!("{}", found.join("\n"));
    }
    writeln!(
        io::stdout(),
        "audit: 0 violations; clients and service agree on every ticket"
    )?;
    Ok(())
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
