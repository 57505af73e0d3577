//! What a route is for, what it takes and what it answers.

use serde_json::{Map, Value, json};

use super::schemas::SchemaOf;
use crate::parameters::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::problem::Code;

/// What is answered when all is well.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) headers: &'static [&'static str],
    /// Operations that go on with what is answered, and by which field of it.
    pub(super) links: &'static [(&'static str, &'static str)],
    pub(super) content: Map<String, Value>,
    /// JSON whose schema is a type's, by media type.
    pub(super) json: Vec<(&'static str, SchemaOf, Value)>,
}

/// A request's body: a JSON object.
pub(crate) struct Sent {
    /// What a client calls it.
    pub(crate) title: &'static str,
    /// By name.
    pub(crate) fields: Value,
    /// Names of those that have to be there.
    pub(crate) required: &'static [&'static str],
    /// One that is taken.
    pub(crate) example: Value,
    /// Whether it changes what is there (RFC 7396).
    pub(crate) is_change: bool,
}

/// An operation of the document.
pub(crate) struct Operation {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: Vec<Value>,
    pub(super) sent: Option<Sent>,
    pub(super) answered: Vec<Answered>,
    pub(super) problems: Vec<Code>,
}

impl Operation {
    /// `id` is what generated clients call it.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            description: "",
            parameters: Vec::new(),
            sent: None,
            answered: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// More than the summary says.
    pub(crate) fn about(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// The variable part of the path.
    pub(crate) fn path(self, name: &str, schema: Value) -> Self {
        let problem = self.parameter(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
        }));
        problem.problems([Code::InvalidParameter])
    }

    /// A parameter of the query that may be left out.
    pub(crate) fn query(self, name: &str, description: &str, schema: Value) -> Self {
        let problem = self.parameter(json!({
            "name": name, "in": "query", "description": description, "schema": schema,
        }));
        problem.problems([Code::InvalidParameter])
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(self, cursor: Value) -> Self {
        let limit = json!({
            "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT,
        });
        self.query("limit", "The most items of the page.", limit)
            .query("cursor", "`next_cursor` of the page before.", cursor)
    }

    /// A header that may be left out.
    pub(crate) fn header(self, name: &str, description: &str, schema: Value) -> Self {
        self.parameter(json!({
            "name": name, "in": "header", "description": description, "schema": schema,
        }))
    }

    /// A header that has to be there, with this value.
    pub(crate) fn fixed_header(self, name: &str, value: &str) -> Self {
        self.parameter(json!({
            "name": name, "in": "header", "required": true, "schema": {"const": value},
        }))
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// The body of the request.
    pub(crate) fn sent(mut self, sent: Sent) -> Self {
        self.sent = Some(sent);
        self.problems([
            Code::UnsupportedMediaType,
            Code::BodyTooLarge,
            Code::BodyIncomplete,
            Code::NotJson,
            Code::InvalidFields,
        ])
    }

    /// Answers JSON.
    pub(crate) fn json(
        self,
        status: u16,
        description: &'static str,
        schema: SchemaOf,
        example: Value,
    ) -> Self {
        self.answered(Answered {
            json: vec![("application/json", schema, example)],
            ..Answered::bare(status, description)
        })
    }

    /// The answer of before may also be JSON of this kind.
    pub(crate) fn or_json(
        mut self,
        media_type: &'static str,
        schema: SchemaOf,
        example: Value,
    ) -> Self {
        if let Some(answered) = self.answered.last_mut() {
            answered.json.push((media_type, schema, example));
        }
        self
    }

    /// Answers nothing but a status.
    pub(crate) fn bare(self, status: u16, description: &'static str) -> Self {
        self.answered(Answered::bare(status, description))
    }

    /// The answer of before may also be this.
    pub(crate) fn or(mut self, media_type: &str, example: &str) -> Self {
        if let Some(answered) = self.answered.last_mut() {
            let content = json!({"example": example});
            answered.content.insert(media_type.to_owned(), content);
        }
        self
    }

    /// Headers of the answer of before.
    pub(crate) fn with(mut self, headers: &'static [&'static str]) -> Self {
        if let Some(answered) = self.answered.last_mut() {
            answered.headers = headers;
        }
        self
    }

    /// Operations that take a field of the answer of before as the `id` of their path.
    pub(crate) fn leads_to(mut self, links: &'static [(&'static str, &'static str)]) -> Self {
        if let Some(answered) = self.answered.last_mut() {
            answered.links = links;
        }
        self
    }

    fn answered(mut self, answered: Answered) -> Self {
        self.answered.push(answered);
        self
    }

    /// What it may be refused for, beside what any request may.
    pub(crate) fn problems(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.problems.extend(codes);
        self
    }
}

impl Answered {
    fn bare(status: u16, description: &'static str) -> Self {
        Self {
            status,
            description,
            headers: &[],
            links: &[],
            content: Map::new(),
            json: Vec::new(),
        }
    }
}
