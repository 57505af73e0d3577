//! What a client sends over a WebSocket, as whole messages.
//!
//! A frame says its length before it comes: one that is longer than may be is refused by that,
//! because the codec would keep what has come of it until it is whole.

use actix_http::ws::{Codec, Frame, Item, ProtocolError};
use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use actix_ws::CloseReason;
use bytestring::ByteString;
use futures_util::StreamExt;
use tokio_util::codec::Decoder;

/// Longest message of a client, in bytes; several hundred tickets fit.
pub(super) const MAX_MESSAGE: usize = 64 * 1_024;

/// A client's message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(ByteString),
    Binary,
    Ping(Bytes),
    Pong,
    Close(Option<CloseReason>),
}

/// Why no message comes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The client is gone.
    Gone,
    /// A message has more than [`MAX_MESSAGE`] bytes.
    TooLarge,
    /// It is not WebSocket.
    Protocol,
    /// A text is not UTF-8.
    NotUtf8,
}

/// The client's side of a WebSocket.
pub(super) struct Incoming {
    payload: Payload,
    /// What has come and was not read yet: at most a frame, and what came with its end.
    buffer: BytesMut,
    codec: Codec,
    /// A message that comes in several frames.
    parts: Option<Parts>,
}

struct Parts {
    is_text: bool,
    bytes: BytesMut,
}

impl Incoming {
    pub(super) fn new(payload: Payload) -> Self {
        Self {
            payload,
            buffer: BytesMut::new(),
            codec: Codec::new().max_size(MAX_MESSAGE),
            parts: None,
        }
    }

