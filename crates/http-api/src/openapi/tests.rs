use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use strum::IntoEnumIterator;

use crate::problem::Code;
use crate::routes::{openapi, routes};

const METHODS: [&str; 6] = ["get", "head", "post", "patch", "delete", "options"];

fn document() -> Value {
    serde_json::from_str(openapi()).unwrap()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Method, path and what is said of them.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    fields(&document["paths"]).flat_map(|(path, methods)| {
        let methods = fields(methods).filter(|(method, _)| METHODS.contains(&method.as_str()));
        methods.map(move |(method, operation)| (method, path, operation))
    })
}

/// Of all schemas that answer with one of these codes.
fn codes(value: &Value) -> BTreeSet<String> {
    let own = value["properties"]["code"]["enum"].as_array();
    let own = own.into_iter().flatten();
    let mut codes: BTreeSet<_> = own.map(|code| code.as_str().unwrap().to_owned()).collect();
    match value {
        Value::Object(fields) => codes.extend(fields.values().flat_map(self::codes)),
        Value::Array(items) => codes.extend(items.iter().flat_map(self::codes)),
        _ => {}
    }
    codes
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let served: BTreeSet<_> = routes()
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned()))
        .collect();
    let told = operations(&document).map(|(method, path, _)| (method.to_uppercase(), path.clone()));
    let told: BTreeSet<_> = told.collect();
    let options = served
        .iter()
        .map(|(_, path)| ("OPTIONS".to_owned(), path.clone()));
    let expected: BTreeSet<_> = served.iter().cloned().chain(options).collect();
    assert_eq!(told, expected);
}

#[test]
fn every_code_is_told_and_no_other_with_its_status() {
    let document = document();
    let all: BTreeSet<_> = Code::iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(codes(&document), all);
    for (method, path, operation) in operations(&document) {
        for (status, answer) in fields(&operation["responses"]) {
            let wrong = codes(answer).into_iter().filter(|told| {
                let code = Code::iter().find(|code| code.as_str() == told).unwrap();
                code.status().as_str() != status
            });
            assert_eq!(wrong.count(), 0, "{method} {path} {status}");
        }
    }
    assert!(Code::iter().all(|code| strum::EnumMessage::get_documentation(&code).is_some()));
}

/// Of all that is meant by one name.
#[test]
fn names_are_unique_and_references_lead_somewhere() {
    fn references(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(to)) = fields.get("$ref") {
                    let to = to.strip_prefix('#').unwrap();
                    assert!(document.pointer(to).is_some(), "{to}");
                }
                assert!(!fields.contains_key("nullable"));
                fields
                    .values()
                    .for_each(|value| references(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, document)),
            _ => {}
        }
    }
    let document = document();
    references(&document, &document);
    let mut ids = BTreeSet::new();
    for (_, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        let tag = &operation["tags"][0];
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|one| one["name"] == *tag), "{path}: {tag}");
    }
    for (_, path, operation) in operations(&document) {
        let answers = fields(&operation["responses"]).map(|(_, answer)| answer);
        for (link, _) in answers.flat_map(|answer| fields(&answer["links"])) {
            assert!(ids.contains(link.as_str()), "{path} leads to {link}");
        }
    }
    let two = fields(&document["components"]["schemas"]).find(|(name, _)| name.ends_with('2'));
    assert!(two.is_none(), "two types have one name: {two:?}");
}

/// A schema of the document, which allows nothing else than it says.
fn closed(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    close(&mut whole);
    let options = jsonschema::options().with_draft(Draft::Draft202012);
    options.should_validate_formats(true).build(&whole).unwrap()
}

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

