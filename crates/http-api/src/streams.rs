//! The requests of one HTTP/2 connection, which come and are answered side by side.
//!
//! The HTTP server limits neither how many there are nor how long a client may take for one: it
//! starts each at once, and waits without end for the room that a client gives an answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::rt::spawn;
use actix_web::web::Bytes;
use tokio::time::{Instant, sleep};

use crate::frames::Frames;
use crate::given_up::{GivenUp, LOOK_AGAIN};
use crate::patience::Patience;

/// So many may a client have open, as it is told. Nothing more is read of it while so many of
/// its requests are being answered.
pub(crate) const AT_ONCE: u8 = 100;
/// No client that means well has more of them open: before it has been told, it may have sent some.
const MAX_OPEN: usize = 200;
/// Of a head's frames, in bytes: what a head over HTTP/1.1 may be.
const MAX_HEAD: usize = 128 * 1_024;

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
    numbers: Cell<u64>,
    /// What sends answers without end, by number.
    senders: RefCell<BTreeMap<u64, Waker>>,
    will_look: Cell<bool>,
    frames: RefCell<Frames>,
    idle_since: Cell<Option<Instant>>,
    /// What reads of the client.
    reader: RefCell<Option<Waker>>,
}

impl Streams {
    /// Whether the client asked for enough for now.
    pub(crate) fn are_enough(&self) -> bool {
        self.answering.get() >= isize::from(AT_ONCE)
    }

    /// Whether the client asked for more than can be meant well.
    pub(crate) fn are_too_many(&self) -> bool {
        self.open.get() > MAX_OPEN || self.frames.borrow().head_size() > MAX_HEAD
    }

    /// The client said something.
    pub(crate) fn receive(self: &Rc<Self>, bytes: &[u8]) {
        let is_reset = self.frames.borrow_mut().read(bytes, Instant::now());
        if is_reset && !self.senders.borrow().is_empty() && !self.will_look.replace(true) {
            let streams = Rc::clone(self);
            // Not at once for each: a client may send thousands.
            spawn(async move {
                sleep(LOOK_AGAIN).await;
                streams.will_look.set(false);
                streams.wake_senders();
            });
        }
    }

    /// Has those who send without end see whether they still have a client.
    pub(crate) fn wake_senders(&self) {
        for sender in self.senders.take().into_values() {
            sender.wake();
        }
    }

    /// The highest that the client began.
    pub(crate) fn last(&self) -> u32 {
        self.frames.borrow().last_stream()
    }

    fn next_number(&self) -> u64 {
        self.numbers.replace(self.numbers.get() + 1)
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

    /// When the connection is to be given up: its client does not take a piece of an answer or
    /// does not end a head in time, or asks for nothing.
    pub(crate) fn due(&self, patience: &Patience) -> Option<Instant> {
        let untaken = self.untaken.borrow().values().next().copied();
        let head = self.frames.borrow().head_since();
        let idle = self.idle_since.get().filter(|_| !self.are_open());
        let dues = [
            untaken.map(|since| since + patience.answer),
            head.map(|since| since + patience.request),
            idle.map(|since| since + patience.keep_alive),
        ];
        dues.into_iter().flatten().min()
    }

    pub(crate) fn begin_answering(&self) {
        self.answering.set(self.answering.get() + 1);
    }

    pub(crate) fn end_answering(&self) {
        self.answering.set(self.answering.get() - 1);
        if let Some(reader) = self.reader.take() {
            self.frames.borrow_mut().restart_clock(Instant::now());
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
    pub(crate) fn begin_answer(
        mut self,
        is_endless: bool,
        body: BoxBody,
        given_up: GivenUp,
    ) -> BoxBody {
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
            number: streams.next_number(),
            given_up,
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
    number: u64,
    given_up: GivenUp,
    stream: OpenStream,
}

impl SentBody {
    fn note_taken(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.stream.streams.untaken.borrow_mut().remove(&piece);
        }
    }

    /// Whether the client of an answer without end has given up; if not, it is looked at again
    /// when the client resets something, or goes.
    fn poll_given_up(&self, context: &mut Context<'_>) -> bool {
        if self.stream.stage != Stage::Endless {
            return false;
        }
        let mut senders = self.stream.streams.senders.borrow_mut();
        senders.insert(self.number, context.waker().clone());
        self.given_up.drain(context)
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
        if polled.is_pending() && self.poll_given_up(context) {
            // The server sees that there is nobody to send it to, and drops this. It would log
            // an error, and an end that it cannot send.
            return Poll::Ready(Some(Ok(Bytes::new())));
        }
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            let streams = Rc::clone(&self.stream.streams);
            let piece = streams.next_number();
            streams.untaken.borrow_mut().insert(piece, Instant::now());
            self.piece = Some(piece);
        }
        polled
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.note_taken();
        let mut senders = self.stream.streams.senders.borrow_mut();
        senders.remove(&self.number);
    }
}
