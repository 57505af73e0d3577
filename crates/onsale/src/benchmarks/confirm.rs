//! Holds of one hot show confirmed over HTTP while orders for it are decided,
//! beside the same backlog decided without them.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use black_box::administration::Terms;
use black_box::body::TicketAnswer;
use black_box::database::now_micros;
use black_box::deployment::Deployment;
use black_box::http::{Head, Response};
use black_box::load::{Requests, drive, ratio};
use black_box::program::Service;
use black_box::proof::ticket::State;
use black_box::waiting::wait_for;
use clap::Args;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backlog::{Decided, decide_backlog};
use super::benchmark::{Benchmark, Setting, below};
use super::cpu::{CpuMicros, Meter};
use super::orders::{Accepted, Orders, SEATS, names, place, users};
use super::proof::{Expected, Sold};
use crate::digits::{factor, grouped, millis, rate};
use crate::labels::{API, WORKER};
use crate::table::Table;

/// Orders for it are decided while its holds are confirmed.
const BUSY: u32 = 0;
/// Decided without confirmations.
const QUIET: u32 = 1;

/// How confirming is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfirmArgs {
    /// confirm: holds to confirm.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) confirm_holds: u64,
    /// confirm: orders that are decided meanwhile, and once more alone for comparison.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) confirm_backlog: u64,
    /// confirm: how long a hold lasts, in seconds.
    #[arg(long, default_value_t = 600)]
    pub(crate) hold_seconds: u32,
    /// confirm: fails if confirmations per second are fewer.
    #[arg(long, default_value_t = 3_000.0)]
    pub(crate) min_confirms_per_second: f64,
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

impl Benchmark for Confirm {
    type Args = ConfirmArgs;

    const MARKER: Option<&'static str> = Some("confirm");

    async fn measure(setting: &Setting<'_>, args: &ConfirmArgs) -> anyhow::Result<Self> {
        let on = async |deployment: &Deployment| {
            let api = deployment.program.serve("api").await?;
            let sale = Sale {
                setting,
                args,
                deployment,
                api,
            };
            Box::pin(sale.measure()).await
        };
        setting.deploy(setting.users, on).await
    }

    fn table(&self) -> Table {
        let mut table = Table::of(
            "what | verdicts/s: | confirmations/s: | p50 ms: | p99 ms: | \
             CPU µs per order or confirmation",
        );
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
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &ConfirmArgs) -> Vec<Option<String>> {
        let what = "confirm: confirmations per second";
        let rate = self.confirms_per_second;
        vec![below(what, rate, args.min_confirms_per_second)]
    }
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
        let terms = Terms {
            hold_seconds: args.hold_seconds,
            ..Terms::of(SEATS)
        };
        self.api.target.put_on_sale(&names(), 2, terms).await?;

        let mut accepted = self.queue(BUSY, args.confirm_holds).await?;
        let holds: Vec<Uuid> = accepted.iter().map(|order| order.ticket).collect();
        let confirmed = holds.len();
        decide_backlog(self.deployment, args.confirm_holds, []).await?;

        accepted.extend(self.queue(QUIET, args.confirm_backlog).await?);
        let api = self.api.watched(API);
        let (decided_quietly, quiet_cpu) =
            decide_backlog(self.deployment, args.confirm_backlog, [api]).await?;

        accepted.extend(self.queue(BUSY, args.confirm_backlog).await?);
        let confirm = self
            .confirm_while_deciding(holds, decided_quietly, quiet_cpu)
            .await?;

        let expected = Expected {
            reserved: accepted.len() as u64,
            ..Expected::default()
        };
        let sold = Sold::of(&accepted).with_confirmed(confirmed);
        sold.prove(self.deployment, 2, &expected).await?;
        self.api.stop().await?;
        Ok(confirm)
    }

    async fn queue(&self, show: u32, count: u64) -> anyhow::Result<Vec<Accepted>> {
        let users = users(self.setting.users, count);
        let orders = Orders::of_shows(users, show..show + 1);
        let (_, accepted) = place(&self.api, self.setting.connections, orders).await?;
        Ok(accepted)
    }

    async fn confirm_while_deciding(
        &self,
        holds: Vec<Uuid>,
        decided_quietly: Decided,
        quiet_cpu_micros_per_order: CpuMicros,
    ) -> anyhow::Result<Confirm> {
        let (args, database) = (self.args, &self.deployment.database);
        let count = holds.len() as u64;
        let busy = names().show(BUSY);
        let taken = async || database.seats_taken(&busy).await;
        let before = taken().await?;
        let since = now_micros()?;
        let mut meter = Meter::on(self.deployment, [self.api.watched(API)])?;
        let worker = self.deployment.program.serve("worker").await?;
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
        let cpu_micros_per_order_or_confirm = meter.per(args.confirm_backlog + count)?;
        worker.stop().await?;
        let (confirmed_while_deciding, confirms_per_second) =
            rate_until(&confirms.answered, decided_after);
        let latency = &confirmed.latency_micros;
        let decided_while_confirming = Decided::since(self.deployment, since).await?;
        Ok(Confirm {
            holds: args.confirm_holds,
            confirmed_while_deciding,
            confirms_per_second,
            p50_micros: latency.value_at_quantile(0.5),
            p99_micros: latency.value_at_quantile(0.99),
            cpu_micros_per_order_or_confirm,
            beside_quiet: decided_while_confirming.per_second / decided_quietly.per_second,
            decided_while_confirming,
            decided_quietly,
            quiet_cpu_micros_per_order,
        })
    }
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
    unsent: std::vec::IntoIter<Uuid>,
    started: Instant,
    /// When each answer came.
    answered: Vec<Duration>,
    unexpected: u64,
}

impl Confirms {
    fn of(holds: Vec<Uuid>) -> Self {
        Self {
            answered: Vec::with_capacity(holds.len()),
            unsent: holds.into_iter(),
            started: Instant::now(),
            unexpected: 0,
        }
    }
}

impl Requests for Confirms {
    type Mark = Uuid;

    fn next(&mut self, request: &mut Vec<u8>) -> Option<Uuid> {
        let id = self.unsent.next()?;
        let path = format!("/tickets/{id}/confirm");
        Head::new("POST", &path).write(request, "");
        Some(id)
    }

    fn answered(&mut self, id: Uuid, response: Response<'_>) {
        self.answered.push(self.started.elapsed());
        if response.status == 200 && !is_confirmed(response.body, id) {
            self.unexpected += 1;
        }
    }
}

fn is_confirmed(body: &[u8], id: Uuid) -> bool {
    TicketAnswer::read(body)
        .is_some_and(|ticket| ticket.ticket_id == id && ticket.state() == Some(State::Confirmed))
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
