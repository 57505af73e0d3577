//! A line of the log for each request, where `log.requests` asks for it. Paths have ids of tickets,
//! and addresses are of people: a line has neither.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use tracing::{info, warn};

use crate::problem::{ApiError, RequestId};
use crate::request_counts::{method_of, route};

/// At WARN if the service failed, else at INFO. The target is what `log.requests` lets through.
pub(crate) fn write(
    request: &HttpRequest,
    status: StatusCode,
    code: Option<&'static str>,
    took: Duration,
    request_id: &RequestId,
) {
    macro_rules! line {
        ($level:ident) => {
            $level!(
                target: "requests",
                {
                    http.request.method = method_of(request).unwrap_or("other"),
                    http.route = route(request),
                    http.response.status_code = status.as_u16(),
                    code,
                    duration_ms = (took.as_secs_f64() * 1_000_000.0).round() / 1_000.0,
                    request.id = %request_id,
                },
                "answered"
            )
        };
    }
    if status.is_server_error() {
        line!(warn);
    } else {
        line!(info);
    }
}

/// Of what cannot be read as a request, or did not come in time.
pub(crate) fn write_unread(error: &ApiError, request_id: &RequestId) {
    info!(
        target: "requests",
        {
            http.response.status_code = error.status().as_u16(),
            code = error.code(),
            request.id = %request_id,
        },
        "answered"
    );
}
