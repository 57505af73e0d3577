//! What is said of problems.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use strum::{EnumMessage, IntoEnumIterator};

use super::headers;
use crate::problem::Code;

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// The answer of one status, for one of these reasons.
pub(super) fn answer(codes: &[Code]) -> Value {
    let told = codes
        .iter()
        .map(|code| format!("- `{}`: {}\n", code.as_str(), meaning(*code)));
    let status = codes.first().map_or(StatusCode::OK, |code| code.status());
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"code": {"enum": names}, "status": {"const": status.as_u16()}},
    });
    let examples = names.iter().map(|name| {
        let example = json!({"$ref": format!("#/components/examples/{name}")});
        ((*name).to_owned(), example)
    });
    let examples: Map<_, _> = examples.collect();
    json!({
        "description": told.collect::<String>(),
        "headers": headers::of(headers::of_problem(status)),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    })
}

/// For `components`: one of each code.
pub(super) fn examples() -> Value {
    let all = Code::iter().map(|code| (code.as_str().to_owned(), json!({"value": example(code)})));
    Value::Object(all.collect())
}

fn example(code: Code) -> Value {
    let (status, name) = (code.status(), code.as_str());
    let mut problem = json!({
        "type": format!("urn:tickets:problem:{name}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": name,
        "detail": meaning(code),
        "request_id": "8a3731bcd02eb09e93171ff523692925",
    });
    match code {
        Code::InvalidFields => {
            let fault =
                json!({"pointer": "/quantity", "detail": "must be a whole number from 1 to 10"});
            problem["errors"] = json!([fault]);
        }
        Code::InvalidParameter => {
            let fault = json!({"parameter": "id", "detail": "must not be empty"});
            problem["errors"] = json!([fault]);
        }
        Code::OutcomeUnknown => {
            problem["ticket_id"] = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77".into();
        }
        _ => {}
    }
    problem
}

fn meaning(code: Code) -> &'static str {
    code.get_documentation().unwrap_or_default()
}
