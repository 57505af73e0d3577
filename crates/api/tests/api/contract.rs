//! Every answer is checked against the OpenAPI document: its status, its headers, what it says
//! that its body is, and the body.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

/// Of HTTP itself, or told of in words: any answer may have them.
const ANYWHERE: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
];

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(http_api::openapi()).unwrap());
/// The schemas, which allow nothing else than they say.
static CLOSED: LazyLock<Value> = LazyLock::new(|| {
    let mut components = DOCUMENT["components"].clone();
    close(&mut components);
    components
});
/// By the schema that is written in the document.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// An answer as a client saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    /// Unless it has none, or was not read.
    pub(crate) body: Option<&'a [u8]>,
}

/// By this every request of these tests is sent, and its answer is checked against the OpenAPI
/// document. `clippy.toml` forbids the other ways.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where it is allowed"
)]
pub(crate) async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, path) = (
        request.method().to_string(),
        request.url().path().to_owned(),
    );
    let response = client.execute(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let media_type = headers
        .get("content-type")
        .map_or("", |it| it.to_str().unwrap());
    // Others may have no end.
    let has_end = headers.contains_key("content-length") && media_type.ends_with("json");
    let mut seen = Seen {
        status: status.as_u16(),
        headers: &headers,
        body: None,
    };
    if !has_end {
        check(&method, &path, seen);
        return Ok(response);
    }
    let body = response.bytes().await?;
    seen.body = (method != "HEAD").then_some(&body);
    check(&method, &path, seen);
    let mut again = hyper::Response::new(body);
    *again.status_mut() = status;
    *again.headers_mut() = headers;
    Ok(again.into())
}

/// The answer to this request.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, seen: Seen<'_>) {
    let answers = answers_of(method, path);
    check_one_of(&format!("{method} {path}"), &answers, seen);
}

/// The answer to a request that is not known, or was none.
#[track_caller]
pub(crate) fn check_any(seen: Seen<'_>) {
    let paths = DOCUMENT["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let answers = operations.filter_map(|operation| operation.get("responses"));
    let all: Vec<_> = answers.chain([&*ELSEWHERE]).collect();
    check_one_of("a request", &all, seen);
}

/// Answers as they came, one after the other.
#[track_caller]
pub(crate) fn check_written(mut text: &str) {
    let mut is_first = true;
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let Some((status, headers)) = read_head(head) else {
            return;
        };
        let length = headers.get("content-length");
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let body = length.and_then(|length: usize| rest.get(..length));
        // "Go on" is no answer yet.
        if status == 100 {
            text = rest;
            continue;
        }
        // The server's own words; the service puts its own in their place only where no answer
        // stands before them.
        if status == 400 && !is_first && length == Some(0) {
            return;
        }
        is_first = false;
        check_any(Seen {
            status,
            headers: &headers,
            body: body.map(str::as_bytes),
        });
        let Some(body) = body else { return };
        text = &rest[body.len()..];
    }
}

/// A status line and headers.
pub(crate) fn read_head(head: &str) -> Option<(u16, HeaderMap)> {
    let mut lines = head.split("\r\n");
    let line = lines.next()?.strip_prefix("HTTP/1.1 ")?;
    let status = line.get(..3)?.parse().ok()?;
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    Some((status, headers.collect()))
}

/// What a path answers that is none, and to a method that it does not take.
static ELSEWHERE: LazyLock<Value> = LazyLock::new(|| {
    let told = &DOCUMENT["components"]["responses"];
    json!({"404": told["RouteNotFound"], "405": told["MethodNotAllowed"]})
});

/// What may be answered.
fn answers_of(method: &str, path: &str) -> Vec<&'static Value> {
    let document: &'static Value = &DOCUMENT;
    let shows = &document["paths"]["/shows"];
    let method = method.to_ascii_lowercase();
    match operations_at(path) {
        Some(operations) => match operations.get(&method) {
            // A process that only decides serves nothing but its health.
            Some(operation) => vec![&operation["responses"], &*ELSEWHERE],
            None => vec![&*ELSEWHERE, &operations["options"]["responses"]],
        },
        None => {
            let any = if matches!(&*method, "get" | "head") {
                "get"
            } else {
                "options"
            };
            vec![&*ELSEWHERE, &shows[any]["responses"]]
        }
    }
}

