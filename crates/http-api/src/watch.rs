//! What every request passes: it is counted, and what went wrong is written as a problem.

use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{Error, HttpMessage};
use futures_util::future::{Either, select};
use tracing::{Instrument, Span};

use crate::admission::refuse;
use crate::client_stream::{AnswerKind, BodyKind, Client};
use crate::given_up::GivenUp;
use crate::problem::{ApiError, RequestId, X_REQUEST_ID};
use crate::request_log;
use crate::spans::{RequestTrace, TRACEPARENT};
use crate::state::Process;
use crate::streams::OpenStream;

/// Counts down also when the client goes away and the handler is dropped.
struct InFlight(Process);

impl InFlight {
    fn enter(process: Process) -> Self {
        process.traffic.enter();
        Self(process)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.traffic.leave();
    }
}

/// The middleware around every handler.
pub(crate) fn watch<S, B>(
    process: Process,
    scheme: &'static str,
    mut request: ServiceRequest,
    inner: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let in_flight = InFlight::enter(process);
    let begun = Instant::now();
    let request_id = RequestId::name(request.headers_mut());
    let tracing = in_flight.0.tracing.as_deref();
    let trace = tracing.and_then(|tracing| RequestTrace::begin(tracing, &request));
    let log = trace.as_ref().map_or_else(Span::none, RequestTrace::log);
    let client = request.conn_data::<Rc<Client>>().cloned();
    let mut stream = None;
    if let Some(client) = &client {
        if let Some(streams) = &client.streams {
            let (payload, given_up) = GivenUp::watch(request.take_payload());
            request.set_payload(payload);
            stream = Some((OpenStream::begin(streams), given_up));
        } else {
            client.begin_request(body_kind(&request));
        }
    }
    let refused = client
        .as_ref()
        .and_then(|client| client.connection.refused());
    let refusal = match refused {
        // A liveness probe would otherwise end the process for having many clients.
        Some(_) if is_liveness(request.match_info().unprocessed()) => None,
        Some(refused) => Some(refused.into()),
        // Over HTTP/1.1 the server refuses it itself.
        None => has_two_lengths(&request).then_some(ApiError::NotHttp),
    };
    let answer = match refusal {
        Some(refusal) => Either::Left(refuse(request, refusal)),
        None => Either::Right(inner.call(request)),
    };
    async move {
        let answered = async {
            Ok(match answer {
                Either::Left(refused) => refused.await,
                Either::Right(answer) => answer.await?.map_into_boxed_body(),
            })
        };
        let answered = answered.instrument(log.clone());
        let response: Result<_, Error> = match &stream {
            None => answered.await,
            Some((_, given_up)) => match select(pin!(answered), pin!(given_up.wait())).await {
                Either::Left((response, _)) => response,
                // To nobody.
                Either::Right(_) => Err(ApiError::BodyIncomplete.into()),
            },
        };
        let response = response?;
        let mut response = log.in_scope(|| finish(&in_flight.0, response, request_id, begun));
        if let Some(trace) = trace {
            let (request, status) = (response.request(), response.status());
            if let Some(parent) = trace.end(request, status, scheme) {
                response.headers_mut().insert(TRACEPARENT, parent);
            }
        }
        let kind = answer_kind(&response);
        if let (Some((stream, given_up)), Some(client)) = (stream, &client) {
            if refused.is_some() || in_flight.0.traffic.is_stopping() {
                client.leave();
            }
            let is_endless = kind == AnswerKind::Stream;
            return Ok(response.map_body(|_, body| stream.begin_answer(is_endless, body, given_up)));
        }
        let ends = client.is_some_and(|client| client.begin_answer(kind));
        let is_upgrade = kind == AnswerKind::Upgrade;
        if (ends || refused.is_some() || in_flight.0.traffic.is_stopping()) && !is_upgrade {
            let head = response.response_mut().head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }
}

fn has_two_lengths(request: &ServiceRequest) -> bool {
    request.headers().get_all(CONTENT_LENGTH).nth(1).is_some()
}

fn body_kind(request: &ServiceRequest) -> BodyKind {
    match request.parts() {
        (_, Payload::None) => BodyKind::None,
        (request, _) if request.headers().contains_key(TRANSFER_ENCODING) => BodyKind::Chunked,
        _ => BodyKind::Sized,
    }
}

fn answer_kind(response: &ServiceResponse) -> AnswerKind {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        AnswerKind::Upgrade
    } else if response.response().body().size() == BodySize::Stream {
        AnswerKind::Stream
    } else {
        AnswerKind::Whole
    }
}

/// Whether the path, decoded, asks only if the process answers.
fn is_liveness(path: &str) -> bool {
    matches!(path, "/health" | "/health/live")
}

/// Writes what went wrong as a problem, and adds what every answer has.
fn finish(
    process: &Process,
    mut response: ServiceResponse,
    request_id: RequestId,
    begun: Instant,
) -> ServiceResponse {
    let mut code = None;
    let failure = response
        .response()
        .error()
        .and_then(|error| error.as_error::<ApiError>());
    if let Some(error) = failure {
        process.refusals.count(error);
        code = Some(error.code());
        process.failures.log(error, &request_id);
        let problem = error.response(&request_id);
        response = response.into_response(problem);
    }
    let (request, status) = (response.request(), response.status());
    let took = begun.elapsed();
    process.requests.note(request, status, code, took);
    request_log::write(request, status, code, took, &request_id);
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, request_id.into_value());
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
