//! What the ledger decides, and how long it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::claims::Claim;
use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::order::Order;
use domain::ports::{
    ChangeShowError, DecideReport, LedgerError, TicketLedger, TicketPage, TransitionReport,
};
use domain::receipt::TicketId;
use domain::rule::{Decision, TransitionOutcome, TransitionRequest};
use domain::show::{ShowChange, ShowStanding};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::{Metrics, buckets};

/// Operations of a ledger, as the label `operation` names them.
struct Operations {
    decide: Histogram,
    transition: Histogram,
    expire: Histogram,
    change_show: Histogram,
    find: Histogram,
    list: Histogram,
    history: Histogram,
}

/// Verdicts and changes. Each has a counter of its own, because looking a label up costs more than
/// counting.
struct Outcomes {
    reserved: Counter,
    confirmed: Counter,
    /// By [`RejectionReason::index`].
    rejected: [Counter; RejectionReason::ALL.len()],
    /// By [`Status::index`].
    changed: [Counter; Status::ALL.len()],
    time_to_verdict: Histogram,
}

/// Measures each operation of a ledger, and counts what it decides.
pub struct MeasuredLedger {
    ledger: Arc<dyn TicketLedger>,
    seconds: Operations,
    outcomes: Outcomes,
    batch_orders: Histogram,
}

impl MeasuredLedger {
    /// A ledger in front of `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<dyn TicketLedger>, metrics: &mut Metrics) -> Self {
        let batch_orders = buckets::of_counts();
        metrics.registry.register(
            "tickets_batch_orders",
            "Orders that were decided together",
            batch_orders.clone(),
        );
        Self {
            ledger,
            seconds: Operations::new(metrics),
            outcomes: Outcomes::new(metrics),
            batch_orders,
        }
    }
}

impl Operations {
    fn new(metrics: &mut Metrics) -> Self {
        let family = Family::<[(&str, &str); 1], Histogram>::new_with_constructor(
            buckets::of_calls as fn() -> Histogram,
        );
        metrics.registry.register(
            "tickets_store_seconds",
            "Time that the store takes for an operation",
            family.clone(),
        );
        let of = |operation| family.get_or_create_owned(&[("operation", operation)]);
        Self {
            decide: of("decide"),
            transition: of("transition"),
            expire: of("expire"),
            change_show: of("change_show"),
            find: of("find"),
            list: of("list"),
            history: of("history"),
        }
    }
}

impl Outcomes {
    fn new(metrics: &mut Metrics) -> Self {
        let registry = &mut metrics.registry;
        let decisions = Family::<[(&str, &str); 2], Counter>::default();
        registry.register(
            "tickets_decisions",
            "Verdicts on orders, each once; those of an order that was delivered again do not count",
            decisions.clone(),
        );
        let changes = Family::<[(&str, &str); 1], Counter>::default();
        registry.register(
            "tickets_changes",
            "Tickets that became this after their verdict",
            changes.clone(),
        );
        let time_to_verdict = buckets::of_waits();
        registry.register(
            "tickets_time_to_verdict_seconds",
            "Time from an order's place in the queue to its verdict",
            time_to_verdict.clone(),
        );
        let decision = |status: Status, reason: &'static str| {
            decisions.get_or_create_owned(&[("status", status.as_str()), ("reason", reason)])
        };
        Self {
            reserved: decision(Status::Reserved, ""),
            confirmed: decision(Status::Confirmed, ""),
            rejected: RejectionReason::ALL
                .map(|reason| decision(Status::Rejected, reason.as_str())),
            changed: Status::ALL
                .map(|status| changes.get_or_create_owned(&[("status", status.as_str())])),
            time_to_verdict,
        }
    }

    fn note_verdict(&self, ticket: &Ticket) {
        match ticket.verdict {
            Verdict::Reserved { .. } => self.reserved.inc(),
            Verdict::Confirmed => self.confirmed.inc(),
            Verdict::Rejected(reason) => self.rejected[reason.index()].inc(),
        };
        let waited = ticket.decided_at.micros_since(ticket.order.requested_at);
        self.time_to_verdict
            .observe(Duration::from_micros(waited).as_secs_f64());
    }

    fn note_changes(&self, report: &TransitionReport) {
        for outcome in &report.outcomes {
            if let TransitionOutcome::Changed(ticket) = outcome {
                self.changed[ticket.status.index()].inc();
            }
        }
    }
}

/// Measures how long `operation` takes.
async fn measured<T>(seconds: &Histogram, operation: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = operation.await;
    seconds.observe(start.elapsed().as_secs_f64());
    done
}

#[async_trait]
impl TicketLedger for MeasuredLedger {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        let decided = measured(&self.seconds.decide, self.ledger.decide(orders, claim)).await;
        if let Ok(report) = &decided {
            self.batch_orders.observe(f64_of(orders.len()));
            for decision in &report.decisions {
                if let Decision::First(ticket) = decision {
                    self.outcomes.note_verdict(ticket);
                }
            }
            for ticket in &report.released {
                self.outcomes.changed[ticket.status.index()].inc();
            }
        }
        decided
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let changing = self.ledger.transition(requests);
        let changed = measured(&self.seconds.transition, changing).await;
        if let Ok(report) = &changed {
            self.outcomes.note_changes(report);
        }
        changed
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        let expired = measured(&self.seconds.expire, self.ledger.expire_due(limit)).await;
        if let Ok(report) = &expired {
            self.outcomes.note_changes(report);
        }
        expired
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
    ) -> Result<ShowStanding, ChangeShowError> {
        measured(
            &self.seconds.change_show,
            self.ledger.change_show(id, change),
        )
        .await
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        measured(&self.seconds.find, self.ledger.find(ids)).await
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        measured(&self.seconds.list, self.ledger.list_by_user(user, page)).await
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let reading = self.ledger.history(show, after_seq, limit);
        measured(&self.seconds.history, reading).await
    }
}

/// Exact: no batch has more than 2^32 orders.
fn f64_of(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
