//! The headers of answers, and which answers have them.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

/// What every answer has.
const EVERY: [&str; 5] = [
    "Cache-Control",
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Request-Id",
    "traceparent",
];

/// What not each of the answers has that may.
const SOMETIMES: [&str; 3] = ["Content-Encoding", "Upgrade", "traceparent"];

/// Names, meanings and examples.
const ALL: [(&str, &str, &str); 17] = [
    ("Allow", "The methods of the path.", "GET, HEAD, POST"),
    (
        "Cache-Control",
        "`no-store`; `no-cache` of what has an `ETag`.",
        "no-store",
    ),
    (
        "Content-Encoding",
        "`gzip` for large files, whatever the client says.",
        "gzip",
    ),
    (
        "Content-Security-Policy",
        "That an answer is no page, or what a page may load.",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (
        "ETag",
        "Changes with what is answered; for `If-None-Match`.",
        "\"0d1f27c5ab4e1d2f\"",
    ),
    (
        "Location",
        "Where to find it.",
        "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77",
    ),
    (
        "RateLimit",
        "What is left of the limit (draft-ietf-httpapi-ratelimit-headers-10).",
        "\"orders_per_address\";r=0;t=12",
    ),
    (
        "RateLimit-Policy",
        "What the limit is.",
        "\"orders_per_address\";q=5;w=60",
    ),
    (
        "Retry-After",
        "Seconds after which to send the request again.",
        "2",
    ),
    (
        "Sec-WebSocket-Accept",
        "The answer to the key of the handshake (RFC 6455).",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ),
    ("Sec-WebSocket-Version", "The version that is spoken.", "13"),
    (
        "Upgrade",
        "What the path is for. Not over HTTP/2.",
        "websocket",
    ),
    (
        "WWW-Authenticate",
        "What to prove (RFC 6750).",
        "Bearer realm=\"tickets\"",
    ),
    (
        "X-Accel-Buffering",
        "Tells proxies to pass everything on at once.",
        "no",
    ),
    ("X-Content-Type-Options", "Always `nosniff`.", "nosniff"),
    (
        "X-Request-Id",
        "The request's own, or a random one: what the log has.",
        "8a3731bcd02eb09e93171ff523692925",
    ),
    (
        "traceparent",
        "The span of the request (W3C Trace Context), if it is sampled or came with one, while \
         tracing is on.",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
];

/// For `components`.
pub(super) fn components() -> Value {
    let all = ALL.iter().map(|(name, description, example)| {
        let schema = json!({"type": "string"});
        let header = json!({
            "description": description, "required": !SOMETIMES.contains(name), "schema": schema,
            "example": example,
        });
        ((*name).to_owned(), header)
    });
    Value::Object(all.collect())
}

/// Of every answer, and `own` ones.
pub(super) fn of(own: &[&str]) -> Map<String, Value> {
    let headers = EVERY.iter().chain(own).map(|name| {
        let component = json!({"$ref": format!("#/components/headers/{name}")});
        ((*name).to_owned(), component)
    });
    headers.collect()
}

/// What a problem with this status has beside.
pub(super) const fn of_problem(status: StatusCode) -> &'static [&'static str] {
    match status {
        StatusCode::UNAUTHORIZED => &["WWW-Authenticate"],
        StatusCode::METHOD_NOT_ALLOWED => &["Allow"],
        StatusCode::UPGRADE_REQUIRED => &["Upgrade", "Sec-WebSocket-Version"],
        StatusCode::TOO_MANY_REQUESTS => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        StatusCode::SERVICE_UNAVAILABLE => &["Retry-After"],
        _ => &[],
    }
}
