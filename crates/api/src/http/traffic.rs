//! What every request passes: it is counted, and what went wrong is written as a problem.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{Error, HttpRequest};
use futures_util::future::Either;

use super::client_stream::{AnswerKind, BodyKind, Client};
use super::health;
use super::problem::{ApiError, RequestId};
use super::{HttpState, State};

/// Requests that have no answer yet, and whether new orders are still taken.
///
/// A request is counted before it looks at `stopping`, and the stop looks at
/// the count after it set `stopping`: with one order of all four steps in all
/// threads, no order slips in between. Hence the sequential consistency.
#[derive(Default)]
pub(crate) struct Traffic {
    leaving: AtomicBool,
    stopping: AtomicBool,
    in_flight: AtomicUsize,
}

impl Traffic {
    /// From now on readiness says that the process stops; all is served as before.
    pub(crate) fn leave_service(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the process stops, or is about to.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.is_stopping()
    }

    /// From now on orders are refused and connections closed after their next answer.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts down also when the client goes away and the handler is dropped.
struct InFlight(State);

impl InFlight {
    fn enter(state: State) -> Self {
        state.traffic.enter();
        Self(state)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.traffic.leave();
    }
}

/// A request whose body is still to come is nothing that a stop waits for: nobody has it but
/// its client.
pub(super) struct AwaitedBody(HttpRequest);

impl AwaitedBody {
    pub(super) fn of(request: &HttpRequest) -> Self {
        if let Some(state) = request.app_data::<State>() {
            state.traffic.leave();
        }
        if let Some(client) = request.conn_data::<Rc<Client>>() {
            client.awaits_body();
        }
        Self(request.clone())
    }
}

impl Drop for AwaitedBody {
    fn drop(&mut self) {
        if let Some(state) = self.0.app_data::<State>() {
            state.traffic.enter();
        }
    }
}

/// The middleware around every handler.
pub(super) fn watch<S, B>(
    state: State,
    request: ServiceRequest,
    inner: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let in_flight = InFlight::enter(state);
    let request_id = RequestId::given_by(request.headers());
    let client = request.conn_data::<Rc<Client>>().cloned();
    if let Some(client) = &client {
        client.asks(body_kind(&request));
    }
    let refused = client
        .as_ref()
        .and_then(|client| client.connection.refused());
    let answer = match refused {
        // Whoever asks whether the process lives would end it for having many clients.
        Some(refused) if !health::is_liveness(request.path()) => {
            Either::Left(request.error_response(ApiError::ConnectionsExhausted(refused)))
        }
        _ => Either::Right(inner.call(request)),
    };
    async move {
        let response = match answer {
            Either::Left(response) => response,
            Either::Right(answer) => answer.await?.map_into_boxed_body(),
        };
        let mut response = in_flight.0.finish(response, request_id);
        let kind = answer_kind(&response);
        let ends = client.is_some_and(|client| client.is_answered(kind));
        let is_upgrade = kind == AnswerKind::Upgrade;
        if (ends || refused.is_some() || in_flight.0.traffic.is_stopping()) && !is_upgrade {
            let head = response.response_mut().head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }
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

impl HttpState {
    fn finish(
        &self,
        mut response: ServiceResponse,
        request_id: Option<RequestId>,
    ) -> ServiceResponse {
        let failure = response
            .response()
            .error()
            .and_then(|error| error.as_error::<ApiError>());
        if let Some(error) = failure {
            let request_id = request_id.unwrap_or_else(RequestId::random);
            self.failures.log(error, &request_id);
            let problem = error.response(&request_id);
            response = response.into_response(problem);
        }
        let headers = response.headers_mut();
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }
}
