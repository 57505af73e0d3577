//! Requests, each with its right length: the service answers all, says of each what is wrong with
//! it, and does what `serde_json` reads in the body.
//!
//! The first line is the method and the path, others up to an empty one are headers, the rest is
//! the body. `As: operator` stands for that caller's token.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::LazyLock;

use crate::support::{AUDIENCE, Client, Head, ISSUER, SECRET, service, signed};
use domain::time::Timestamp;
use serde_json::Value;

/// No answer to what is wrong is longer; a request may be.
const MAX_PROBLEM: usize = 16 * 1_024;
/// Framing is the target `connections`'.
const FRAMING: [&str; 5] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "expect",
];

static SERVICE: LazyLock<SocketAddr> = LazyLock::new(|| {
    service(&[
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__ISSUER", ISSUER),
        ("APP__AUTH__AUDIENCE", AUDIENCE),
        ("APP__AUTH__ALGORITHMS", "HS256"),
        ("APP__AUTH__HMAC_SECRET", SECRET),
        ("APP__AUTH__CREATE_USERS", "true"),
        ("APP__ADMIN__TOKEN", SECRET),
        ("APP__SERVER__ALLOWED_HOSTS", "tickets.example"),
        ("APP__CORS__ALLOWED_ORIGINS", "https://shop.example"),
    ])
});

static BUYER: LazyLock<String> = LazyLock::new(|| token(r#""sub":1"#));
static AGENT: LazyLock<String> = LazyLock::new(|| token(r#""roles":"agent""#));

thread_local! {
    static CLIENT: RefCell<Option<Client>> = const { RefCell::new(None) };
}

fn token(who: &str) -> String {
    let claims = format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","exp":9999999999,{who}}}"#);
    signed(r#"{"alg":"HS256"}"#, &claims)
}

struct Request<'a> {
    method: &'a str,
    path: String,
    headers: Vec<u8>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn parse(input: &'a [u8]) -> Option<Self> {
        let blank = input.windows(2).position(|two| two == b"\n\n");
        let (head, body) = input.split_at(blank.unwrap_or(input.len()));
        let mut lines = head.split(|byte| *byte == b'\n');
        let (method, path) = str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
        let mut headers = Vec::new();
        for line in lines {
            let caller = match line {
                b"As: buyer" => BUYER.as_str(),
                b"As: agent" => AGENT.as_str(),
                b"As: operator" => SECRET,
                line => {
                    let names = |name: &&str| {
                        let start = line.get(..name.len()).unwrap_or_default();
                        start.eq_ignore_ascii_case(name.as_bytes())
                    };
                    if !line.is_empty() && !FRAMING.iter().any(names) {
                        headers.extend([line, b"\r\n"].concat());
                    }
                    continue;
                }
            };
            headers.extend(format!("Authorization: Bearer {caller}\r\n").bytes());
        }
        Some(Self {
            method,
            path: path.to_owned(),
            headers,
            body: body.get(2..).unwrap_or_default(),
        })
    }

    /// The answer, unless the service has closed the connection or is still speaking.
    fn answer(&self) -> Option<(Head, Vec<u8>)> {
        let (method, path, length) = (self.method, &self.path, self.body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n");
        let request = [head.as_bytes(), &self.headers, b"\r\n", self.body].concat();
        CLIENT.with_borrow_mut(|kept| {
            let mut client = kept.take().unwrap_or_else(|| Client::connect(*SERVICE));
            client.send(&request);
            let head = client.head()?;
            let type_of_body = head.header("content-type").unwrap_or_default();
            let body = match head.header("content-length") {
                _ if method == "HEAD" || matches!(head.status, 204 | 304) => Vec::new(),
                Some(length) => client.take(length.parse().unwrap()),
                None if type_of_body == "text/event-stream" => return None,
                None if head.header("transfer-encoding").is_some() => client.chunks(),
                None => Vec::new(),
            };
            if head.header("connection") != Some("close") {
                *kept = Some(client);
            }
            Some((head, body))
        })
    }
}

/// Ids may be numbers and have other words for the same instant.
fn is_same(sent: &Value, told: &Value) -> bool {
    let instant = |value: &Value| {
        value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
    };
    sent == told
        || told.as_str() == Some(&sent.to_string())
        || instant(sent).is_some_and(|sent| Some(sent) == instant(told))
}

fn check_problem(head: &Head, body: &[u8]) {
    assert!(body.len() <= MAX_PROBLEM, "{}", body.len());
    let problem: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(
        head.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(problem["status"], head.status);
    assert!(problem["code"].is_string() && problem["detail"] != "");
    let errors = problem["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    assert_eq!(
        matches!(&problem["code"], Value::String(code) if code.starts_with("invalid_")),
        !errors.is_empty(),
        "{problem}"
    );
    assert!(errors.len() <= 32);
    let place = |error: &Value| {
        ["pointer", "parameter", "header"]
            .iter()
            .any(|at| error[at].is_string())
    };
    assert!(
        errors
            .iter()
            .all(|error| place(error) && error["detail"] != ""),
        "{problem}"
    );
}

/// Tries the input.
pub fn run(input: &[u8]) {
    let Some(mut request) = Request::parse(input) else {
        return;
    };
    let Some((head, body)) = request.answer() else {
        return;
    };
    if head.status >= 400 {
        // What is not HTTP is refused by the server, without a word, and never gets a handler.
        if !body.is_empty() {
            check_problem(&head, &body);
        }
        return;
    }
    let Ok(told) = serde_json::from_slice::<Value>(&body) else {
        return;
    };
    if !request.body.is_empty() && matches!(request.method, "POST" | "PATCH") {
        let sent = serde_json::from_slice::<Value>(request.body);
        for (name, sent) in sent.ok().iter().filter_map(Value::as_object).flatten() {
            let told = told.get(name);
            assert!(
                told.is_none_or(|told| is_same(sent, told)),
                "{name}: {sent} {told:?}"
            );
        }
    }
    if let Some(cursor) = told["next_cursor"].as_str() {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let kept = query.split('&').filter(|pair| !pair.starts_with("cursor="));
        let kept = kept.collect::<Vec<_>>().join("&");
        request.path = format!("{path}?{kept}&cursor={cursor}");
        let (head, body) = request.answer().unwrap();
        assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&body));
    }
}