#[test]
fn examples_are_what_their_schemas_say() {
    let document = document();
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        let answers = fields(&operation["responses"]).map(|(_, answer)| answer);
        let contents = answers.chain([&operation["requestBody"]]);
        for (media_type, content) in contents.flat_map(|one| fields(&one["content"])) {
            let Some(schema) = content.get("schema") else {
                continue;
            };
            let validator = closed(&document, schema);
            let named = fields(&content["examples"]).map(|(_, example)| {
                let place = example["$ref"].as_str().unwrap().trim_start_matches('#');
                &document.pointer(place).unwrap()["value"]
            });
            for example in named.chain(content.get("example")) {
                let faults: Vec<_> = validator
                    .iter_errors(example)
                    .map(|fault| fault.to_string())
                    .collect();
                assert!(
                    faults.is_empty(),
                    "{method} {path} {media_type}: {faults:?}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "{seen}");
}

fn read(path: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(top.join(path)).unwrap()
}

/// The names of parameters in `place`, of operations and of the document.
fn parameters<'a>(values: impl Iterator<Item = &'a Value>, place: &str) -> BTreeSet<String> {
    let placed = values.filter(|parameter| parameter["in"] == place);
    placed
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect()
}

fn parameters_of(operation: &Value) -> impl Iterator<Item = &Value> {
    operation["parameters"].as_array().into_iter().flatten()
}

/// In the docs: the methods and paths of calls.
fn calls(text: &str) -> BTreeSet<(String, String)> {
    let words: Vec<_> = text.split([' ', '\n', '`']).collect();
    let pairs = words.windows(2).filter(|pair| {
        METHODS.contains(&pair[0].to_lowercase().as_str())
            && pair[0].chars().all(char::is_uppercase)
            && pair[1].starts_with('/')
    });
    let ends = ['?', '.', ',', ';', ':', ')'];
    let calls = pairs.map(|pair| {
        (
            pair[0].to_owned(),
            pair[1].split(ends).next().unwrap().to_owned(),
        )
    });
    calls.collect()
}

#[test]
fn calls_that_the_docs_name_are_served() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let of = |folder: &str| fs::read_dir(top.join(folder)).unwrap();
    let files = of("").chain(of("docs")).map(|file| file.unwrap().path());
    let mut served: BTreeSet<_> = operations(&document())
        .map(|(method, path, _)| (method.to_uppercase(), path.clone()))
        .collect();
    // By a listener of its own.
    served.insert(("GET".to_owned(), "/metrics".to_owned()));
    let mut seen = 0;
    for file in files.filter(|file| file.extension().is_some_and(|kind| kind == "md")) {
        for call in calls(&fs::read_to_string(&file).unwrap()) {
            // `/openapi.json` has a dot of its own.
            let is_served = served.iter().any(|(method, path)| {
                *method == call.0 && path.split('.').next().unwrap() == call.1
            });
            assert!(is_served, "{} names {call:?}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

/// Headers and parameters by name: all that are served are in the reference for people, and no other.
#[test]
fn the_reference_for_people_has_the_same_headers_and_parameters() {
    /// Of the protocols, or for what is between: clients do nothing about them.
    const NOT_FOR_CLIENTS: [&str; 7] = [
        "Connection",
        "Content-Encoding",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Upgrade",
        "X-Accel-Buffering",
    ];
    /// Told of in words.
    const IN_WORDS: [&str; 2] = ["Content-Type", "Strict-Transport-Security"];

    let document = document();
    let text = read("docs/API.md") + &read("docs/NOTIFICATIONS.md");
    let words = |characters: &'static str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !characters.contains(c));
        words.map(str::to_owned).collect()
    };
    let (named, shared) = (words("-"), &document["components"]);
    let own = operations(&document).flat_map(|(.., operation)| parameters_of(operation));
    let shared_parameters = fields(&shared["parameters"]).map(|(_, parameter)| parameter);
    let mut headers = parameters(own.chain(shared_parameters), "header");
    headers.extend(fields(&shared["headers"]).map(|(name, _)| name.clone()));
    for header in &headers {
        let is_told = named.contains(header) || NOT_FOR_CLIENTS.contains(&header.as_str());
        assert!(is_told, "the docs lack the header {header}");
    }
    // In the docs a header of several words is a quoted one with capitals.
    let quoted = text.split('`').skip(1).step_by(2);
    let quoted = quoted.map(|quoted| quoted.split(':').next().unwrap());
    let is_header = |name: &&str| {
        let mut parts = name.split('-').map(|part| part.chars().next());
        let is_word = |c: char| c.is_ascii_alphabetic() || c == '-';
        name.contains('-')
            && name.chars().all(is_word)
            && parts.all(|first| first.is_some_and(char::is_uppercase))
    };
    for name in quoted.filter(is_header) {
        let is_there = headers.contains(name) || IN_WORDS.contains(&name);
        assert!(is_there, "the docs name the header {name}");
    }

    let named = words("_");
    let own = operations(&document).flat_map(|(.., operation)| parameters_of(operation));
    for parameter in parameters(own, "query") {
        assert!(
            named.contains(&parameter),
            "the docs lack the parameter {parameter}"
        );
    }
}

/// What streams say is told in `docs/asyncapi.json`.
#[test]
fn the_document_of_messages_has_the_same_streams() {
    let document = document();
    let messages: Value = serde_json::from_str(&read("docs/asyncapi.json")).unwrap();
    let channels = &messages["channels"];
    let stream = |channel: &str, query: &Value| {
        let path = channels[channel]["address"].as_str().unwrap();
        let operation = &document["paths"][path]["get"];
        let mut served = parameters(parameters_of(operation), "query");
        // Of the security of both.
        served.insert("ticket".to_owned());
        let told: BTreeSet<_> = fields(&query["properties"])
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(told, served, "{path}");
    };
    let bindings = &channels["webSocket"]["bindings"];
    stream("webSocket", &bindings["ws"]["query"]);
    let bindings = &messages["operations"]["tellTicketEvents"]["bindings"];
    stream("ticketEvents", &bindings["http"]["query"]);

    let schema: Value = serde_json::from_str(&read("docs/notifications.schema.json")).unwrap();
    let to = |reference: &Value| {
        let to = reference["$ref"].as_str().unwrap();
        to.rsplit('/').next().unwrap().to_owned()
    };
    let payloads = |channel: &str| -> BTreeSet<String> {
        let named = fields(&channels[channel]["messages"]).map(|(_, message)| to(message));
        let payloads = named.map(|name| to(&messages["components"]["messages"][&name]["payload"]));
        payloads.collect()
    };
    let of_server = schema["$defs"]["server_message"]["oneOf"]
        .as_array()
        .unwrap();
    let mut told: BTreeSet<_> = of_server.iter().map(to).collect();
    told.insert("client_message".to_owned());
    assert_eq!(payloads("webSocket"), told);
    let told = ["ticket", "waiting_line", "problem", "closing"].map(str::to_owned);
    assert_eq!(payloads("ticketEvents"), BTreeSet::from(told));
}

/// The tables that people read.
#[test]
fn the_reference_for_people_has_the_same_calls_and_codes() {
    let text = read("docs/API.md");
    let rows = |header: &str| {
        let table = text.split_once(header).unwrap().1;
        let table = table.split("\n\n").next().unwrap();
        let rows: Vec<_> = table.lines().skip(1).map(str::to_owned).collect();
        rows
    };
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let document = document();

    let mut told = BTreeSet::new();
    for row in rows("\n| call | answer |\n") {
        let mut method = String::new();
        for call in quoted(row.split('|').nth(1).unwrap()) {
            let path = match call.split_once(' ') {
                Some((given, path)) => {
                    given.clone_into(&mut method);
                    path.to_owned()
                }
                None if call.starts_with('/') => call,
                None => continue,
            };
            let path = path.split(['?', ' ']).next().unwrap().to_owned();
            told.insert((method.clone(), path));
        }
    }
    let served: BTreeSet<_> = operations(&document)
        .map(|(method, path, _)| (method.to_uppercase(), path.clone()))
        .filter(|(method, _)| method != "HEAD" && method != "OPTIONS")
        .collect();
    assert_eq!(told, served);

    let mut told = BTreeSet::new();
    for row in rows("\n| status | codes |\n") {
        let mut cells = row.split('|').skip(1);
        let statuses = cells.next().unwrap();
        let statuses: Vec<u16> = statuses
            .split([' ', ','])
            .filter_map(|word| word.parse().ok())
            .collect();
        for name in quoted(cells.next().unwrap()) {
            let Some(code) = Code::iter().find(|code| code.as_str() == name) else {
                continue;
            };
            let status = code.status().as_u16();
            assert!(
                statuses.contains(&status),
                "{name} is {status}, and not among {statuses:?}"
            );
            told.insert(name);
        }
    }
    let all: BTreeSet<_> = Code::iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(told, all);
}
