//! Whether a request is let in, before anything is known of it but its head.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::Error;
use actix_web::body::EitherBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use futures_util::future::{Either, FutureExt, LocalBoxFuture, MapOk, TryFutureExt};
use tokio::task::yield_now;

use crate::client_limits::ClientLimits;
use crate::problem::ApiError;

/// The middleware that asks the limits by address.
pub(crate) struct Admission(pub(crate) Arc<ClientLimits>);

/// What is behind it.
pub(crate) struct Admitting<S> {
    limits: Arc<ClientLimits>,
    inner: Rc<S>,
}

impl<S, B> Transform<S, ServiceRequest> for Admission
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Admitting<S>;
    type InitError = ();
    type Future = Ready<Result<Admitting<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Admitting {
            limits: Arc::clone(&self.0),
            inner: Rc::new(inner),
        }))
    }
}

impl<S, B> Service<ServiceRequest> for Admitting<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    /// A box only for requests that have to wait, or are refused.
    type Future = Either<MapOk<S::Future, LetIn<B>>, LocalBoxFuture<'static, Answer<B>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let asked = match self.limits.admit(request.request()) {
            Either::Left(known) => match known.into_inner() {
                Ok(()) => {
                    let answer = self.inner.call(request);
                    return Either::Left(answer.map_ok(ServiceResponse::map_into_left_body));
                }
                Err(exceeded) => Either::Left(ready(Err(exceeded))),
            },
            waits => waits,
        };
        let inner = Rc::clone(&self.inner);
        let answer = async move {
            Ok(match asked.await {
                Ok(()) => inner.call(request).await?.map_into_left_body(),
                Err(exceeded) => refuse(request, exceeded.into()).await.map_into_right_body(),
            })
        };
        Either::Right(answer.boxed_local())
    }
}

type Answer<B> = Result<ServiceResponse<EitherBody<B>>, Error>;
type LetIn<B> = fn(ServiceResponse<B>) -> ServiceResponse<EitherBody<B>>;

/// The answer to a request that is not let in.
pub(crate) async fn refuse(request: ServiceRequest, refusal: ApiError) -> ServiceResponse {
    let has_body = !matches!(request.parts(), (_, Payload::None));
    let response = request.error_response(refusal);
    if has_body {
        // The server takes what has come of the body off the connection meanwhile. With a rest of
        // it there, it closes the connection after the answer.
        yield_now().await;
    }
    response
}
