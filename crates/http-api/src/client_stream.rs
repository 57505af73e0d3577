//! A client's connection below HTTP: how long a request may take to arrive, how long an answer
//! may take to be taken, and how much is read before others have their turn.
//!
//! The HTTP server has a limit of its own for the time between two requests and none for the
//! rest: a client that sends a byte now and then would keep its connection, and what waits for
//! its body, for ever. It also reads on while it answers, so that one client with many requests
//! at once would keep a thread's other clients waiting.

use std::cell::Cell;
use std::io::{self, Error, ErrorKind};
use std::mem::replace;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::open_connections::OpenConnection;
use crate::patience::Patience;
use crate::problem::{ApiError, RequestId};
use crate::request_log;
use crate::streams::{AT_ONCE, Streams};

/// What is read of one client before others have their turn, in bytes.
const TURN: usize = 8 * 1_024;
/// What is read at once over HTTP/2, where a request may have a few bytes. The HTTP server reads
/// again for each request that it starts.
const TURN_OF_STREAMS: usize = 1_024;
/// What is read of a client that has not been answered yet, in bytes: enough to see that it
/// is gone.
const AHEAD: usize = 8 * 1_024;

/// What carries HTTP. Above TLS a client's bytes are those that it meant, so that everything
/// here counts the same for both.
pub(crate) type Transport = Either<TcpStream, TlsStream<TcpStream>>;

/// All streams that a client of HTTP/2 may still begin.
const ANY_STREAM: u32 = u32::MAX >> 1;

/// Tells a client of HTTP/2 to ask over another connection: `GOAWAY` without an error (RFC 9113,
/// section 6.8). Streams after the `last` are not answered.
fn go_away(last: u32) -> [u8; 17] {
    let [a, b, c, d] = last.to_be_bytes();
    [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0]
}

/// The `SETTINGS` with which HTTP/2 begins, and how many streams a client may have open (RFC 9113,
/// section 6.5.2), which the HTTP server does not say. Settings of our own would be acknowledged
/// to it, which it takes for an error.
fn with_max_streams(settings: &[u8]) -> Vec<u8> {
    const SETTINGS: u8 = 4;
    const MAX_STREAMS: [u8; 6] = [0, 3, 0, 0, 0, AT_ONCE];
    if let [high, middle, low, SETTINGS, rest @ ..] = settings
        && let Some(length) = low.checked_add(6)
    {
        let header = [*high, *middle, length, SETTINGS];
        let (flags, settings) = rest.split_at(rest.len().min(5));
        return [&header, flags, &MAX_STREAMS, settings].concat();
    }
    settings.to_vec()
}

/// Ends when the server stops.
pub(crate) type Stop = Pin<Box<dyn Future<Output = ()>>>;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request is to come, or is coming.
    Receiving,
    /// A handler waits for the rest of a body.
    AwaitingBody,
    /// A request is being answered.
    Answering,
    /// A request was answered before its body was there, and the connection ends with that.
    Draining,
    /// An answer without end, such as an event stream.
    Streaming,
    /// A WebSocket.
    Upgraded,
}

/// What a request brought besides its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// Nothing, or it is there.
    None,
    /// As many bytes as it said.
    Sized,
    /// Its end is seen only when it comes.
    Chunked,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    Whole,
    Stream,
    Upgrade,
}

/// One client's connection as the handlers of its requests see it.
pub(crate) struct Client {
    pub(crate) connection: OpenConnection,
    phase: Cell<Phase>,
    /// When the request that is coming has to be there.
    due: Cell<Option<Instant>>,
    unread: Cell<BodyKind>,
    is_late: Cell<bool>,
    /// Bytes that came while a request was being answered.
    ahead: Cell<usize>,
    pub(crate) patience: Patience,
    /// Over HTTP/2, where many requests have a turn at the same time.
    pub(crate) streams: Option<Rc<Streams>>,
    /// Over HTTP/2: no further request is wanted.
    is_leaving: Cell<bool>,
}