    /// The next message. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Message, Broken> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            if self.buffer.is_empty() {
                // There are very many of them, and most say little after a long beginning.
                self.buffer = BytesMut::new();
            }
            match self.payload.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(_)) | None => return Err(Broken::Gone),
            }
        }
    }

    /// A message that has come.
    fn buffered(&mut self) -> Result<Option<Message>, Broken> {
        loop {
            if announced_length(&self.buffer).is_some_and(|length| length > MAX_MESSAGE as u64) {
                return Err(Broken::TooLarge);
            }
            let Some(frame) = self.codec.decode(&mut self.buffer).map_err(broken)? else {
                return Ok(None);
            };
            let message = match frame {
                Frame::Text(bytes) => Some(text(bytes)?),
                Frame::Binary(_) => Some(Message::Binary),
                Frame::Ping(bytes) => Some(Message::Ping(bytes)),
                Frame::Pong(_) => Some(Message::Pong),
                Frame::Close(reason) => Some(Message::Close(reason)),
                Frame::Continuation(item) => self.part(item)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// The codec sees to it that parts come in their sequence.
    fn part(&mut self, item: Item) -> Result<Option<Message>, Broken> {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) => (self.first(true, bytes), false),
            Item::FirstBinary(bytes) => (self.first(false, bytes), false),
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let parts = self.parts.as_mut().ok_or(Broken::Protocol)?;
        if parts.bytes.len() + bytes.len() > MAX_MESSAGE {
            return Err(Broken::TooLarge);
        }
        parts.bytes.extend_from_slice(&bytes);
        if !is_last {
            return Ok(None);
        }
        match self.parts.take() {
            Some(parts) if parts.is_text => text(parts.bytes.freeze()).map(Some),
            _ => Ok(Some(Message::Binary)),
        }
    }

    fn first(&mut self, is_text: bool, bytes: Bytes) -> Bytes {
        let empty = BytesMut::new();
        self.parts = Some(Parts {
            is_text,
            bytes: empty,
        });
        bytes
    }
}

/// The length of the frame at the front, if its header is there (RFC 6455, section 5.2).
fn announced_length(buffer: &[u8]) -> Option<u64> {
    let (header, rest) = buffer.split_at_checked(2)?;
    match header[1] & 0x7f {
        126 => rest
            .first_chunk()
            .map(|length| u16::from_be_bytes(*length).into()),
        127 => rest.first_chunk().map(|length| u64::from_be_bytes(*length)),
        length => Some(length.into()),
    }
}

fn text(bytes: Bytes) -> Result<Message, Broken> {
    ByteString::try_from(bytes)
        .map(Message::Text)
        .map_err(|_| Broken::NotUtf8)
}

fn broken(error: ProtocolError) -> Broken {
    match error {
        ProtocolError::Overflow => Broken::TooLarge,
        _ => Broken::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use futures_util::stream;

    use super::*;

    /// A masked frame whose mask changes nothing.
    fn frame(first: u8, length: u64, bytes: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 0xff];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(bytes);
        frame
    }

    fn whole(first: u8, bytes: &[u8]) -> Vec<u8> {
        frame(first, bytes.len() as u64, bytes)
    }

    /// What is heard of these bytes, which come in pieces of that size; then the client is gone.
    async fn heard(bytes: &[u8], piece: usize) -> (Vec<Message>, Broken, usize) {
        let pieces: Vec<_> = bytes
            .chunks(piece)
            .map(|piece| Ok::<_, PayloadError>(Bytes::copy_from_slice(piece)))
            .collect();
        let payload = Box::pin(stream::iter(pieces));
        let mut incoming = Incoming::new(Payload::Stream { payload });
        let mut messages = Vec::new();
        let mut largest = 0;
        let broken = loop {
            match incoming.next().await {
                Ok(message) => messages.push(message),
                Err(broken) => break broken,
            }
            largest = largest.max(incoming.buffer.len());
        };
        (messages, broken, largest.max(incoming.buffer.len()))
    }

    #[tokio::test]
    async fn messages_are_whole_however_they_come() {
        let mut bytes = whole(0x81, b"one");
        bytes.extend(whole(0x01, b"t"));
        bytes.extend(whole(0x89, b"ping"));
        bytes.extend(whole(0x00, b""));
        bytes.extend(whole(0x80, b"wo"));
        bytes.extend(whole(0x02, b"x"));
        bytes.extend(whole(0x80, b"y"));
        let expected = [
            Message::Text("one".into()),
            Message::Ping(Bytes::from_static(b"ping")),
            Message::Text("two".into()),
            Message::Binary,
        ];
        for piece in [1, 7, 1_000] {
            let (messages, broken, _) = heard(&bytes, piece).await;
            assert_eq!((&messages[..], broken), (&expected[..], Broken::Gone));
        }
    }

    #[tokio::test]
    async fn a_frame_that_says_it_is_too_large_is_refused_before_it_comes() {
        for length in [MAX_MESSAGE as u64 + 1, 1 << 40, u64::MAX] {
            let bytes = frame(0x81, length, &[b' '; 1_000_000]);
            let (messages, broken, kept) = heard(&bytes, 1_000).await;
            assert_eq!((messages, broken), (Vec::new(), Broken::TooLarge));
            assert!(kept <= 1_000, "{kept}");
        }
        let (messages, broken, _) = heard(&whole(0x81, &[b' '; MAX_MESSAGE]), 1_000).await;
        assert_eq!((messages.len(), broken), (1, Broken::Gone));
    }

    #[tokio::test]
    async fn parts_are_limited_together() {
        let mut bytes = whole(0x01, &[b' '; MAX_MESSAGE]);
        bytes.extend(whole(0x00, b""));
        bytes.extend(whole(0x00, b"x"));
        let (messages, broken, _) = heard(&bytes, 1_000).await;
        assert_eq!((messages, broken), (Vec::new(), Broken::TooLarge));
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_apart() {
        let unmasked = vec![0x81, 0x01, b'x'];
        for (bytes, expected) in [
            (whole(0x81, b"\xff"), Broken::NotUtf8),
            (
                [whole(0x01, b"\xc3"), whole(0x80, b"(")].concat(),
                Broken::NotUtf8,
            ),
            (whole(0xc1, b"x"), Broken::Protocol),
            (whole(0x83, b"x"), Broken::Protocol),
            (whole(0x80, b"x"), Broken::Protocol),
            (whole(0x09, b""), Broken::Protocol),
            (
                [whole(0x01, b"x"), whole(0x81, b"y")].concat(),
                Broken::Protocol,
            ),
            (unmasked, Broken::Protocol),
        ] {
            let (messages, broken, _) = heard(&bytes, 1_000).await;
            assert_eq!((messages, broken), (Vec::new(), expected), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_character_may_be_split_among_parts() {
        let bytes = [whole(0x01, &[0xc3]), whole(0x80, &[0xa4])].concat();
        let (messages, ..) = heard(&bytes, 1_000).await;
        assert_eq!(messages, [Message::Text("ä".into())]);
    }
}
