//! Writes the document.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::{Method, StatusCode};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::operation::{Answered, Operation, Sent};
use super::schemas::generator;
use super::{headers, problems};
use crate::access::Needs;
use crate::health::is_health;
use crate::problem::{Code, Problem};

const DESCRIPTION: &str = "\
Sells seats of shows. An order is accepted with `202` and decided in the sequence of the queue; \
its verdict is read, or heard over Server-Sent Events or a WebSocket.

Errors are `application/problem+json` (RFC 9457). Programs tell them by `code`; `detail` says what \
to do, and `request_id` ties the answer to the log. A status, code, field or value that is not \
here may come with a later release: treat it as its class of status, and ignore fields.

Where `auth.mode` is `jwt`, callers prove who they are with a bearer token. Where it is `off` \
everybody acts for every user, and administration needs `admin.token` if that is set.

Any path answers other methods with `405 method_not_allowed`, and what is no path with \
`404 route_not_found`. Over HTTPS that is required, answers have `Strict-Transport-Security`. \
A request that cannot be read as HTTP is answered `not_http`, `head_too_large` or \
`request_timeout`, and the connection is closed.";

/// What everybody is refused for who asks for anything but health.
const ANY: [Code; 8] = [
    Code::NotHttp,
    Code::HeadTooLarge,
    Code::RequestTimeout,
    Code::ConnectionsExhausted,
    Code::RateLimited,
    Code::HttpsRequired,
    Code::HostNotAllowed,
    Code::OriginNotAllowed,
];
/// Probes have no names and no limits, and are not led to HTTPS.
const ANY_OF_HEALTH: [Code; 5] = [
    Code::NotHttp,
    Code::HeadTooLarge,
    Code::RequestTimeout,
    Code::ConnectionsExhausted,
    Code::RateLimited,
];

/// A route and what is said of it.
pub(crate) struct Described {
    pub(crate) path: &'static str,
    pub(crate) methods: &'static [Method],
    pub(crate) needs: Needs,
    pub(crate) operation: Operation,
}

impl Described {
    /// What its requests may be refused for.
    pub(crate) fn codes(&self) -> impl Iterator<Item = Code> {
        let by_needs: &[Code] = match self.needs {
            Needs::Nothing => &[],
            Needs::Caller | Needs::Listener => &[Code::Unauthorized, Code::KeysUnavailable],
            Needs::Operator => &[Code::Unauthorized, Code::Forbidden, Code::KeysUnavailable],
        };
        let codes = any(self.path).iter().chain(by_needs);
        codes.chain(&self.operation.problems).copied()
    }
}

/// The document of these routes.
pub(crate) fn write(routes: impl IntoIterator<Item = Described>) -> Value {
    let mut generator = generator();
    generator.subschema_for::<Problem<'_>>();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let path = paths.entry(route.path).or_default();
        let operation = operation(&route, &mut generator);
        for method in route.methods {
            let is_head = method == Method::HEAD;
            let written = if is_head {
                head_of(&operation)
            } else {
                operation.clone()
            };
            path.insert(method.as_str().to_ascii_lowercase(), written);
        }
        path.insert("options".to_owned(), options(&route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tickets",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "headers": headers::components(),
            "parameters": {"X-Request-Id": {
                "name": "X-Request-Id", "in": "header",
                "description": "Names the request in its answer and in the log, if it is 1 to 64 \
                    visible ASCII characters.",
                "schema": {"type": "string"},
            }, "traceparent": {
                "name": "traceparent", "in": "header",
                "description": "The caller's span (W3C Trace Context). While tracing is on, the \
                    request belongs to the same trace; another value is skipped.",
                "schema": {"type": "string"},
            }},
            "responses": {
                "MethodNotAllowed": problems::answer(&[Code::MethodNotAllowed]),
                "RouteNotFound": problems::answer(&[Code::RouteNotFound]),
            },
            "examples": problems::examples(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A token of the configured issuer; for administration with the \
                        role `operator`, or `admin.token`.",
                },
                "liveTicket": {
                    "type": "apiKey", "in": "query", "name": "ticket",
                    "description": "Of `POST /live-tickets`, once, where no header can be sent.",
                },
            },
        },
    })
}

/// In the sequence of the page.
const TAGS: [(&str, &str, &str); 7] = [
    ("/tickets", "Tickets", "Orders, and what became of them."),
    ("/live-tickets", "Live", "Changes as they happen."),
    ("/shows", "Shows", "What is on sale."),
    ("/users", "Users", "Who may order."),
    ("/admin", "Administration", "Whether all promises are kept."),
    ("/health", "Health", "Whether the process can do its duty."),
    ("", "Documentation", "This document and its page."),
];
const OTHER_METHODS: &str = "HEAD and OPTIONS";

fn tags() -> Value {
    let tags = TAGS.map(|(_, name, description)| json!({"name": name, "description": description}));
    let others = json!({
        "name": OTHER_METHODS,
        "description": "Of every path: the answer to `GET` without its body, and what is allowed.",
    });
    tags.into_iter().chain([others]).collect()
}

fn tag(path: &str) -> &'static str {
    if path == "/ws" || path.ends_with("/events") {
        return "Live";
    }
    let found = TAGS.iter().find(|(start, ..)| path.starts_with(start));
    found.map_or(OTHER_METHODS, |(_, name, _)| name)
}

