//! HTTP byte by byte.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::contract::{self, Seen};
use crate::helpers::DEADLINE;

const ORDER: &str = r#"{"show_id":"230920","user_id":1}"#;

/// An order of the demo user as it goes over the wire.
pub(crate) fn raw_order() -> String {
    let length = ORDER.len();
    format!(
        "POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{ORDER}"
    )
}

/// A connection of which a test sees every byte.
pub(crate) struct Connection {
    requests: BufWriter<TcpStream>,
    answers: Answers,
}

struct Answers(BufReader<TcpStream>);

/// All that came of a connection.
fn written(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap();
    contract::check_written(&text);
    text
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        Self::over(TcpStream::connect(address.trim_start_matches("http://")).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            requests: BufWriter::new(stream.try_clone().unwrap()),
            answers: Answers(BufReader::new(stream)),
        }
    }

    pub(crate) fn send(&mut self, request: &str) {
        self.requests.write_all(request.as_bytes()).unwrap();
        self.requests.flush().unwrap();
    }

    /// The same connection, for another thread.
    pub(crate) fn second(&self) -> Self {
        let stream = self.requests.get_ref();
        Self {
            requests: BufWriter::new(stream.try_clone().unwrap()),
            answers: Answers(BufReader::new(stream.try_clone().unwrap())),
        }
    }

    /// As [`Self::send`], to a service that may have closed the connection. Returns whether it
    /// is open.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.requests.write_all(bytes);
        sent.and_then(|()| self.requests.flush()).is_ok()
    }

    /// All that comes until the service closes the connection.
    pub(crate) fn until_closed(mut self) -> String {
        let mut rest = Vec::new();
        // What was sent and not read turns the end into a reset.
        match self.answers.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => written(rest),
        }
    }

    /// As [`Self::until_closed`], while it sends the same again and again.
    pub(crate) fn until_closed_by(mut self, drop: &[u8]) -> String {
        const BETWEEN: Duration = Duration::from_millis(20);
        let stream = self.answers.0.get_ref();
        stream.set_read_timeout(Some(BETWEEN)).unwrap();
        let started = Instant::now();
        let mut rest = Vec::new();
        let mut some = [0; 4_096];
        loop {
            assert!(started.elapsed() < DEADLINE, "still open: {rest:?}");
            match self.answers.0.read(&mut some) {
                Ok(0) => break,
                Ok(length) => rest.extend(&some[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.try_send(drop);
                }
                Err(_) => break,
            }
        }
        written(rest)
    }

    /// The next answer: head and body.
    pub(crate) fn receive(&mut self) -> (String, String) {
        self.answers.next()
    }
}

impl Answers {
    fn next(&mut self) -> (String, String) {
        let mut head = String::new();
        let mut length = 0;
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            let read = self.0.read_line(&mut head).unwrap();
            assert_ne!(read, 0, "closed after {head:?}");
            if let Some(value) = head[start..].to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let (status, headers) = contract::read_head(head.trim_end()).unwrap();
        contract::check_any(Seen {
            status,
            headers: &headers,
            body: (length > 0).then_some(&body),
        });
        (head, String::from_utf8(body).unwrap())
    }
}

/// Many orders on one connection, several hundred at once; returns how many were taken.
///
/// Not all at once: a connection with more to read than that keeps its HTTP thread busy, and
/// on a slow machine its neighbours wait past their time.
pub(crate) fn pipeline_orders(address: &str, count: usize) -> usize {
    const AT_ONCE: usize = 500;
    let mut connection = Connection::open(address);
    let order = raw_order();
    let mut taken = 0;
    for first in (0..count).step_by(AT_ONCE) {
        let some = AT_ONCE.min(count - first);
        connection.send(&order.repeat(some));
        taken += (0..some)
            .filter(|_| connection.receive().0.starts_with("HTTP/1.1 202"))
            .count();
    }
    taken
}