impl Client {
    fn new(connection: OpenConnection, patience: Patience, streams: Option<Rc<Streams>>) -> Self {
        Self {
            connection,
            phase: Cell::new(Phase::Receiving),
            due: Cell::new(Some(Instant::now() + patience.request)),
            unread: Cell::new(BodyKind::None),
            is_late: Cell::new(false),
            ahead: Cell::new(0),
            patience,
            streams,
            is_leaving: Cell::new(false),
        }
    }

    /// Over HTTP/2: the connection ends when nothing is open on it any more.
    pub(crate) fn leave(&self) {
        self.is_leaving.set(true);
    }

    /// A request's head is there.
    pub(crate) fn begin_request(&self, body: BodyKind) {
        self.phase.set(Phase::Answering);
        self.unread.set(body);
        if body == BodyKind::None {
            self.due.set(None);
        }
    }

    /// A handler needs more of the body than has come.
    pub(crate) fn await_body(&self) {
        if let Some(streams) = &self.streams {
            return streams.end_answering();
        }
        self.phase.set(Phase::AwaitingBody);
        self.start_clock();
    }

    /// The handler awaits it no more.
    pub(crate) fn end_await(&self) {
        if let Some(streams) = &self.streams {
            streams.begin_answering();
        }
    }

    /// What the handler reads of the body has ended.
    pub(crate) fn resume_answering(&self, is_whole: bool) {
        self.phase.set(Phase::Answering);
        if is_whole {
            self.unread.set(BodyKind::None);
            self.due.set(None);
        }
    }

    /// Whether a body was given up because it did not come in time.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late.get()
    }

    /// The answer is about to be sent. Returns whether the connection has to end with it.
    pub(crate) fn begin_answer(&self, answer: AnswerKind) -> bool {
        let unread = self.unread.replace(BodyKind::None);
        match answer {
            AnswerKind::Upgrade => self.phase.set(Phase::Upgraded),
            AnswerKind::Stream => self.phase.set(Phase::Streaming),
            // Whether it has ended is not seen here; the HTTP server reads on until it has.
            AnswerKind::Whole if unread == BodyKind::Chunked => self.phase.set(Phase::Draining),
            AnswerKind::Whole => self.phase.set(Phase::Receiving),
        }
        if self.phase.get() == Phase::Draining {
            self.start_clock();
        } else if self.phase.get() == Phase::Receiving
            && unread == BodyKind::None
            && self.ahead.get() > 0
        {
            // Of the next request.
            self.due.set(Some(Instant::now() + self.patience.request));
        } else {
            self.due.set(None);
        }
        answer == AnswerKind::Stream || unread == BodyKind::Chunked || self.is_late()
    }

    fn start_clock(&self) {
        if self.due.get().is_none() {
            self.due.set(Some(Instant::now() + self.patience.request));
        }
    }

    fn receive(&self, bytes: &[u8]) {
        if let Some(streams) = &self.streams {
            return streams.receive(bytes);
        }
        match self.phase.get() {
            Phase::Receiving | Phase::AwaitingBody | Phase::Draining => self.start_clock(),
            Phase::Answering | Phase::Streaming => {
                self.ahead.set(self.ahead.get() + bytes.len());
            }
            Phase::Upgraded => {}
        }
    }

    /// Whether the client said enough for now.
    fn is_ahead(&self) -> bool {
        if let Some(streams) = &self.streams {
            return streams.are_enough();
        }
        matches!(self.phase.get(), Phase::Answering | Phase::Streaming) && self.ahead.get() >= AHEAD
    }

    /// When the client is to be given up, if it goes on as it does.
    fn due(&self) -> Option<Instant> {
        if let Some(streams) = &self.streams
            && streams.are_used()
        {
            return streams.due(&self.patience);
        }
        match self.phase.get() {
            Phase::Receiving | Phase::AwaitingBody | Phase::Draining => self.due.get(),
            Phase::Answering | Phase::Streaming | Phase::Upgraded => None,
        }
    }
}

