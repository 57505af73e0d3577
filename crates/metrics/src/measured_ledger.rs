//! What the ledger decides, and how long it takes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::author::Author;
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
use prometheus_client::metrics::histogram::Histogram;
use runtime::{Count, Timing};

use crate::{Labels, Metrics, StoreSeconds, float};

/// Verdicts and changes.
#[derive(Default)]
struct Outcomes {
    reserved: Count,
    confirmed: Count,
    /// By [`RejectionReason::index`].
    rejected: [Count; RejectionReason::ALL.len()],
    /// By [`Status::index`].
    changed: [Count; Status::ALL.len()],
}

/// Measures each operation of a ledger, and counts what it decides.
pub struct MeasuredLedger {
    ledger: Arc<dyn TicketLedger>,
    seconds: StoreSeconds,
    outcomes: Arc<Outcomes>,
    time_to_verdict: Arc<Timing>,
    /// One value for each batch, so the lock in it costs nothing.
    batch_orders: Histogram,
}

impl MeasuredLedger {
    /// A ledger in front of `ledger`.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn TicketLedger>,
        seconds: StoreSeconds,
        metrics: &mut Metrics,
    ) -> Self {
        let batch_orders = Histogram::new([
            1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0,
        ]);
        metrics.registry.register(
            "tickets_batch_orders",
            "Orders that were decided together",
            batch_orders.clone(),
        );
        let time_to_verdict = metrics.timing(
            "tickets_time_to_verdict_seconds",
            "Time from an order's place in the queue to its verdict",
            Timing::of_waits(),
        );
        Self {
            ledger,
            seconds,
            outcomes: Outcomes::new(metrics),
            time_to_verdict,
            batch_orders,
        }
    }

    fn note_verdict(&self, ticket: &Ticket) {
        let outcomes = &self.outcomes;
        match ticket.verdict {
            Verdict::Reserved { .. } => outcomes.reserved.add_one(),
            Verdict::Confirmed => outcomes.confirmed.add_one(),
            Verdict::Rejected(reason) => outcomes.rejected[reason.index()].add_one(),
        }
        let waited = ticket.decided_at.micros_since(ticket.order.requested_at);
        self.time_to_verdict.note(Duration::from_micros(waited));
    }
}

impl Outcomes {
    fn new(metrics: &mut Metrics) -> Arc<Self> {
        let all = Arc::<Self>::default();
        let read = Arc::clone(&all);
        metrics.counters(
            "tickets_decisions_total",
            "Verdicts on orders, each once; those of an order that was delivered again do not count",
            move || read.decisions(),
        );
        let read = Arc::clone(&all);
        metrics.counters(
            "tickets_changes_total",
            "Tickets that became this after their verdict",
            move || {
                let changed = Status::ALL.into_iter().zip(&read.changed);
                let changed = changed.map(|(status, count)| {
                    let labels = Labels::from([("status", status.as_str().to_owned())]);
                    (labels, float(count.total()))
                });
                changed.collect()
            },
        );
        all
    }

    fn decisions(&self) -> Vec<(Labels, f64)> {
        let rejected = RejectionReason::ALL.into_iter().zip(&self.rejected);
        let rejected = rejected.map(|(why, count)| (Status::Rejected, why.as_str(), count));
        let all = [
            (Status::Reserved, "", &self.reserved),
            (Status::Confirmed, "", &self.confirmed),
        ];
        let all = all.into_iter().chain(rejected);
        let all = all.map(|(status, reason, count)| {
            let labels = Labels::from([
                ("status", status.as_str().to_owned()),
                ("reason", reason.to_owned()),
            ]);
            (labels, float(count.total()))
        });
        all.collect()
    }

    fn note_changes(&self, report: &TransitionReport) {
        for outcome in &report.outcomes {
            if let TransitionOutcome::Changed(ticket) = outcome {
                self.changed[ticket.status.index()].add_one();
            }
        }
    }
}

#[async_trait]
impl TicketLedger for MeasuredLedger {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        let deciding = self.ledger.decide(orders, claim);
        let decided = self.seconds.decide.of(deciding).await;
        if let Ok(report) = &decided {
            self.batch_orders.observe(float(orders.len() as u64));
            for decision in &report.decisions {
                if let Decision::First(ticket) = decision {
                    self.note_verdict(ticket);
                }
            }
            for ticket in &report.released {
                self.outcomes.changed[ticket.status.index()].add_one();
            }
        }
        decided
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        let changing = self.ledger.transition(requests);
        let changed = self.seconds.transition.of(changing).await;
        if let Ok(report) = &changed {
            self.outcomes.note_changes(report);
        }
        changed
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        let expiring = self.ledger.expire_due(limit);
        let expired = self.seconds.expire.of(expiring).await;
        if let Ok(report) = &expired {
            self.outcomes.note_changes(report);
        }
        expired
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        by: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        let changing = self.ledger.change_show(id, change, by);
        self.seconds.change_show.of(changing).await
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        self.seconds.find.of(self.ledger.find(ids)).await
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        let listing = self.ledger.list_by_user(user, page);
        self.seconds.list.of(listing).await
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        let reading = self.ledger.history(show, after_seq, limit);
        self.seconds.history.of(reading).await
    }
}
