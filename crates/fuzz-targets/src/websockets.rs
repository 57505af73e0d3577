//! What a client sends over a WebSocket: the service answers in JSON, and ends the connection.
//!
//! After a zero come frames as they are; else each line is a text, in a frame of its own.

use std::net::SocketAddr;
use std::sync::LazyLock;

use crate::support::{Client, service};

const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

static SERVICE: LazyLock<SocketAddr> = LazyLock::new(|| service(&[]));

/// A frame of a client, whose mask changes nothing (RFC 6455, section 5.2).
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u64::try_from(payload.len()).unwrap().to_be_bytes();
    [&[first, 0xff], &length[..], &[0; 4], payload].concat()
}

/// The first byte and the payload of each frame of the service.
fn frames(mut told: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some((&[first, short], rest)) = told.split_first_chunk() {
        let (length, rest) = match short {
            126 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (usize::try_from(u64::from_be_bytes(*length)).unwrap(), rest)
            }
            short => (usize::from(short), rest),
        };
        let (payload, rest) = rest.split_at(length);
        frames.push((first, payload));
        told = rest;
    }
    assert!(told.is_empty());
    frames
}

/// Tries the input.
pub fn run(input: &[u8]) {
    let sent = match input.split_first() {
        Some((0, frames)) => frames.to_vec(),
        _ => input
            .split(|byte| *byte == b'\n')
            .flat_map(|text| frame(TEXT, text))
            .collect(),
    };
    let mut client = Client::connect(*SERVICE);
    client.send(HANDSHAKE);
    assert_eq!(client.head().unwrap().status, 101);
    client.send(&sent);
    client.send(&frame(CLOSE, &1000_u16.to_be_bytes()));
    for (first, payload) in frames(&client.finish()) {
        match first {
            TEXT => {
                let message: serde_json::Value = serde_json::from_slice(payload).unwrap();
                assert!(message["type"].is_string(), "{message}");
                // That of an error, whatever was sent.
                assert!(
                    message["type"] != "error" || payload.len() <= 16 * 1_024,
                    "{message}"
                );
            }
            first => assert!(matches!(first, CLOSE | 0x89 | 0x8a), "{first}"),
        }
    }
}