/// What the HTTP server itself refuses, with nothing but a status. Each answer is written from
/// its beginning.
fn unexplained(answer: &[u8]) -> Option<ApiError> {
    let error = match answer.get(..13) {
        Some(b"HTTP/1.1 400 ") => ApiError::NotHttp,
        Some(b"HTTP/1.1 431 ") => ApiError::HeadTooLarge,
        _ => return None,
    };
    let mut lines = answer.split(|byte| *byte == b'\n');
    let is_explained = lines.any(|line| line.to_ascii_lowercase().starts_with(b"content-type:"));
    (!is_explained).then_some(error)
}

/// What the HTTP server reads from and writes to.
pub(crate) struct ClientStream {
    transport: Transport,
    client: Rc<Client>,
    /// What may still be read in this turn.
    turn: usize,
    /// Nothing is read until it is the client's turn again; nobody else would say so.
    is_held_back: bool,
    /// The system took less than there was to write.
    is_blocked: bool,
    /// When it has to have taken all.
    answer_due: Option<Instant>,
    is_given_up: bool,
    /// Over HTTP/2.
    stop: Option<Stop>,
    has_said_goodbye: bool,
    /// The server's settings were written.
    has_greeted: bool,
    /// Fires at the next time that is due or before: it is not set anew for each request.
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// Over HTTP/2 it needs to know of the `stop`, which the HTTP server sees over HTTP/1.1 only.
    pub(crate) fn new(
        transport: Transport,
        connection: OpenConnection,
        patience: Patience,
        stop: Option<Stop>,
    ) -> Self {
        let streams = stop.is_some().then(Rc::default);
        Self {
            transport,
            client: Rc::new(Client::new(connection, patience, streams)),
            turn: if stop.is_some() {
                TURN_OF_STREAMS
            } else {
                TURN
            },
            has_greeted: stop.is_none(),
            stop,
            has_said_goodbye: false,
            is_held_back: false,
            is_blocked: false,
            answer_due: None,
            is_given_up: false,
            timer: None,
        }
    }

    pub(crate) const fn client(&self) -> &Rc<Client> {
        &self.client
    }

    fn begin_turn(&mut self) {
        let is_http2 = self.client.streams.is_some();
        self.turn = if is_http2 { TURN_OF_STREAMS } else { TURN };
    }

