//! Holds of one hot show confirmed over HTTP while orders for it are decided,
//! beside the same backlog decided without them.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Required, Setting, missed};
use crate::client::{Response, write_request};
use crate::cpu::CpuMicros;
use crate::deciding::{Decided, decide_backlog, now_micros};
use crate::deployment::{API, Deployment, WORKER};
use crate::load::{Requests, drive, ratio};
use crate::reconcile::Told;
use crate::report::text::{factor, grouped, millis, rate};
use crate::sale::{NewShow, Orders, SHOW, Service, wait_for};
use crate::tables::markdown::Column::{Figure, Text};
use crate::tables::markdown::Table;

/// Decided without confirmations.
const QUIET_SHOW: &str = "quiet";
/// More than any run can sell.
const SEATS: u32 = 10_000_000;

/// How confirming is measured.
#[derive(Debug, Clone, Args)]
pub struct ConfirmArgs {
    /// Holds to confirm.
    #[arg(long, default_value_t = 20_000)]
    pub confirm_holds: u64,
    /// Orders that are decided at the same time, and once more without.
    #[arg(long, default_value_t = 200_000)]
    pub confirm_backlog: u64,
    /// Time to confirm, in seconds.
    #[arg(long, default_value_t = 600)]
    pub hold_seconds: u32,
    /// Required: confirmations per second.
    #[arg(long, default_value_t = 3_000.0)]
    pub min_confirms_per_second: f64,
}

/// What confirming came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Confirm {
    holds: u64,
    /// Only those that were answered while orders were decided.
    confirmed_while_deciding: u64,
    /// Of those.
    confirms_per_second: f64,
    p50_micros: u64,
    p99_micros: u64,
    /// Of the backlog and the confirmations together.
    cpu_micros_per_order_or_confirm: CpuMicros,
    decided_while_confirming: Decided,
    /// Decisions at the same time by those of the quiet backlog.
    beside_quiet: f64,
    decided_quietly: Decided,
    quiet_cpu_micros_per_order: CpuMicros,
}

impl Confirm {
    /// What was required and not reached.
    pub(super) fn missed(&self, args: &ConfirmArgs) -> Vec<String> {
        missed(&[Required {
            what: "confirm: confirmations per second",
            figure: self.confirms_per_second,
            at_least: args.min_confirms_per_second,
        }])
    }
}

impl Confirm {
    /// Deciding with and without confirmations, and how soon these are answered.
    pub(super) fn table(&self) -> String {
        let mut table = Table::of([
            Text("what"),
            Figure("verdicts/s"),
            Figure("confirmations/s"),
            Figure("p50 ms"),
            Figure("p99 ms"),
            Text("CPU µs per order or confirmation"),
        ]);
        table.row([
            "a backlog decided".to_owned(),
            rate(self.decided_quietly.per_second),
            String::new(),
            String::new(),
            String::new(),
            self.quiet_cpu_micros_per_order.to_string(),
        ]);
        table.row([
            format!(
                "the same while {} holds of its show are confirmed",
                grouped(self.holds)
            ),
            format!(
                "{} ({})",
                rate(self.decided_while_confirming.per_second),
                factor(self.beside_quiet)
            ),
            rate(self.confirms_per_second),
            millis(self.p50_micros),
            millis(self.p99_micros),
            self.cpu_micros_per_order_or_confirm.to_string(),
        ]);
        table.to_string()
    }
}

pub(super) async fn measure(setting: &Setting<'_>, args: &ConfirmArgs) -> anyhow::Result<Confirm> {
    let program = setting.program.clone();
    let on = async |deployment: &Deployment| {
        let api = deployment.tickets.serve("api").await?;
        let sale = Sale {
            setting,
            args,
            deployment,
            api,
        };
        Box::pin(sale.measure()).await
    };
    Deployment::with(setting.servers, program, setting.users, on).await
}

