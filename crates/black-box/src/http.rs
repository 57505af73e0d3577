//! One keep-alive connection, as cheap as HTTP/1.1 gets: what the client
//! spends on a shared machine is missing on the other side.

use std::io;
use std::ops::Range;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::unconstrained;

use crate::endpoint::{Endpoint, Stream};

/// More than the answers of this service have.
const MAX_HEADERS: usize = 32;
const READ_SIZE: usize = 4 * 1_024;

/// An answer, in the connection's buffer until the next exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

/// A connection with one request on its way at a time.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(to: impl Into<Endpoint>) -> io::Result<Self> {
        Ok(Self {
            stream: to.into().connect().await?,
            received: Vec::with_capacity(READ_SIZE),
        })
    }

    /// Gives it back unless the other side has closed it, or said something unasked: it
    /// is of no use then.
    #[must_use]
    pub fn still_open(mut self) -> Option<Self> {
        let mut byte = [0];
        // What TLS says for itself, such as tickets of its session, is taken in here.
        let read = unconstrained(self.stream.read(&mut byte)).now_or_never();
        read.is_none().then_some(self)
    }

    /// Sends a whole request and waits for its whole answer.
    ///
    /// # Errors
    /// A broken connection, or an answer that is not HTTP/1.1 with a
    /// `Content-Length`. The connection is of no use then.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.received.clear();
        loop {
            if let Some(answer) = parse(&self.received)? {
                return Ok(Response {
                    status: answer.status,
                    body: &self.received[answer.body],
                });
            }
            self.received.reserve(READ_SIZE);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    status: u16,
    body: Range<usize>,
}

/// The answer that `received` starts with; `None` while it is incomplete.
fn parse(received: &[u8]) -> io::Result<Option<Parsed>> {
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let start = match head.parse(received) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let status = head.code.ok_or_else(|| malformed("no status code"))?;
    let length: usize = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
        .ok_or_else(|| malformed("an answer without Content-Length"))?;
    let body = start..start + length;
    Ok((received.len() >= body.end).then_some(Parsed { status, body }))
}

/// A request without its body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// With the query.
    pub path: &'a str,
    /// As the URL names it, with the port.
    pub host: &'a str,
    /// The token of whoever asks.
    pub bearer: Option<&'a str>,
    /// The header `Idempotency-Key`, with which a repeated order is the same order.
    pub idempotency_key: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Of a request to a service on this machine, without rights and without a key.
    #[must_use]
    pub const fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            host: "localhost",
            bearer: None,
            idempotency_key: None,
        }
    }

    /// Writes the request with a JSON body, or without one if `body` is empty.
    pub fn write(&self, into: &mut Vec<u8>, body: &str) {
        let mut line = |parts: &[&str]| {
            for part in parts {
                into.extend_from_slice(part.as_bytes());
            }
            into.extend_from_slice(b"\r\n");
        };
        line(&[self.method, " ", self.path, " HTTP/1.1"]);
        line(&["Host: ", self.host]);
        if let Some(token) = self.bearer {
            line(&["Authorization: Bearer ", token]);
        }
        if let Some(key) = self.idempotency_key {
            line(&["Idempotency-Key: ", key]);
        }
        if !body.is_empty() {
            line(&["Content-Type: application/json"]);
        }
        // Some proxies ask for the length of every POST.
        if !body.is_empty() || self.method == "POST" {
            line(&["Content-Length: ", &body.len().to_string()]);
        }
        line(&[]);
        into.extend_from_slice(body.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::either::Either;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\nx: y\r\n\r\nbody";

    #[test]
    fn an_answer_is_complete_only_with_its_last_byte() {
        for end in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..end]).unwrap(), None, "{end}");
        }
        let answer = parse(ANSWER).unwrap().unwrap();
        assert_eq!((answer.status, &ANSWER[answer.body]), (202, &b"body"[..]));
    }

    #[test]
    fn what_is_not_http_or_has_no_length_is_an_error() {
        assert!(parse(b"SSH-2.0-x\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_is_written_byte_by_byte() {
        let head = Head {
            bearer: Some("t"),
            ..Head::new("POST", "/x")
        };
        let mut request = Vec::new();
        head.write(&mut request, "{}");
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "POST /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        let head = Head {
            host: "tickets.example:80",
            idempotency_key: Some("k"),
            ..Head::new("GET", "/y")
        };
        let mut request = Vec::new();
        head.write(&mut request, "");
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "GET /y HTTP/1.1\r\nHost: tickets.example:80\r\nIdempotency-Key: k\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_known() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let connection = Connection::open(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let connection = connection.still_open().unwrap();
        drop(server);
        let Either::Left(stream) = &connection.stream else {
            panic!("TLS");
        };
        stream.readable().await.unwrap();
        assert!(connection.still_open().is_none());
    }
}