    /// Reads no more than is left of the turn.
    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining().min(self.turn);
        let mut some = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.transport).poll_read(context, &mut some))?;
        let read = some.filled();
        self.turn -= read.len();
        if !read.is_empty() {
            self.client.receive(read);
        }
        let read = read.len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }

    /// Over HTTP/2: writes the server's first `bytes`, which are its settings.
    fn greet(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let settings = with_max_streams(bytes);
        let written = ready!(Pin::new(&mut self.transport).poll_write(context, &settings))?;
        self.has_greeted = true;
        // A new connection has room for them.
        let is_whole = written == settings.len();
        Poll::Ready(if is_whole {
            Ok(bytes.len())
        } else {
            Err(ErrorKind::WriteZero.into())
        })
    }

    /// Whether `due` is over; if not, the connection is looked at again by then.
    fn poll_due(&mut self, due: Option<Instant>, context: &mut Context<'_>) -> bool {
        let Some(due) = due else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= due {
                return true;
            }
            timer.as_mut().reset(due);
        }
        false
    }

    /// The system takes nothing more for now.
    ///
    /// # Errors
    /// When that has lasted too long.
    fn wait_for_reader(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let phase = self.client.phase.get();
        if phase == Phase::Upgraded {
            // Says itself when it has heard enough. It hears, and the turn ends with this.
            self.begin_turn();
            return Ok(());
        }
        self.is_blocked = true;
        // An event stream looks after its reader itself.
        if phase != Phase::Streaming {
            let patience = self.client.patience.answer;
            let due = *self
                .answer_due
                .get_or_insert_with(|| Instant::now() + patience);
            if self.poll_due(Some(due), context) {
                return Err(Error::from(ErrorKind::TimedOut));
            }
        }
        Ok(())
    }

    /// Over HTTP/2. Nothing of a frame is left to write unless the system is blocked.
    fn say_goodbye(&mut self, last: u32, context: &mut Context<'_>) {
        if !self.is_blocked {
            // Who is gone, or does not read, cannot be told.
            let _told = Pin::new(&mut self.transport).poll_write(context, &go_away(last));
        }
    }

    fn say_last_words(&mut self, error: &ApiError, context: &mut Context<'_>) {
        let request_id = RequestId::random();
        self.client.connection.note_unread(error.status());
        request_log::write_unread(error, &request_id);
        // Who is gone, or does not read, cannot be told.
        let words = error.last_words(&request_id);
        let _told = Pin::new(&mut self.transport).poll_write(context, &words);
    }

    /// The client was too slow: for the HTTP server that is the end of what it sends. A handler
    /// that waits for a body still answers.
    fn give_up(&mut self, context: &mut Context<'_>) {
        self.is_given_up = true;
        if let Some(streams) = &self.client.streams {
            return self.say_goodbye(streams.last(), context);
        }
        match self.client.phase.get() {
            Phase::AwaitingBody => self.client.is_late.set(true),
            Phase::Receiving if !self.is_blocked => {
                // Before a head is there, nothing else can tell the client.
                self.say_last_words(&ApiError::RequestTimeout, context);
            }
            _ => {}
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_given_up {
            return Poll::Ready(Ok(()));
        }
        if let Some(streams) = &this.client.streams {
            if streams.are_too_many() {
                this.give_up(context);
                return Poll::Ready(Ok(()));
            }
            streams.wake_later(context.waker());
        }
        if this.client.is_ahead() {
            this.is_held_back = true;
            return Poll::Pending;
        }
        if this.turn > 0 {
            let polled = this.poll_turn(context, buffer);
            if polled.is_ready() {
                return polled;
            }
        } else if this.is_blocked {
            // It does not even take what it asked for.
            this.is_held_back = true;
        } else {
            let _after_others = pin!(yield_now()).poll(context);
        }
        let due = this.client.due();
        if this.poll_due(due, context) {
            this.give_up(context);
            return Poll::Ready(Ok(()));
        }
        if let Some(stop) = &mut this.stop
            && stop.as_mut().poll(context).is_ready()
        {
            this.stop = None;
            this.client.leave();
        }
        Poll::Pending
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.has_greeted {
            return this.greet(bytes, context);
        }
        if !this.is_blocked
            && let Some(error) = unexplained(bytes)
        {
            this.say_last_words(&error, context);
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = Pin::new(&mut this.transport).poll_write(context, bytes);
        if polled.is_pending() {
            this.wait_for_reader(context)?;
        }
        polled
    }

    /// The HTTP server calls it at the end of each turn, unless something is left to write.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.transport).poll_flush(context);
        if flushed.is_pending() {
            // TLS keeps what the system does not take.
            this.wait_for_reader(context)?;
        }
        ready!(flushed)?;
        this.is_blocked = false;
        this.answer_due = None;
        this.begin_turn();
        if this.client.is_leaving.get() && !this.is_given_up {
            if !replace(&mut this.has_said_goodbye, true) {
                this.say_goodbye(ANY_STREAM, context);
            }
            let streams = this.client.streams.as_ref();
            if streams.is_some_and(|streams| !streams.are_open()) {
                this.give_up(context);
                context.waker().wake_by_ref();
            }
        }
        let is_behind =
            this.client.phase.get() == Phase::Receiving && this.client.ahead.replace(0) > 0;
        if is_behind || (this.is_held_back && !this.client.is_ahead()) {
            this.is_held_back = false;
            // There may be a whole request in what was read.
            let _after_others = pin!(yield_now()).poll(context);
        }
        let due = this.client.due();
        if !this.client.is_ahead() && this.poll_due(due, context) {
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(context)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if let Some(streams) = &self.client.streams {
            streams.wake_senders();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::advance;

    use super::*;
    use crate::open_connections::{ConnectionLimits, OpenConnections};
    use crate::request_counts::RequestCounts;
    use crate::streams::OpenStream;

    /// Longer than any test.
    const NEVER: Duration = Duration::from_secs(3_600);
    /// What the server asks for at once.
    const READ: usize = 1_024;

    /// A stream, and its client.
    async fn connected(
        request: Duration,
        answer: Duration,
        stop: Option<Stop>,
    ) -> (ClientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, peer) = tokio::join!(listener.accept(), peer);
        let all = Arc::new(OpenConnections::new(
            ConnectionLimits::of(32),
            RequestCounts::new().of_no_route(),
        ));
        let patience = Patience {
            request,
            answer,
            keep_alive: NEVER,
        };
        let transport = Either::Left(accepted.unwrap().0);
        let stream = ClientStream::new(transport, all.enter(None), patience, stop);
        (stream, peer.unwrap())
    }

    /// What one turn of the server reads, as it polls: until nothing more comes, then it flushes.
    async fn turn(stream: &mut ClientStream) -> usize {
        let mut bytes = 0;
        poll_fn(|context| {
            let mut buffer = [0; READ];
            let mut some = ReadBuf::new(&mut buffer);
            while let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(context, &mut some) {
                read.unwrap();
                assert_ne!(some.filled().len(), 0, "the end");
                bytes += some.filled().len();
                some.clear();
            }
            Poll::Ready(())
        })
        .await;
        stream.flush().await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_turn_ends_although_there_is_more_and_goes_on_by_itself() {
        const ALL: usize = 60_000;
        let (mut stream, mut peer) = connected(NEVER, NEVER, None).await;
        peer.write_all(&[b' '; ALL]).await.unwrap();
        let mut left = ALL;
        let mut turns = 0;
        while left > 0 {
            let read = turn(&mut stream).await;
            assert!(read < TURN + READ, "{read}");
            left -= read;
            turns += usize::from(read > 0);
            tokio::task::yield_now().await;
        }
        assert!(turns >= ALL / (TURN + READ), "{turns}");
        let mut one = [0];
        let (read, sent) = tokio::join!(stream.read(&mut one), peer.write_all(b"x"));
        assert_eq!((read.unwrap(), sent.unwrap()), (1, ()));
    }

    #[tokio::test]
    async fn little_is_read_ahead_of_an_answer_and_the_rest_after_it() {
        const ALL: usize = 60_000;
        let (mut stream, mut peer) = connected(NEVER, NEVER, None).await;
        for answer in [AnswerKind::Whole, AnswerKind::Stream] {
            peer.write_all(&[b' '; ALL]).await.unwrap();
            let client = Rc::clone(stream.client());
            client.begin_request(BodyKind::None);
            if answer == AnswerKind::Stream {
                client.begin_answer(answer);
            }
            let mut ahead = 0;
            for _ in 0..100 {
                ahead += turn(&mut stream).await;
            }
            assert!(ahead < AHEAD + READ, "{ahead}");
            client.begin_answer(AnswerKind::Whole);
            stream.flush().await.unwrap();
            while ahead < ALL {
                ahead += turn(&mut stream).await;
                tokio::task::yield_now().await;
            }
        }
    }

    /// What has come of a head by then is not late for that.
    #[tokio::test(start_paused = true)]
    async fn over_http2_nothing_is_read_while_so_many_requests_are_answered() {
        const REST: usize = 0x1000;
        let stop: Stop = Box::pin(pending());
        let (mut stream, mut peer) = connected(NEVER, NEVER, Some(stop)).await;
        let begun = [&[b' '; 24][..], &[0, 0x10, 0, 1, 0, 0, 0, 0, 1]].concat();
        peer.write_all(&begun).await.unwrap();
        while turn(&mut stream).await == 0 {
            yield_now().await;
        }
        let streams = stream.client().streams.clone().unwrap();
        let mut open = Vec::new();
        open.resize_with(AT_ONCE.into(), || OpenStream::begin(&streams));
        peer.write_all(&[b' '; REST]).await.unwrap();
        for _ in 0..100 {
            assert_eq!(turn(&mut stream).await, 0);
            yield_now().await;
        }
        advance(NEVER * 2).await;
        open.pop();
        let mut left = REST;
        while left > 0 {
            left -= turn(&mut stream).await;
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_no_answer_is_given_up() {
        let (mut stream, _peer) = connected(NEVER, Duration::from_millis(50), None).await;
        let answer = vec![b' '; 1 << 26];
        let error = stream.write_all(&answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