struct Sale<'a> {
    setting: &'a Setting<'a>,
    args: &'a ConfirmArgs,
    deployment: &'a Deployment,
    api: Service,
}

impl Sale<'_> {
    async fn measure(self) -> anyhow::Result<Confirm> {
        let args = self.args;
        let show = NewShow {
            hold_seconds: args.hold_seconds,
            ..NewShow::of(SEATS)
        };
        self.api.put_on_sale([SHOW, QUIET_SHOW], show).await?;

        let mut accepted = self.queue(SHOW, args.confirm_holds).await?;
        let holds = accepted.clone();
        decide_backlog(self.deployment, args.confirm_holds, []).await?;

        accepted.extend(self.queue(QUIET_SHOW, args.confirm_backlog).await?);
        let api = self.api.watched(API);
        let (decided_quietly, quiet_cpu) =
            decide_backlog(self.deployment, args.confirm_backlog, [api]).await?;

        accepted.extend(self.queue(SHOW, args.confirm_backlog).await?);
        let busy = self.confirm_while_deciding(holds).await?;

        let told = Told {
            reserved: accepted.len() as u64,
            accepted,
            changed: args.confirm_holds,
            ..Told::default()
        };
        self.deployment
            .reconcile(&self.api, &told, args.confirm_holds)
            .await?;
        self.api.process.stop().await?;
        Ok(Confirm {
            holds: args.confirm_holds,
            confirmed_while_deciding: busy.in_time,
            confirms_per_second: busy.per_second,
            p50_micros: busy.p50_micros,
            p99_micros: busy.p99_micros,
            cpu_micros_per_order_or_confirm: busy.cpu,
            beside_quiet: busy.decided.per_second / decided_quietly.per_second,
            decided_while_confirming: busy.decided,
            decided_quietly,
            quiet_cpu_micros_per_order: quiet_cpu,
        })
    }

    async fn queue(&self, show: &str, count: u64) -> anyhow::Result<Vec<Uuid>> {
        let users = (0..self.setting.users).cycle();
        let users = (0..count).zip(users).map(|(_, user)| user);
        let mut orders = Orders::of_shows(users, vec![show.to_owned()]);
        let connections = self.setting.connections;
        let queued = drive(self.api.address(), connections, None, &mut orders).await?;
        queued.expect_only(202)?;
        Ok(orders.accepted)
    }

    async fn confirm_while_deciding(&self, holds: Vec<Uuid>) -> anyhow::Result<Busy> {
        let (args, database) = (self.args, &self.deployment.database);
        let count = holds.len() as u64;
        let taken = async || database.seats_taken(SHOW).await;
        let before = taken().await?;
        let since = now_micros()?;
        let mut meter = self.deployment.meter([self.api.watched(API)])?;
        let worker = self.deployment.tickets.serve("worker").await?;
        meter.add(worker.watched(WORKER));
        wait_for(before + 1, taken).await?;

        let mut confirms = Confirms::of(holds);
        let started = confirms.started;
        // Every order of the backlog takes a seat; confirming one changes nothing about that.
        let deciding = async {
            wait_for(before + args.confirm_backlog, taken).await?;
            anyhow::Ok(started.elapsed())
        };
        let confirming = drive(
            self.api.address(),
            self.setting.connections,
            None,
            &mut confirms,
        );
        let (decided_after, confirmed) = tokio::try_join!(deciding, confirming)?;
        confirmed.expect_only(200).context("confirmations")?;
        ensure!(
            confirms.unexpected == 0,
            "{} confirmations were answered with another ticket or status",
            confirms.unexpected
        );
        let cpu = meter.per(args.confirm_backlog + count)?;
        worker.process.stop().await?;
        let (in_time, per_second) = rate_until(&confirms.answered, decided_after);
        let latency = &confirmed.latency_micros;
        Ok(Busy {
            in_time,
            per_second,
            p50_micros: latency.value_at_quantile(0.5),
            p99_micros: latency.value_at_quantile(0.99),
            cpu,
            decided: Decided::since(self.deployment, since).await?,
        })
    }
}

