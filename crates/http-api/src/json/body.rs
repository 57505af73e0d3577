//! JSON bodies: one object of known fields. Every fault is found, not only the first.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use domain::ids::{IdError, ShowId, UserId};
use domain::time::Timestamp;
use domain::user::PriorityClass;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::client_stream::Client;
use crate::problem::{ApiError, Fault, Faults};
use crate::state::Process;

/// A request's body, or why it could not be read: the handler says so after it has looked at
/// what comes before.
pub(crate) struct Body(Result<Bytes, ApiError>);

impl FromRequest for Body {
    type Error = Infallible;
    type Future = ReadBody;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> ReadBody {
        if request.headers().contains_key(UPGRADE) {
            *payload = without_upgrade(request, payload.take());
        }
        ReadBody {
            bytes: Bytes::from_request(request, payload),
            request: request.clone(),
            awaited: None,
        }
    }
}

/// The HTTP server takes all that follows `Upgrade: websocket` for messages, so that a body
/// would never end.
fn without_upgrade(request: &HttpRequest, payload: Payload) -> Payload {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.trim().parse::<usize>().ok());
    let is_chunked = request.headers().contains_key("transfer-encoding");
    if is_chunked || matches!(payload, Payload::None) {
        return payload;
    }
    let Some(mut left) = length.filter(|length| *length > 0) else {
        return Payload::None;
    };
    let body = payload.map_ok(move |mut bytes| {
        bytes.truncate(left);
        left -= bytes.len();
        (bytes, left == 0)
    });
    // Ends with what is read, not when more is asked for.
    let body = stream::unfold(Some(body), |body| async {
        let mut body = body?;
        match body.next().await? {
            Ok((bytes, is_last)) => Some((Ok(bytes), (!is_last).then_some(body))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Payload::Stream {
        payload: Box::pin(body),
    }
}

/// Reads a body, and says while it waits that it does.
pub(crate) struct ReadBody {
    bytes: <Bytes as FromRequest>::Future,
    request: HttpRequest,
    awaited: Option<AwaitedBody>,
}

impl Future for ReadBody {
    type Output = Result<Body, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Poll::Ready(read) = Pin::new(&mut this.bytes).poll(context) else {
            if this.awaited.is_none() {
                this.awaited = Some(AwaitedBody::of(&this.request));
            }
            return Poll::Pending;
        };
        this.awaited = None;
        let client = this.request.conn_data::<Rc<Client>>();
        if let Some(client) = client {
            client.has_body(read.is_ok());
        }
        let is_late = client.is_some_and(|client| client.is_late());
        Poll::Ready(Ok(Body(read.map_err(
            |error| match error.as_error::<PayloadError>() {
                Some(PayloadError::Overflow) => ApiError::BodyTooLarge,
                _ if is_late => ApiError::RequestTimeout,
                _ => ApiError::BodyIncomplete,
            },
        ))))
    }
}

/// A request whose body is still to come is nothing that a stop waits for: nobody has it but
/// its client.
pub(crate) struct AwaitedBody(HttpRequest);

impl AwaitedBody {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        if let Some(process) = request.app_data::<Process>() {
            process.traffic.leave();
        }
        if let Some(client) = request.conn_data::<Rc<Client>>() {
            client.awaits_body();
        }
        Self(request.clone())
    }
}

impl Drop for AwaitedBody {
    fn drop(&mut self) {
        if let Some(process) = self.0.app_data::<Process>() {
            process.traffic.enter();
        }
    }
}

/// The fields of a body, to be taken one by one.
pub(crate) struct Fields<'a> {
    left: Vec<(Name<'a>, Value)>,
    faults: Faults,
}

impl<'a> Fields<'a> {
    /// Checks media type, length and syntax, in this sequence.
    pub(crate) fn parse(request: &HttpRequest, body: &'a Body) -> Result<Self, ApiError> {
        if !is_json(request) {
            return Err(ApiError::UnsupportedMediaType);
        }
        if is_encoded(request) {
            return Err(ApiError::UnsupportedEncoding);
        }
        match &body.0 {
            Ok(bytes) => Self::of(bytes),
            Err(ApiError::BodyTooLarge) => Err(ApiError::BodyTooLarge),
            Err(ApiError::RequestTimeout) => Err(ApiError::RequestTimeout),
            Err(_) => Err(ApiError::BodyIncomplete),
        }
    }

    fn of(body: &'a [u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Document::Object(left)) => Ok(Self {
                left,
                faults: Faults::default(),
            }),
            Ok(Document::Other) => {
                let fault = Fault::field("", "must be a JSON object");
                Err(ApiError::InvalidFields(fault.into()))
            }
            Err(error) => Err(ApiError::NotJson {
                detail: error.to_string(),
            }),
        }
    }

    /// The field's value; `None` if it is missing or wrong, which is noted.
    pub(crate) fn required<T, E: Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        if !self.left.iter().any(|(field, _)| field.0 == name) {
            self.faults.note(|| Fault::field(name, "is missing"));
        }
        self.optional(name, read)
    }

    /// The field's value; `None` if it is missing, or wrong, which is noted.
    pub(crate) fn optional<T, E: Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let index = self.left.iter().position(|(field, _)| field.0 == name)?;
        let (_, value) = self.left.remove(index);
        if self.left.iter().any(|(field, _)| field.0 == name) {
            self.left.retain(|(field, _)| field.0 != name);
            self.faults
                .note(|| Fault::field(name, "is given more than once"));
            return None;
        }
        read(&value)
            .map_err(|what| self.faults.note(|| Fault::field(name, what)))
            .ok()
    }

    /// The result of `build` if nothing was wrong and nothing is left; `build`
    /// gives `None` only where a fault was noted.
    pub(crate) fn finish<T>(mut self, build: impl FnOnce() -> Option<T>) -> Result<T, ApiError> {
        for (name, _) in &self.left {
            self.faults
                .note(|| Fault::field(&name.0, "is not a field of this request"));
        }
        match build() {
            Some(built) if self.faults.is_empty() => Ok(built),
            _ => Err(ApiError::InvalidFields(self.faults)),
        }
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let Some(Ok(value)) = request.headers().get(CONTENT_TYPE).map(|v| v.to_str()) else {
        return false;
    };
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
        // RFC 7396, for PATCH.
        || media_type.eq_ignore_ascii_case("application/merge-patch+json")
}

