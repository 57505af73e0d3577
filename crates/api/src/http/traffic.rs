//! What every request passes: it is counted, and what went wrong is written as a problem.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use futures_util::future::Either;

use super::health;
use super::open_connections::OpenConnection;
use super::problem::{ApiError, RequestId};
use super::{HttpState, State};

/// Requests that have no answer yet, and whether new orders are still taken.
///
/// A request is counted before it looks at `stopping`, and the stop looks at
/// the count after it set `stopping`: with one order of all four steps in all
/// threads, no order slips in between. Hence the sequential consistency.
#[derive(Default)]
pub(crate) struct Traffic {
    stopping: AtomicBool,
    in_flight: AtomicUsize,
}

impl Traffic {
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
}

/// Counts down also when the client goes away and the handler is dropped.
struct InFlight(State);

impl InFlight {
    fn enter(state: State) -> Self {
        state.traffic.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(state)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.traffic.in_flight.fetch_sub(1, Ordering::SeqCst);
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
    let refused = request
        .conn_data::<OpenConnection>()
        .and_then(OpenConnection::refused);
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
        if refused.is_some() || in_flight.0.traffic.is_stopping() {
            let head = response.response_mut().head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
        Ok(response)
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
        response
    }
}
