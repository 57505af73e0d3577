//! The requests of one HTTP/2 connection, which come and are answered side by side.
//!
//! The HTTP server limits neither how many there are nor how long a client may take for one: it
//! starts each at once, and waits without end for the room that a client gives an answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use tokio::time::Instant;

/// Nothing more is read of a client while so many of its requests are being answered.
const AT_ONCE: isize = 100;
/// No client that means well has more of them open.
const MAX_OPEN: usize = 1_000;

/// All of a connection.
#[derive(Default)]
pub(crate) struct Streams {
    /// Those that wait for the service. A request that is dropped while it awaits its body may
    /// leave before it has come back.
    answering: Cell<isize>,
    /// Those, and those that wait for their client.
    open: Cell<usize>,
    /// Answers without end, which have a limit of their own.
    endless: Cell<usize>,
    /// Since when a piece of an answer waits for its client to take it, by number.
    untaken: RefCell<BTreeMap<u64, Instant>>,
    pieces: Cell<u64>,
    idle_since: Cell<Option<Instant>>,
    /// What reads of the client.
    reader: RefCell<Option<Waker>>,
}

impl Streams {
    /// Whether the client asked for enough for now.
    pub(crate) fn are_enough(&self) -> bool {
        self.answering.get() >= AT_ONCE
    }

    /// Whether the client asked for more than can be meant well.
    pub(crate) fn are_too_many(&self) -> bool {
        self.open.get() > MAX_OPEN
    }

    /// Wakes the reader once more may be read.
    pub(crate) fn wake_later(&self, reader: &Waker) {
        if self.are_enough() {
            self.reader.replace(Some(reader.clone()));
        }
    }

    /// Whether something is open.
    pub(crate) fn are_open(&self) -> bool {
        self.open.get() + self.endless.get() > 0
    }

    /// Whether the client has asked for anything yet.
    pub(crate) fn are_used(&self) -> bool {
        self.are_open() || self.idle_since.get().is_some()
    }

    /// When the connection is to be given up: its client does not take a piece within `answer`,
    /// or asks for nothing within `keep_alive`.
    pub(crate) fn due(&self, answer: Duration, keep_alive: Duration) -> Option<Instant> {
        if let Some(since) = self.untaken.borrow().values().next() {
            return Some(*since + answer);
        }
        let idle_since = self.idle_since.get().filter(|_| !self.are_open());
        idle_since.map(|since| since + keep_alive)
    }

    pub(crate) fn begin_answering(&self) {
        self.answering.set(self.answering.get() + 1);
    }

    pub(crate) fn end_answering(&self) {
        self.answering.set(self.answering.get() - 1);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// A request, until all of its answer is on its way or nobody wants it any more.
pub(crate) struct OpenStream {
    streams: Rc<Streams>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Answering,
    Sending,
    Endless,
}

impl OpenStream {
    /// A request's head is there.
    pub(crate) fn begin(streams: &Rc<Streams>) -> Self {
        streams.begin_answering();
        streams.open.set(streams.open.get() + 1);
        Self {
            streams: Rc::clone(streams),
            stage: Stage::Answering,
        }
    }

    /// The answer is about to be sent.
    pub(crate) fn begin_answer(mut self, is_endless: bool, body: BoxBody) -> BoxBody {
        let streams = &self.streams;
        streams.end_answering();
        self.stage = if is_endless {
            streams.open.set(streams.open.get() - 1);
            streams.endless.set(streams.endless.get() + 1);
            Stage::Endless
        } else {
            Stage::Sending
        };
        BoxBody::new(SentBody {
            body,
            piece: None,
            stream: self,
        })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let streams = &self.streams;
        if self.stage == Stage::Answering {
            streams.end_answering();
        }
        let counter = match self.stage {
            Stage::Answering | Stage::Sending => &streams.open,
            Stage::Endless => &streams.endless,
        };
        counter.set(counter.get() - 1);
        if !streams.are_open() {
            streams.idle_since.set(Some(Instant::now()));
        }
    }
}

/// An answer's body. The server asks for its next piece when the client has made room for all of
/// the one before.
struct SentBody {
    body: BoxBody,
    /// The one that is on its way.
    piece: Option<u64>,
    stream: OpenStream,
}

impl SentBody {
    fn note_taken(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.stream.streams.untaken.borrow_mut().remove(&piece);
        }
    }
}

impl MessageBody for SentBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.note_taken();
        let polled = Pin::new(&mut self.body).poll_next(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            let streams = Rc::clone(&self.stream.streams);
            let piece = streams.pieces.get();
            streams.pieces.set(piece + 1);
            streams.untaken.borrow_mut().insert(piece, Instant::now());
            self.piece = Some(piece);
        }
        polled
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.note_taken();
    }
}
