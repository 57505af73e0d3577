//! A request's body: one JSON object.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use fields::Fields;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Sleep, sleep};

use super::read_object;
use crate::client_stream::Client;
use crate::problem::ApiError;
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
            let awaited = this
                .awaited
                .get_or_insert_with(|| AwaitedBody::of(&this.request));
            ready!(awaited.poll_limit(context));
            this.awaited = None;
            return Poll::Ready(Ok(Body(Err(ApiError::RequestTimeout))));
        };
        this.awaited = None;
        let client = this.request.conn_data::<Rc<Client>>();
        if let Some(client) = client {
            client.resume_answering(read.is_ok());
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
struct AwaitedBody {
    request: HttpRequest,
    /// Over HTTP/2; over HTTP/1.1 the stream below sees to it.
    limit: Option<Pin<Box<Sleep>>>,
}

impl AwaitedBody {
    fn of(request: &HttpRequest) -> Self {
        if let Some(process) = request.app_data::<Process>() {
            process.traffic.leave();
        }
        let mut limit = None;
        if let Some(client) = request.conn_data::<Rc<Client>>() {
            client.await_body();
            let has_streams = client.streams.is_some();
            limit = has_streams.then(|| Box::pin(sleep(client.patience.request)));
        }
        Self {
            request: request.clone(),
            limit,
        }
    }

    /// Ready when the body is late.
    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.limit {
            Some(limit) => limit.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for AwaitedBody {
    fn drop(&mut self) {
        if let Some(process) = self.request.app_data::<Process>() {
            process.traffic.enter();
        }
        if let Some(client) = self.request.conn_data::<Rc<Client>>() {
            client.end_await();
        }
    }
}

impl Body {
    /// Checks media type, length and syntax, in this sequence, then all fields at once.
    pub(crate) fn read<T>(
        &self,
        request: &HttpRequest,
        read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
    ) -> Result<T, ApiError> {
        if !is_json(request) {
            return Err(ApiError::UnsupportedMediaType);
        }
        if is_encoded(request) {
            return Err(ApiError::UnsupportedEncoding);
        }
        match &self.0 {
            Ok(bytes) => read_fields(bytes, read),
            Err(ApiError::BodyTooLarge) => Err(ApiError::BodyTooLarge),
            Err(ApiError::RequestTimeout) => Err(ApiError::RequestTimeout),
            Err(_) => Err(ApiError::BodyIncomplete),
        }
    }
}

fn read_fields<T>(
    body: &[u8],
    read: impl FnOnce(&mut Fields<'_, '_>) -> Option<T>,
) -> Result<T, ApiError> {
    let document = serde_json::from_slice(body).map_err(|error| ApiError::NotJson {
        detail: error.to_string(),
    })?;
    read_object(document, read).map_err(ApiError::InvalidFields)
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

#[cfg(test)]
mod tests {
    use fields::whole;

    use super::*;
    use crate::json::values::show_id;
    use crate::problem::Fault;

    fn read(body: &str) -> Result<(), ApiError> {
        read_fields(body.as_bytes(), |fields| {
            let id = fields.required("show_id", show_id);
            let quantity = fields.optional("quantity", whole(1..=9));
            id.zip(quantity).map(|_| ())
        })
    }

    fn faults(body: &str) -> Vec<Fault> {
        match read(body) {
            Ok(()) => Vec::new(),
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
                Fault::pointer("/show_id", "is missing"),
                Fault::pointer("/quantity", "must be a whole number from 1 to 9"),
                Fault::pointer("/seats", "is unknown; known are show_id, quantity"),
                Fault::pointer("/a~1b~0c", "is unknown; known are show_id, quantity"),
            ]
        );
        assert_eq!(
            faults(r#"{"show_id": 1, "show_id": 2}"#),
            [Fault::pointer("/show_id", "is given more than once")]
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
                [Fault::pointer(
                    "/show_id",
                    "must be a string or a non-negative whole number"
                )],
                "{id}"
            );
        }
    }

    #[test]
    fn what_is_not_an_object_is_told_apart_from_what_is_not_json() {
        for body in ["[]", "1", "-1", "1.5", "\"a\"", "null", "true", "[{}]"] {
            let error = read(body).unwrap_err();
            assert_eq!(error.to_string(), "invalid_fields", "{body}");
        }
        for body in ["", "{", "{}}", "show_id=1", "{\"a\": }", "\u{feff}{}", "[1"] {
            let error = read(body).unwrap_err();
            assert_eq!(error.to_string(), "not_json", "{body}");
        }
    }
}
