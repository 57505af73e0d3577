//! The decision.

use std::sync::Arc;

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
use domain::rule::{Decision, TransitionRequest};
use domain::show::{ShowChange, ShowStanding};
use domain::ticket::{Status, Ticket, Verdict};
use opentelemetry::trace::SpanKind;
use tracing::Instrument;

use crate::export::Traces;
use crate::span::{Span, log_span};

/// Makes a span `decide` of each attempt to decide a sampled order. A batch that has one is a span
/// `decide batch` in a trace of its own, because it belongs to many; links tie it to its orders.
pub struct TracedLedger {
    ledger: Arc<dyn TicketLedger>,
    traces: Arc<Traces>,
}

impl TracedLedger {
    /// A ledger in front of `ledger`.
    #[must_use]
    pub fn new(ledger: Arc<dyn TicketLedger>, traces: Arc<Traces>) -> Self {
        Self { ledger, traces }
    }
}

/// The spans of a batch.
struct Deciding {
    batch: Span,
    /// By the order's place in the batch.
    orders: Vec<(usize, Span)>,
}

impl Deciding {
    /// `None` if no order of the batch is sampled.
    fn begin(orders: &[Order]) -> Option<Self> {
        let contexts = orders.iter().map(|order| order.trace.as_deref());
        let contexts = contexts.enumerate();
        let spans = contexts.filter_map(|(place, context)| {
            Some((
                place,
                Span::child_of(*context?, "decide", SpanKind::Internal),
            ))
        });
        let mut spans: Vec<_> = spans.collect();
        if spans.is_empty() {
            return None;
        }
        let mut batch = Span::root("decide batch", SpanKind::Internal);
        let size = i64::try_from(orders.len()).unwrap_or(i64::MAX);
        batch.note("tickets.batch_orders", size);
        for (_, span) in &mut spans {
            span.note("tickets.batch_orders", size);
            span.link(batch.context);
            batch.link(span.context);
        }
        Some(Self {
            batch,
            orders: spans,
        })
    }

    /// Says what was decided; what comes after the verdicts hangs there.
    fn note(&mut self, report: &mut DecideReport) {
        for (place, span) in &mut self.orders {
            let Some(decision) = report.decisions.get_mut(*place) else {
                continue;
            };
            let (result, ticket) = match decision {
                Decision::First(ticket) => ("first", ticket),
                Decision::Replayed(ticket) => ("replayed", ticket),
                Decision::Conflict(_) => {
                    span.note("tickets.result", "conflict");
                    continue;
                }
            };
            span.note("tickets.result", result);
            note_verdict(span, ticket);
            ticket.order.trace = Some(Box::new(span.context));
        }
    }

    fn fail(&mut self, error: &'static str) {
        self.batch.fail(error);
        for (_, span) in &mut self.orders {
            span.fail(error);
        }
    }

    fn end(self, traces: &Traces) {
        for (_, span) in self.orders {
            traces.record(span);
        }
        traces.record(self.batch);
    }
}

fn note_verdict(span: &mut Span, ticket: &Ticket) {
    let status = match ticket.verdict {
        Verdict::Reserved { .. } => Status::Reserved,
        Verdict::Confirmed => Status::Confirmed,
        Verdict::Rejected(reason) => {
            span.note("tickets.reason", reason.as_str());
            Status::Rejected
        }
    };
    span.note("tickets.verdict", status.as_str());
}

#[async_trait]
impl TicketLedger for TracedLedger {
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        let Some(mut deciding) = Deciding::begin(orders) else {
            return self.ledger.decide(orders, claim).await;
        };
        let log = log_span(deciding.batch.context);
        let mut decided = self.ledger.decide(orders, claim).instrument(log).await;
        match &mut decided {
            Ok(report) => deciding.note(report),
            Err(LedgerError::Unprocessable(_)) => deciding.fail("unprocessable"),
            Err(LedgerError::ClaimLost) => deciding.fail("claim_lost"),
            Err(LedgerError::Unavailable(_)) => deciding.fail("store_unavailable"),
        }
        deciding.end(&self.traces);
        decided
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        self.ledger.transition(requests).await
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        self.ledger.expire_due(limit).await
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        by: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        self.ledger.change_show(id, change, by).await
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        self.ledger.find(ids).await
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        self.ledger.list_by_user(user, page).await
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        self.ledger.history(show, after_seq, limit).await
    }
}