/// Confirming and deciding at the same time.
struct Busy {
    in_time: u64,
    per_second: f64,
    p50_micros: u64,
    p99_micros: u64,
    cpu: CpuMicros,
    decided: Decided,
}

/// How many came until `end`, and how many that is per second: by the time of
/// the last one if all came before the end.
fn rate_until(answered: &[Duration], end: Duration) -> (u64, f64) {
    let in_time = answered.iter().filter(|at| **at <= end).count() as u64;
    let last = answered.iter().max().copied().unwrap_or_default();
    (in_time, ratio(in_time, last.min(end).as_secs_f64()))
}

/// Confirms each hold once.
struct Confirms {
    /// From the last to the first.
    unsent: Vec<Uuid>,
    sent: Vec<Uuid>,
    started: Instant,
    /// When each answer came.
    answered: Vec<Duration>,
    unexpected: u64,
}

impl Confirms {
    fn of(mut holds: Vec<Uuid>) -> Self {
        holds.reverse();
        Self {
            sent: Vec::with_capacity(holds.len()),
            answered: Vec::with_capacity(holds.len()),
            unsent: holds,
            started: Instant::now(),
            unexpected: 0,
        }
    }
}

impl Requests for Confirms {
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u64> {
        let id = self.unsent.pop()?;
        let mark = self.sent.len() as u64;
        self.sent.push(id);
        let path = format!("/tickets/{id}/confirm");
        write_request(request, "POST", &path, None, "");
        Some(mark)
    }

    fn answered(&mut self, mark: u64, response: Response<'_>) {
        self.answered.push(self.started.elapsed());
        let id = usize::try_from(mark).ok().and_then(|at| self.sent.get(at));
        if response.status == 200 && !id.is_some_and(|id| is_confirmed(response.body, *id)) {
            self.unexpected += 1;
        }
    }
}

fn is_confirmed(body: &[u8], id: Uuid) -> bool {
    #[derive(serde::Deserialize)]
    struct Ticket<'a> {
        ticket_id: Uuid,
        status: &'a str,
    }
    serde_json::from_slice(body)
        .is_ok_and(|ticket: Ticket<'_>| ticket.ticket_id == id && ticket.status == "confirmed")
}

impl fmt::Display for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "confirm: {:.0} confirmations/s while orders were decided, which goes at {:.2} of \
             its rate then\n  \
             {} of {} holds confirmed before the last decision; p50 {} µs, p99 {} µs\n  \
             deciding meanwhile {:.0} orders/s; CPU µs/order or confirmation: {}\n  \
             deciding without   {:.0} orders/s; CPU µs/order: {}\n  \
             all decided and confirmed, no other; audit: 0 violations",
            self.confirms_per_second,
            self.beside_quiet,
            self.confirmed_while_deciding,
            self.holds,
            self.p50_micros,
            self.p99_micros,
            self.decided_while_confirming.per_second,
            self.cpu_micros_per_order_or_confirm,
            self.decided_quietly.per_second,
            self.quiet_cpu_micros_per_order
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_in_time_counts() {
        let answered = [1, 2, 3, 4].map(Duration::from_secs);
        assert_eq!(rate_until(&answered, Duration::from_secs(2)), (2, 1.0));
        assert_eq!(rate_until(&answered, Duration::from_secs(8)), (4, 1.0));
    }

    #[test]
    fn another_ticket_or_status_is_unexpected() {
        let id = Uuid::from_u128(7);
        let body = |id: Uuid, status: &str| {
            format!(r#"{{"ticket_id":"{id}","status":"{status}","quantity":1}}"#).into_bytes()
        };
        assert!(is_confirmed(&body(id, "confirmed"), id));
        assert!(!is_confirmed(&body(id, "reserved"), id));
        assert!(!is_confirmed(&body(Uuid::from_u128(8), "confirmed"), id));
    }
}
