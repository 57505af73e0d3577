//! One connection's outgoing messages, from the tasks that have one to the socket's
//! side: bounded, so that a reader who is too slow costs no more than his
//! buffer and holds nobody up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytestring::ByteString;
use domain::principal::Principal;
use parking_lot::Mutex;

use super::message::{Closing, Dialect};
use crate::spans::Delivered;

/// A connection as those see it who have something to tell it.
pub(crate) struct Listener {
    principal: Arc<Principal>,
    dialect: Dialect,
    /// The most messages that wait.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// With what is to be called once they are sent.
    waiting: VecDeque<(ByteString, Option<Delivered>)>,
    /// Of the message that was taken last: the next one is asked for when it is sent.
    sending: Option<Delivered>,
    end: Option<End>,
    /// Of the connection's task, when it waits.
    waker: Option<Waker>,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was sent.
    Complete,
    /// A last message says why before the connection is closed.
    Closing(Closing),
}

/// What the connection does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send this.
    Message(ByteString),
    /// Close.
    End(End),
}

/// Whom a state is for.
#[derive(Clone, Copy)]
pub(crate) enum Audience<'a> {
    /// Everybody who has not been told yet.
    All,
    /// This listener, if it has not been told yet.
    One(&'a Listener),
}

impl Audience<'_> {
    pub(crate) fn includes(self, listener: &Listener) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => std::ptr::eq(one, listener),
        }
    }
}

impl Listener {
    pub(crate) fn new(principal: Arc<Principal>, dialect: Dialect, capacity: usize) -> Self {
        Self {
            principal,
            dialect,
            capacity,
            state: Mutex::default(),
        }
    }

    /// Who listens.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Takes a message, or, when the buffer is full, ends the listener: what
    /// waits is given up, because a client that is that late has to read the state again.
    pub(crate) fn send(&self, message: ByteString) {
        self.send_traced(message, None);
    }

    /// The same of a message whose delivery is a span.
    pub(crate) fn send_traced(&self, message: ByteString, delivered: Option<Delivered>) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        if state.waiting.len() < self.capacity {
            state.waiting.push_back((message, delivered));
        } else {
            state.waiting = VecDeque::new();
            state.end = Some(End::Closing(Closing::SlowReader));
        }
        wake(state);
    }

    /// What waits is still sent, then the connection ends. The first end counts.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        wake(state);
    }

    /// Whether everything is sent. Only then is the client's next message read,
    /// so that its own messages cannot fill the buffer with their answers.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    /// For the connection's task alone.
    pub(crate) async fn next(&self) -> Next {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// For the connection's task alone.
    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Next> {
        /// Kept for the next messages; more is given back.
        const KEPT: usize = 8;

        let mut state = self.state.lock();
        let sent = state.sending.take();
        let next = if let Some((message, delivered)) = state.waiting.pop_front() {
            state.sending = delivered;
            if state.waiting.is_empty() {
                state.waiting.shrink_to(KEPT);
            }
            Poll::Ready(Next::Message(message))
        } else {
            match state.end {
                Some(end) => Poll::Ready(Next::End(end)),
                None => wait(&mut state, context),
            }
        };
        drop(state);
        if let Some(sent) = sent {
            sent();
        }
        next
    }

    /// Waits until the buffer has run over; for the connection's task while it
    /// cannot send.
    pub(crate) async fn overrun(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.end == Some(End::Closing(Closing::SlowReader)) {
                Poll::Ready(())
            } else {
                wait(&mut state, context)
            }
        })
        .await;
    }
}

fn wait<T>(state: &mut State, context: &Context<'_>) -> Poll<T> {
    match &mut state.waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => state.waker = Some(context.waker().clone()),
    }
    Poll::Pending
}

/// Outside of the lock, so that the woken task does not run into it.
fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(capacity: usize) -> Listener {
        Listener::new(Arc::new(Principal::agent()), Dialect::WebSocket, capacity)
    }

    fn message(text: &str) -> Next {
        Next::Message(text.into())
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_end_and_nothing_after_it() {
        let listener = listener(2);
        listener.send("a".into());
        listener.end(End::Complete);
        listener.send("b".into());
        listener.end(End::Closing(Closing::ShuttingDown));
        assert_eq!(listener.next().await, message("a"));
        assert_eq!(listener.next().await, Next::End(End::Complete));
    }

    #[tokio::test]
    async fn a_buffer_that_runs_over_ends_the_listener() {
        let listener = listener(2);
        let overrun = listener.overrun();
        for text in ["a", "b", "c"] {
            listener.send(text.into());
        }
        overrun.await;
        let end = End::Closing(Closing::SlowReader);
        assert_eq!(listener.next().await, Next::End(end));
    }

    #[tokio::test]
    async fn a_delivery_ends_when_the_connection_asks_for_what_comes_next() {
        let listener = listener(2);
        let (sent, mut told) = tokio::sync::oneshot::channel();
        let delivered: Delivered = Box::new(move || sent.send(()).unwrap());
        listener.send_traced("a".into(), Some(delivered));
        listener.end(End::Complete);
        assert_eq!(listener.next().await, message("a"));
        told.try_recv().unwrap_err();
        assert_eq!(listener.next().await, Next::End(End::Complete));
        told.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_waiting_connection_is_woken() {
        let listener = listener(1);
        let (next, ()) = tokio::join!(listener.next(), async { listener.send("a".into()) });
        assert_eq!(next, message("a"));
    }
}
