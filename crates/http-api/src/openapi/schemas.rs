//! Schemas of what is not written by a derived serializer: values of requests, and names.

use domain::ids::MAX_ID_LENGTH;
use domain::show::MAX_LABEL_LENGTH;
use domain::ticket::{RejectionReason, Status};
use domain::user::PriorityClass;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

/// Gives the schema of a type, by reference.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of what is written.
pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Of the dialect that OpenAPI 3.1 has.
pub(super) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let settings = settings.with_transform(RecursiveTransform(never_null_if_left_out));
    settings.for_serialize().into_generator()
}

/// What is left out when there is none is never written as null.
fn never_null_if_left_out(schema: &mut Schema) {
    let required = schema.get("required").cloned().unwrap_or_else(|| json!([]));
    let is_left_out = |name: &str| {
        let mut required = required.as_array().into_iter().flatten();
        !required.any(|one| one == name)
    };
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (_, property) in properties.iter_mut().filter(|(name, _)| is_left_out(name)) {
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|one| one != "null");
            if let [only] = &types[..] {
                property["type"] = only.clone();
            }
        }
        if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
            choices.retain(|one| one != &json!({"type": "null"}));
        }
    }
}

/// Any JSON object.
pub(crate) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema(json!({"type": "object"}))
}

/// An instant as it is written.
pub(crate) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema(json!({"type": "string", "format": "date-time"}))
}

/// An instant, or null for none.
pub(crate) fn instant_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema(json!({"type": ["string", "null"], "format": "date-time"}))
}

/// The id of a ticket.
pub(crate) fn ticket_id(_: &mut SchemaGenerator) -> Schema {
    json_schema(uuid())
}

/// The same in a path.
pub(crate) fn uuid() -> Value {
    let pattern =
        "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-8[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$";
    json!({"type": "string", "format": "uuid", "pattern": pattern})
}

/// What becomes of an order.
pub(crate) fn status(_: &mut SchemaGenerator) -> Schema {
    let decided = Status::ALL.map(Status::as_str);
    let all: Vec<_> = ["processing"].into_iter().chain(decided).collect();
    json_schema(json!({"type": "string", "enum": all}))
}

/// Why an order was rejected.
pub(crate) fn reason(_: &mut SchemaGenerator) -> Schema {
    let all = RejectionReason::ALL.map(RejectionReason::as_str);
    json_schema(json!({"type": "string", "enum": all}))
}

/// A class of users.
pub(crate) fn priority(_: &mut SchemaGenerator) -> Schema {
    json_schema(priority_asked())
}

/// The same in a request.
pub(crate) fn priority_asked() -> Value {
    json!({"type": "string", "enum": PriorityClass::ALL.map(PriorityClass::as_str)})
}

/// The id of a show or a user in a path or a query.
pub(crate) fn identifier() -> Value {
    let pattern = format!(r"^(?!\.{{1,2}}$)[A-Za-z0-9._~-]{{1,{MAX_ID_LENGTH}}}$");
    json!({"type": "string", "pattern": pattern})
}

/// An id as a cursor.
pub(crate) fn stored_id() -> Value {
    json!({"type": "string", "pattern": format!("^[A-Za-z0-9._~-]{{1,{MAX_ID_LENGTH}}}$")})
}

/// [`identifier`] in a body, where a number means its digits.
pub(crate) fn identifier_or_number() -> Value {
    json!({"anyOf": [identifier(), {"type": "integer", "minimum": 0, "maximum": u64::MAX}]})
}

/// The id of a user who is to be created: none that stands for users who were erased.
pub(crate) fn new_user_id() -> Value {
    let mut id = identifier_or_number();
    id["not"] = json!({"pattern": "^erased-"});
    id
}

/// A title or a name.
pub(crate) fn label() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": MAX_LABEL_LENGTH,
        "pattern": r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
    })
}

/// A whole number.
pub(crate) fn whole(minimum: u32, maximum: u32) -> Value {
    json!({"type": "integer", "minimum": minimum, "maximum": maximum})
}

/// An instant of a request, or null for none.
pub(crate) fn instant_asked() -> Value {
    let mut instant = instant_in_query();
    instant["type"] = json!(["string", "null"]);
    instant
}

/// An instant of a request: in the years 1970 to 9998.
pub(crate) fn instant_in_query() -> Value {
    let pattern = "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-";
    json!({"type": "string", "format": "date-time", "pattern": pattern})
}

/// A place in a show's history.
pub(crate) fn sequence() -> Value {
    json!({"type": "string", "pattern": "^[0-9]{1,19}$"})
}

fn json_schema(schema: Value) -> Schema {
    Schema::try_from(schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Body {
        always: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sometimes: Option<u8>,
    }

    #[test]
    fn what_is_always_there_may_be_null_and_what_may_be_left_out_may_not() {
        let mut generator = generator();
        let schema = generator.root_schema_for::<Body>();
        assert_eq!(schema.get("required"), Some(&json!(["always"])));
        let properties = schema.get("properties").unwrap();
        assert_eq!(properties["always"]["type"], json!(["integer", "null"]));
        assert_eq!(properties["sometimes"]["type"], "integer");
    }
}