/// What is said of a path, if it is one.
fn operations_at(path: &str) -> Option<&'static Value> {
    let document: &'static Value = &DOCUMENT;
    let segments = |path: &str| -> Vec<String> { path.split('/').map(decoded).collect() };
    let asked = segments(path);
    let mut paths = document["paths"].as_object()?.iter();
    let fits = |template: &str| {
        let template = segments(template);
        let mut both = template.iter().zip(&asked);
        template.len() == asked.len()
            && both.all(|(one, asked)| one == asked || one.starts_with('{') && !asked.is_empty())
    };
    let found = document["paths"].get(path);
    found.or_else(|| {
        paths
            .find(|(template, _)| fits(template))
            .map(|(_, path)| path)
    })
}

/// Without percent-encoding.
fn decoded(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => bytes.extend(format!("%{part}").bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn check_one_of(what: &str, answers: &[&'static Value], seen: Seen<'_>) {
    let status = seen.status.to_string();
    let told: Vec<_> = answers.iter().filter_map(|one| one.get(&status)).collect();
    let mut faults = vec![format!(
        "{what}: the status {status} is not in the document"
    )];
    for answer in told {
        faults = faults_of(answer, seen);
        if faults.is_empty() {
            return;
        }
    }
    let body = seen.body.map(String::from_utf8_lossy);
    panic!(
        "{what}: {status} is not as documented: {faults:#?} {:?} {body:?}",
        seen.headers
    );
}

fn faults_of(answer: &'static Value, seen: Seen<'_>) -> Vec<String> {
    let mut faults = faults_of_headers(answer, seen.headers);
    let contents = answer.get("content");
    let given = seen.headers.get("content-type");
    let given = given.map(|given| given.to_str().unwrap().split(';').next().unwrap());
    match (contents, given) {
        (None, None) => {}
        // The answer to `HEAD` says what the body would be.
        (None, Some(_)) if seen.body.is_none_or(<[u8]>::is_empty) => {}
        (Some(contents), Some(given)) => match contents.get(given) {
            Some(content) => {
                if let Some(body) = seen.body.filter(|_| given.ends_with("json")) {
                    faults.extend(faults_of_body(&content["schema"], body));
                }
            }
            None => faults.push(format!("it is {given}")),
        },
        (told, given) => faults.push(format!("it is {given:?}, and told is {told:?}")),
    }
    faults
}

fn faults_of_headers(answer: &Value, given: &HeaderMap) -> Vec<String> {
    let told = answer["headers"].as_object().unwrap();
    let is_required = |name: &str| DOCUMENT["components"]["headers"][name]["required"] == true;
    let missing = told
        .keys()
        .filter(|name| is_required(name) && !given.contains_key(*name))
        .map(|name| format!("{name} is missing"));
    let is_told = |name: &str| {
        let mut told = told.keys();
        told.any(|told| told.eq_ignore_ascii_case(name))
            || ANYWHERE.contains(&name)
            || name.starts_with("access-control-")
    };
    let more = given.keys().filter(|name| !is_told(name.as_str()));
    missing
        .chain(more.map(|name| format!("{name} is not in the document")))
        .collect()
}

fn faults_of_body(schema: &Value, body: &[u8]) -> Vec<String> {
    let Ok(body) = serde_json::from_slice(body) else {
        return vec!["the body is not JSON".to_owned()];
    };
    let validator = {
        let mut validators = VALIDATORS.lock().unwrap();
        let known = validators.entry(schema.to_string());
        Arc::clone(known.or_insert_with(|| Arc::new(compiled(schema))))
    };
    let faults = validator.iter_errors(&body);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}

fn compiled(schema: &Value) -> Validator {
    let mut whole = schema.clone();
    close(&mut whole);
    whole["components"] = CLOSED.clone();
    let options = jsonschema::options().with_draft(Draft::Draft202012);
    options.should_validate_formats(true).build(&whole).unwrap()
}

/// Makes every object refuse what is not told of it.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            for (name, part) in fields.iter_mut() {
                close(part);
                if matches!(&**name, "allOf" | "anyOf" | "oneOf") {
                    // A part of a schema sees a part of a value.
                    for one in part.as_array_mut().unwrap() {
                        one.as_object_mut().unwrap().remove("unevaluatedProperties");
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
