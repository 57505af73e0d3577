//! Sees that the client of an HTTP/2 request has reset it, or has gone.
//!
//! Over HTTP/1.1 the server drops a request with its connection. Over HTTP/2 it answers on.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::time::sleep;

/// Nothing wakes who waits for a reset once the request has come as a whole.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A request's body that both its handler and [`GivenUp`] look at.
struct Shared {
    payload: Payload,
    /// What [`GivenUp`] found there, for the handler.
    found: Option<Bytes>,
    /// The handler waits for more.
    is_awaited: bool,
}

impl Shared {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        Pin::new(&mut self.payload).poll_next(context)
    }
}

/// What the handler reads.
struct Reader(Rc<RefCell<Shared>>);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.0.borrow_mut();
        if let Some(found) = shared.found.take() {
            return Poll::Ready(Some(Ok(found)));
        }
        let polled = shared.poll(context);
        shared.is_awaited = polled.is_pending();
        polled
    }
}

/// Tells when the client has given up.
pub(crate) struct GivenUp(Rc<RefCell<Shared>>);

impl GivenUp {
    /// The payload for the handler, and what sees whether it still has a client.
    pub(crate) fn watch(payload: Payload) -> (Payload, Self) {
        let shared = Rc::new(RefCell::new(Shared {
            payload,
            found: None,
            is_awaited: false,
        }));
        let reader = Reader(Rc::clone(&shared));
        let payload: Payload = Payload::Stream {
            payload: Box::pin(reader),
        };
        (payload, Self(shared))
    }

    /// Ends when the client has given up. A handler that waits for the body hears of that itself.
    pub(crate) async fn wait(&self) {
        loop {
            sleep(LOOK_AGAIN).await;
            if poll_fn(|context| Poll::Ready(self.look(context))).await {
                return;
            }
        }
    }

    /// Drops what comes of the body, which no handler reads any more. Returns whether the client
    /// has given up.
    pub(crate) fn drain(&self, context: &mut Context<'_>) -> bool {
        let mut shared = self.0.borrow_mut();
        loop {
            match shared.poll(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_))) => return true,
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
    }

    fn look(&self, context: &mut Context<'_>) -> bool {
        let mut shared = self.0.borrow_mut();
        if shared.is_awaited || shared.found.is_some() {
            return false;
        }
        match shared.poll(context) {
            Poll::Ready(Some(Ok(found))) => {
                shared.found = Some(found);
                false
            }
            Poll::Ready(Some(Err(_))) => true,
            Poll::Ready(None) | Poll::Pending => false,
        }
    }
}
