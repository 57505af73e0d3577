//! A span, from its beginning to its end.

use std::borrow::Cow;
use std::time::SystemTime;

use domain::trace::TraceContext;
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Links of one span. A batch may have hundreds of sampled orders.
const MAX_LINKS: usize = 32;

/// A span that is going on. It is sampled, or it would not be there.
pub struct Span {
    /// What it is called: one of few names.
    pub name: Cow<'static, str>,
    /// Where its children hang.
    pub context: TraceContext,
    /// When it began.
    pub begun: SystemTime,
    kind: SpanKind,
    parent: Option<u64>,
    attributes: Vec<KeyValue>,
    links: SpanLinks,
    status: Status,
}

impl Span {
    /// Begins a span of the trace of `parent`.
    #[must_use]
    pub fn child_of(parent: TraceContext, name: &'static str, kind: SpanKind) -> Self {
        Self::new(parent.trace_id, Some(parent.span_id), name, kind)
    }

    /// Begins a trace.
    #[must_use]
    pub fn root(name: &'static str, kind: SpanKind) -> Self {
        Self::new(rand::random_range(1..=u128::MAX), None, name, kind)
    }

    fn new(trace_id: u128, parent: Option<u64>, name: &'static str, kind: SpanKind) -> Self {
        Self {
            name: name.into(),
            context: TraceContext {
                trace_id,
                span_id: rand::random_range(1..=u64::MAX),
            },
            begun: SystemTime::now(),
            kind,
            parent,
            attributes: Vec::new(),
            links: SpanLinks::default(),
            status: Status::Unset,
        }
    }

    /// Says something of it.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    /// It failed, with this sort of error.
    pub fn fail(&mut self, error: &'static str) {
        self.note("error.type", error);
        self.status = Status::error("");
    }

    /// Ties it to another one; the first of them are enough.
    pub fn link(&mut self, to: TraceContext) {
        if self.links.links.len() < MAX_LINKS {
            self.links.links.push(Link::with_context(written(to)));
        } else {
            self.links.dropped_count += 1;
        }
    }

    /// As it is exported.
    pub(crate) fn ended(self) -> SpanData {
        SpanData {
            span_context: written(self.context),
            parent_span_id: self.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: false,
            span_kind: self.kind,
            name: self.name,
            start_time: self.begun,
            // The clock may have gone back; another process may have begun it.
            end_time: SystemTime::now().max(self.begun),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: self.links,
            status: self.status,
            instrumentation_scope: InstrumentationScope::builder("tickets").build(),
        }
    }
}

fn written(context: TraceContext) -> SpanContext {
    SpanContext::new(
        context.trace_id.into(),
        context.span_id.into(),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

/// What log lines are written in that belong to the span: they have its ids then.
#[must_use]
pub fn log_span(context: TraceContext) -> tracing::Span {
    let TraceContext { trace_id, span_id } = context;
    // So that it is there whatever `log.level` says.
    tracing::error_span!(
        "trace",
        trace_id = format_args!("{trace_id:032x}"),
        span_id = format_args!("{span_id:016x}"),
    )
}