/// The answer to `GET`, without its body.
fn head_of(operation: &Value) -> Value {
    let mut head = operation.clone();
    head["operationId"] =
        format!("{}Head", head["operationId"].as_str().unwrap_or_default()).into();
    head["tags"] = json!([OTHER_METHODS]);
    let answers = head["responses"].as_object_mut().into_iter().flatten();
    for (_, answer) in answers {
        if let Some(answer) = answer.as_object_mut() {
            answer.remove("content");
        }
    }
    head
}

fn operation(route: &Described, generator: &mut SchemaGenerator) -> Value {
    let Operation {
        id,
        summary,
        description,
        parameters,
        sent,
        answered,
        ..
    } = &route.operation;
    let mut responses = Map::new();
    for answered in answered {
        responses.insert(answered.status.to_string(), answer(answered, generator));
    }
    if route.methods.contains(&Method::GET) && !is_health(route.path) && route.path != "/ws" {
        let led = json!({
            "description": "The same is to be had over HTTPS, which is required.",
            "headers": headers::of(&["Location"]),
        });
        responses.insert("308".to_owned(), led);
    }
    refuse(&mut responses, route.codes());
    let of_any = ["X-Request-Id", "traceparent"]
        .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
    let mut written = json!({
        "operationId": id,
        "tags": [tag(route.path)],
        "summary": summary,
        "parameters": parameters.iter().chain(&of_any).collect::<Vec<_>>(),
        "security": security(route.needs),
        "responses": responses,
    });
    if !description.is_empty() {
        written["description"] = (*description).into();
    }
    if let Some(sent) = sent {
        written["requestBody"] = body(sent);
    }
    written
}

/// What every request of the path may be refused for.
fn any(path: &str) -> &'static [Code] {
    if is_health(path) {
        &ANY_OF_HEALTH
    } else {
        &ANY
    }
}

/// Nothing is asked of anybody where `auth.mode` is off.
fn security(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => json!([]),
        Needs::Caller | Needs::Operator => json!([{"token": []}, {}]),
        Needs::Listener => json!([{"token": []}, {"liveTicket": []}, {}]),
    }
}

fn body(sent: &Sent) -> Value {
    let schema = json!({
        "title": sent.title,
        "type": "object",
        "properties": sent.fields,
        "required": sent.required,
        "additionalProperties": false,
    });
    let content = json!({"schema": schema, "example": sent.example});
    let mut media_types = Map::from_iter([("application/json".to_owned(), content.clone())]);
    if sent.is_change {
        media_types.insert("application/merge-patch+json".to_owned(), content);
    }
    json!({"required": true, "content": media_types})
}

fn answer(answered: &Answered, generator: &mut SchemaGenerator) -> Value {
    let mut content = answered.content.clone();
    for (media_type, schema, example) in &answered.json {
        let json = json!({"schema": schema(generator), "example": example});
        content.insert((*media_type).to_owned(), json);
    }
    let mut written = json!({
        "description": answered.description,
        "headers": headers::of(answered.headers),
    });
    if !content.is_empty() {
        written["content"] = content.into();
    }
    for (operation, field) in answered.links {
        let id = format!("$response.body#/{field}");
        written["links"][operation] = json!({"operationId": operation, "parameters": {"id": id}});
    }
    written
}

/// Adds what a request may be refused for, by status.
fn refuse(responses: &mut Map<String, Value>, codes: impl Iterator<Item = Code>) {
    let mut by_status: BTreeMap<StatusCode, BTreeSet<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().insert(code);
    }
    for (status, codes) in by_status {
        let codes: Vec<_> = codes.into_iter().collect();
        let told = problems::answer(&codes);
        let written = match responses.remove(status.as_str()) {
            // Readiness says in words of its own that it is not.
            Some(own) => either(own, &told),
            None => told,
        };
        responses.insert(status.as_str().to_owned(), written);
    }
}

/// An answer that may also be a problem.
fn either(mut own: Value, problem: &Value) -> Value {
    let told = |answer: &Value| {
        answer["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    own["description"] = format!("{}\n\n{}", told(&own), told(problem)).into();
    own["content"][problems::MEDIA_TYPE] = problem["content"][problems::MEDIA_TYPE].clone();
    own
}

/// What the path takes.
fn options(route: &Described) -> Value {
    let mut responses = Map::new();
    let answer = json!({"description": "See `Allow`.", "headers": headers::of(&["Allow"])});
    responses.insert("204".to_owned(), answer);
    refuse(&mut responses, any(route.path).iter().copied());
    let parameters = route.operation.parameters.iter();
    // The path has methods whether or not there is anything by this id.
    let any = json!({"type": "string", "minLength": 1});
    let path: Vec<_> = parameters
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| json!({"name": parameter["name"], "in": "path", "required": true, "schema": any}))
        .collect();
    let words: String = route.path.split(|c: char| !c.is_alphanumeric()).collect();
    json!({
        "operationId": format!("{words}Options"),
        "tags": [OTHER_METHODS],
        "summary": "The methods of the path",
        "parameters": path,
        "security": [],
        "responses": responses,
    })
}
