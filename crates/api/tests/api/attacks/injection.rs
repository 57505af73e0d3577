//! What would be a line of the log, a command to a terminal, or a header of an answer, if somebody
//! wrote it down as it comes.

use serde_json::Value;

use crate::program::Serving;
use crate::raw::Connection;

/// In the hope of a line of its own, red, with the terminal's title changed.
const HOSTILE: [&str; 7] = [
    "\r\n2026-01-01T00:00:00Z ERROR injected",
    "\ninjected: yes",
    "\rinjected",
    "\u{1b}[31minjected",
    "\u{1b}]0;injected\u{7}",
    "\u{9b}31minjected\u{85}\u{2028}",
    "\0injected\u{8}\u{7f}",
];

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn sized(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: x\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A text in every place that a client has.
fn requests(text: &str) -> Vec<String> {
    let encoded = percent(text);
    let in_json = Value::from(text).to_string();
    let mut requests = vec![
        sized(&format!("GET /shows/{encoded}"), "", ""),
        sized(&format!("GET /{encoded}"), "", ""),
        sized(&format!("GET /{text}"), "", ""),
        sized(&format!("GET /tickets/{encoded}"), "", ""),
        sized(
            &format!("GET /tickets?user_id={encoded}&{encoded}=1"),
            "",
            "",
        ),
        sized(&format!("GET /shows?cursor={encoded}"), "", ""),
        sized(&format!("GET /ws?ticket={encoded}"), "", ""),
        sized(&format!("{text} /shows"), "", ""),
        sized(
            "POST /users",
            "",
            &format!("{{\"id\":{in_json},\"name\":\"x\"}}"),
        ),
        sized(
            "POST /users",
            "",
            &format!("{{\"id\":\"7\",\"name\":{in_json}}}"),
        ),
        sized("PATCH /users/1", "", &format!("{{\"name\":{in_json}}}")),
        sized(
            "POST /shows",
            "",
            &format!("{{\"id\":\"7\",\"title\":{in_json},\"capacity\":1}}"),
        ),
        sized(
            "POST /tickets",
            "",
            &format!("{{\"show_id\":{in_json},\"user_id\":{in_json},{in_json}:1}}"),
        ),
        sized("POST /tickets", "", text),
        sized(&format!("DELETE /users/{encoded}"), "", ""),
    ];
    for name in [
        "User-Agent",
        "Origin",
        "Referer",
        "X-Request-Id",
        "X-Forwarded-For",
        "Forwarded",
        "Authorization",
        "Idempotency-Key",
        "Last-Event-ID",
        "Content-Encoding",
        "Access-Control-Request-Method",
        text,
    ] {
        let header = format!("{name}: x{text}\r\n");
        let order = r#"{"show_id":"230920","user_id":1}"#;
        requests.push(sized("POST /tickets", &header, order));
    }
    requests.push(sized("GET /shows", "", "").replacen("Host: x", &format!("Host: x{text}"), 1));
    requests
}

fn many_and_huge() -> [String; 4] {
    let many: String = (0..500)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    let huge = format!("User-Agent: {}\r\n", "u".repeat(200_000));
    let long = "p".repeat(100_000);
    [
        sized("GET /shows", &many, ""),
        sized("GET /shows", &huge, ""),
        sized(&format!("GET /{long}"), "", ""),
        sized(&format!("GET /shows?{long}"), "", ""),
    ]
}

/// Answers with nothing in their heads but what the service writes.
fn assert_answers_are_whole(heard: &str, request: &str) {
    let lines = heard.split("\r\n").filter(|line| line.len() < 2_000);
    for line in lines {
        let lower = line.to_lowercase();
        let is_split = lower.starts_with("injected") || lower.starts_with("2026-01-01t");
        assert!(!is_split, "{request:?}: {heard:?}");
    }
    let head = heard.split("\r\n\r\n").next().unwrap_or_default();
    let is_plain = |character: char| matches!(character, '\r' | '\n' | ' '..='~');
    assert!(head.chars().all(is_plain), "{request:?}: {heard:?}");
}

/// The log of a process that was asked all of it.
fn log(level: &str, format: &str) -> String {
    let variables = [
        ("APP__LOG__LEVEL", level),
        ("APP__CORS__ALLOWED_ORIGINS", "https://shop.example"),
    ];
    let mut serving = Serving::formatted(format, &variables);
    let rest = serving.rest_of_log();
    let all = HOSTILE.iter().flat_map(|text| requests(text));
    for request in all.chain(many_and_huge()) {
        let mut connection = Connection::open(&serving.address);
        connection.try_send(request.as_bytes());
        // So that the connection ends, whatever the service took the bytes for.
        connection.try_send(b"\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let heard = connection.until_closed();
        assert_answers_are_whole(&heard, &request[..request.len().min(2_000)]);
    }
    let mut connection = Connection::open(&serving.address);
    connection.send("GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(connection.receive().0.starts_with("HTTP/1.1 200"));
    drop(connection);
    serving.signal("-TERM");
    assert_eq!(serving.exit_code(), 0);
    rest.join().unwrap()
}

fn is_harmless(line: &str) -> bool {
    line.chars()
        .all(|character| !character.is_control() && character != '\u{2028}')
}

#[test]
fn nothing_that_a_client_sends_is_a_line_or_a_command_in_the_log() {
    for level in ["info", "trace"] {
        let log = log(level, "text");
        for line in log.lines() {
            assert!(is_harmless(line), "{level}: {line:?}");
            // Every line is one that the process wrote: it begins with the time.
            let is_own = line.starts_with("20") && !line.starts_with("2026-01-01T00:00:00Z");
            assert!(is_own, "{level}: {line:?}");
        }
        assert!(level == "trace" || !log.contains("injected"), "{log}");
    }
}

#[test]
fn each_line_of_a_log_for_machines_is_one_object() {
    let log = log("trace", "json");
    for line in log.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        assert!(is_harmless(line) && object.is_object(), "{line:?}");
        assert!(object["message"].is_string(), "{line:?}");
    }
}
