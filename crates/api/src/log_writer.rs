//! Log lines, written by a thread of their own: a task that logs never waits for the reader of the
//! log, and does not learn that there is none. What finds no room is dropped and counted.
//!
//! Not `tracing-appender`, which prints to stdout when it cannot flush at the end, and so
//! panics where nobody reads that either.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What may wait to be written, in bytes: thousands of lines.
const MAX_WAITING: usize = 4 * 1_024 * 1_024;
/// A pipe that was made non-blocking by its other end is full; it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Takes lines at any time.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
    /// Lines that were neither written nor told of.
    dropped: usize,
}

impl LogWriter {
    /// Starts the thread, which writes to `output`. Once it can write again after lines were
    /// dropped it calls `tell` with their number.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        output: impl Write + Send + 'static,
        tell: impl Fn(usize) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || of_thread.write(output, tell))?;
        Ok(Self { shared })
    }

    /// Waits until all lines are written, but not longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        while (state.is_writing || !state.waiting.is_empty())
            && !self.shared.changed.wait_until(&mut state, end).timed_out()
        {}
    }
}

/// One call is one line.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.state.lock();
        if state.waiting.len() + line.len() > MAX_WAITING {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line);
            self.shared.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn write(&self, mut output: impl Write, tell: impl Fn(usize)) {
        let mut works = true;
        loop {
            let mut state = self.state.lock();
            state.is_writing = false;
            self.changed.notify_all();
            while state.waiting.is_empty() && !(works && state.dropped > 0) {
                self.changed.wait(&mut state);
            }
            state.is_writing = true;
            let lines = mem::take(&mut state.waiting);
            let dropped = if works {
                mem::take(&mut state.dropped)
            } else {
                0
            };
            drop(state);
            // Now there is room for it.
            if dropped > 0 {
                tell(dropped);
            }
            let left = unwritten(&mut output, &lines);
            works = left.is_empty();
            if !works {
                self.state.lock().dropped += left.iter().filter(|byte| **byte == b'\n').count();
            }
        }
    }
}

/// Writes `lines`; returns what could not be written.
fn unwritten<'a>(output: &mut impl Write, mut lines: &'a [u8]) -> &'a [u8] {
    while !lines.is_empty() {
        match output.write(lines) {
            Ok(0) => return lines,
            Ok(written) => lines = &lines[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TRY_AGAIN),
            Err(_) => return lines,
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// Asks before each write what is to become of it.
    struct Reader {
        allowed: mpsc::Receiver<bool>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            if !self.allowed.recv().unwrap_or(false) {
                return Err(ErrorKind::BrokenPipe.into());
            }
            // A test that has ended reads no more.
            let _unread = self.written.send(lines.to_vec());
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Log {
        writer: LogWriter,
        allow: mpsc::Sender<bool>,
        written: mpsc::Receiver<Vec<u8>>,
        told: mpsc::Receiver<usize>,
    }

    impl Log {
        fn start() -> Self {
            let (allow, allowed) = mpsc::channel();
            let (write, written) = mpsc::channel();
            let (tell, told) = mpsc::channel();
            let reader = Reader {
                allowed,
                written: write,
            };
            let writer = LogWriter::start(reader, move |dropped| {
                let _unread = tell.send(dropped);
            });
            Self {
                writer: writer.unwrap(),
                allow,
                written,
                told,
            }
        }

        fn log(&self, line: &[u8]) {
            (&self.writer).write_all(line).unwrap();
        }

        fn waits_for_a_reader(&self) {
            while !self.writer.shared.state.lock().is_writing {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_reader_that_reads_nothing_stops_nobody_and_is_told_what_it_missed() {
        let log = Log::start();
        log.log(b"first\n");
        log.waits_for_a_reader();
        let line = [b'x'; 1_023]
            .iter()
            .chain(b"\n")
            .copied()
            .collect::<Vec<_>>();
        for _ in 0..MAX_WAITING / line.len() + 7 {
            log.log(&line);
        }
        assert!(log.writer.shared.state.lock().waiting.len() <= MAX_WAITING);
        log.writer.flush(Duration::from_millis(1));
        for _ in 0..2 {
            log.allow.send(true).unwrap();
        }
        assert_eq!(log.written.recv_timeout(SOON).unwrap(), b"first\n");
        assert_eq!(log.told.recv_timeout(SOON).unwrap(), 7);
        assert_eq!(log.written.recv_timeout(SOON).unwrap().len(), MAX_WAITING);
    }

    #[test]
    fn lines_that_could_not_be_written_are_told_of_when_others_can() {
        let log = Log::start();
        log.log(b"one\ntwo\n");
        log.waits_for_a_reader();
        log.log(b"three\n");
        log.allow.send(false).unwrap();
        log.allow.send(true).unwrap();
        assert_eq!(log.written.recv_timeout(SOON).unwrap(), b"three\n");
        assert_eq!(log.told.recv_timeout(SOON).unwrap(), 2);
        log.writer.flush(SOON);
        assert!(!log.writer.shared.state.lock().is_writing);
    }
}