fn is_encoded(request: &HttpRequest) -> bool {
    let encodings = request.headers().get_all(CONTENT_ENCODING);
    encodings.into_iter().any(|encoding| {
        !encoding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"identity")
    })
}

/// A JSON text; an object with its fields as they stand, repeated ones included.
pub(crate) enum Document<'a> {
    Object(Vec<(Name<'a>, Value)>),
    Other,
}

/// A field's name, in place unless it is escaped.
#[derive(Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DocumentVisitor;

        impl<'de> Visitor<'de> for DocumentVisitor {
            type Value = Document<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document<'de>, A::Error> {
                let mut fields = Vec::with_capacity(4);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Document::Object(fields))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Document<'de>, A::Error> {
                while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Document::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Document<'de>, E> {
                Ok(Document::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Document<'de>, E> {
                Ok(Document::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Document<'de>, E> {
                Ok(Document::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Document<'de>, E> {
                Ok(Document::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Document<'de>, E> {
                Ok(Document::Other)
            }

            fn visit_unit<E>(self) -> Result<Document<'de>, E> {
                Ok(Document::Other)
            }
        }

        deserializer.deserialize_any(DocumentVisitor)
    }
}

/// A show's id: a string, or a number that stands for its digits.
pub(crate) fn show_id(value: &Value) -> Result<ShowId, String> {
    identifier(value, ShowId::new)
}

/// A user's id, like [`show_id`].
pub(crate) fn user_id(value: &Value) -> Result<UserId, String> {
    identifier(value, UserId::new)
}

