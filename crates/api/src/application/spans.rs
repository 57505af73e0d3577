//! Spans of what HTTP does. Those of orders and verdicts are made in front of ports.

use std::sync::Arc;

use domain::trace::{TraceContext, TraceParent};
use http_api::{Delivered, RequestTrace, SampledRequest, TracedAnswer, Tracing};
use opentelemetry::trace::SpanKind;
use traces::{Span, TracedConsumer, TracedEvents, TracedLedger, TracedPublisher, Traces, log_span};

use crate::wiring::{QueuePorts, StorePorts};

/// Puts what makes spans in front of the ports by which orders come and verdicts go.
pub(super) fn trace(store: &mut StorePorts, queue: &mut QueuePorts, traces: &Arc<Traces>) {
    let of = || Arc::clone(traces);
    let QueuePorts {
        publisher,
        consumer,
        events,
        ..
    } = queue;
    *publisher = Arc::new(TracedPublisher::new(Arc::clone(publisher), of()));
    *consumer = Arc::new(TracedConsumer::new(Arc::clone(consumer), of()));
    *events = Arc::new(TracedEvents::new(Arc::clone(events), of()));
    store.ledger = Arc::new(TracedLedger::new(Arc::clone(&store.ledger), of()));
}

/// Makes the spans of requests and deliveries.
pub(super) struct HttpSpans(pub(super) Arc<Traces>);

impl Tracing for HttpSpans {
    fn begin_request(&self, caller: Option<TraceParent>) -> Option<RequestTrace> {
        let is_sampled = self.0.sampler.samples(caller);
        let mut span = match caller {
            Some(caller) => Span::child_of(caller.context, "HTTP", SpanKind::Server),
            None if is_sampled => Span::root("HTTP", SpanKind::Server),
            None => return None,
        };
        let context = span.context;
        let traces = Arc::clone(&self.0);
        let sampled = is_sampled.then(|| SampledRequest {
            log: log_span(context),
            end: Box::new(move |answer| {
                note(&mut span, &answer);
                traces.record(span);
            }),
        });
        Some(RequestTrace {
            parent: TraceParent {
                context,
                is_sampled,
            },
            sampled,
        })
    }

    fn begin_delivery(&self, parent: TraceContext, protocol: &'static str) -> Delivered {
        let mut span = Span::child_of(parent, "deliver", SpanKind::Consumer);
        span.note("network.protocol.name", protocol);
        let traces = Arc::clone(&self.0);
        Box::new(move || traces.record(span))
    }
}

/// By the semantic conventions for HTTP servers.
fn note(span: &mut Span, answer: &TracedAnswer) {
    span.note("http.request.method", answer.method.unwrap_or("_OTHER"));
    span.note("url.scheme", answer.scheme);
    let status = answer.status.as_u16();
    span.note("http.response.status_code", i64::from(status));
    let method = answer.method.unwrap_or("HTTP");
    span.name = match answer.route {
        Some(route) => {
            span.note("http.route", route);
            format!("{method} {route}").into()
        }
        None => method.into(),
    };
    if answer.status.is_server_error() {
        span.fail("server_error");
    }
}
