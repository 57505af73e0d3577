//! By what spans of requests and of deliveries are made. Nothing here knows where they go.

use std::fmt::Write as _;

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use domain::trace::{TraceContext, TraceParent};
use tracing::Span;

use crate::request_counts::{method_of, route_of};

/// W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes spans. While tracing is off there is none.
pub trait Tracing: Send + Sync {
    /// Begins the span of a request, if it is sampled. `caller` is the caller's span. None if
    /// there is neither: most requests are in no trace.
    fn begin_request(&self, caller: Option<TraceParent>) -> Option<RequestTrace>;

    /// Begins the span of a verdict on its way to a connection, below `parent`.
    fn begin_delivery(&self, parent: TraceContext, protocol: &'static str) -> Delivered;
}

/// To be called when the connection has taken the verdict.
pub type Delivered = Box<dyn FnOnce() + Send>;

/// What a request is in its trace.
pub struct RequestTrace {
    /// Its span, and whether that is sampled. The client learns it.
    pub parent: TraceParent,
    /// If it is sampled.
    pub sampled: Option<SampledRequest>,
}

/// The span of a request.
pub struct SampledRequest {
    /// What its log lines are written in.
    pub log: Span,
    /// Ends it.
    pub end: Box<dyn FnOnce(TracedAnswer)>,
}

/// What is said of a request. The client chose none of it.
pub struct TracedAnswer {
    /// The method, if it is one that is served.
    pub method: Option<&'static str>,
    /// The path of the route, with `{id}` for ids, if there is one.
    pub route: Option<&'static str>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The answer's.
    pub status: StatusCode,
}

impl RequestTrace {
    /// If it is sampled, the request learns where the spans of what it asks for hang.
    pub(crate) fn begin(tracing: &dyn Tracing, request: &ServiceRequest) -> Option<Self> {
        let trace = tracing.begin_request(caller(request.headers()))?;
        if trace.sampled.is_some() {
            request.extensions_mut().insert(trace.parent.context);
        }
        Some(trace)
    }

    pub(crate) fn log(&self) -> Span {
        let sampled = self.sampled.as_ref();
        sampled.map_or_else(Span::none, |sampled| sampled.log.clone())
    }

    /// Ends it, and tells the client.
    pub(crate) fn end(
        self,
        request: &HttpRequest,
        status: StatusCode,
        scheme: &'static str,
    ) -> Option<HeaderValue> {
        if let Some(sampled) = self.sampled {
            (sampled.end)(TracedAnswer {
                method: method_of(request),
                route: route_of(request),
                scheme,
                status,
            });
        }
        // It is written into what the header keeps.
        let mut text = String::with_capacity(TraceParent::LENGTH);
        write!(text, "{}", self.parent).ok()?;
        HeaderValue::try_from(text).ok()
    }
}

/// The caller's span. One that cannot be read is none (W3C Trace Context, section 4.3).
fn caller(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all(TRACEPARENT);
    let parent = given.next()?.to_str().ok()?;
    if given.next().is_some() {
        return None;
    }
    TraceParent::parse(parent.trim())
}