/// A path with one of these as a segment means another path (RFC 3986, section 5.2.4), so
/// nobody could ask for what has such an id.
const NO_SEGMENTS: [&str; 2] = [".", ".."];

fn identifier<T: From<u64>>(
    value: &Value,
    new: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, String> {
    match value {
        Value::String(text) if NO_SEGMENTS.contains(&text.as_str()) => {
            Err("must not be . or .., which mean something else in a path".to_owned())
        }
        Value::String(text) => new(text).map_err(|error| error.to_string()),
        Value::Number(number) => number
            .as_u64()
            .map(T::from)
            .ok_or_else(|| "must be a string or a non-negative whole number".to_owned()),
        _ => Err("must be a string or a non-negative whole number".to_owned()),
    }
}

/// A whole number from `min` to `max`.
pub(crate) fn number(min: u32, max: u32) -> impl Fn(&Value) -> Result<u32, String> {
    bounded(min, max, "")
}

/// A whole number from `min` to a `max` that is the setting `named`.
pub(crate) fn bounded(
    min: u32,
    max: u32,
    named: &str,
) -> impl Fn(&Value) -> Result<u32, String> + use<'_> {
    move |value| {
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| format!("must be a whole number from {min} to {max}{named}"))
    }
}

/// A string that `new` takes.
pub(crate) fn text<T, E: Display>(
    new: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| match value {
        Value::String(text) => new(text).map_err(|error| error.to_string()),
        _ => Err("must be a string".to_owned()),
    }
}

/// An RFC 3339 instant, or null for none.
pub(crate) fn instant(value: &Value) -> Result<Option<Timestamp>, String> {
    if value.is_null() {
        return Ok(None);
    }
    text(str::parse)(value).map(Some)
}

/// A priority class by its name.
pub(crate) fn priority(value: &Value) -> Result<PriorityClass, String> {
    value
        .as_str()
        .and_then(PriorityClass::parse)
        .ok_or_else(|| "must be one of: standard, high".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: u32 = 9;

    fn faults(body: &str) -> Vec<Fault> {
        let mut fields = Fields::of(body.as_bytes()).ok().unwrap();
        let id = fields.required("show_id", show_id);
        let quantity = fields.optional("quantity", number(1, TOP));
        match fields.finish(|| Some((id?, quantity))) {
            Ok(_) => Vec::new(),
            Err(ApiError::InvalidFields(faults)) => faults.told().to_vec(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(faults(r#"{"show_id": 1}"#), []);
        assert_eq!(
            faults(r#"{"quantity": 0, "seats": 1, "a/b~c": null}"#),
            [
                Fault::field("show_id", "is missing"),
                Fault::field("quantity", "must be a whole number from 1 to 9"),
                Fault::field("seats", "is not a field of this request"),
                Fault::field("a/b~c", "is not a field of this request"),
            ]
        );
        assert_eq!(
            faults(r#"{"show_id": 1, "show_id": 2}"#),
            [Fault::field("show_id", "is given more than once")]
        );
    }

    #[test]
    fn numbers_that_are_no_ids_are_refused() {
        for id in [
            "-1",
            "1.5",
            "1e3",
            "18446744073709551616",
            "true",
            "null",
            "[]",
        ] {
            assert_eq!(
                faults(&format!(r#"{{"show_id": {id}}}"#)),
                [Fault::field(
                    "show_id",
                    "must be a string or a non-negative whole number"
                )],
                "{id}"
            );
        }
    }

    #[test]
    fn what_is_not_an_object_is_told_apart_from_what_is_not_json() {
        for body in ["[]", "1", "-1", "1.5", "\"a\"", "null", "true", "[{}]"] {
            let error = Fields::of(body.as_bytes()).err().unwrap();
            assert_eq!(error.to_string(), "invalid_fields", "{body}");
        }
        for body in ["", "{", "{}}", "show_id=1", "{\"a\": }", "\u{feff}{}", "[1"] {
            let error = Fields::of(body.as_bytes()).err().unwrap();
            assert_eq!(error.to_string(), "not_json", "{body}");
        }
    }
}
