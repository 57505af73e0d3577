//! Any bytes over a connection: the service ends it, and all that it says is HTTP.

use std::net::SocketAddr;
use std::sync::LazyLock;

use crate::support::{Client, service};

static SERVICE: LazyLock<SocketAddr> =
    LazyLock::new(|| service(&[("APP__SERVER__REQUEST_TIMEOUT_MS", "200")]));

/// Tries the input.
pub fn run(bytes: &[u8]) {
    let mut client = Client::connect(*SERVICE);
    client.send(bytes);
    let told = client.finish();
    assert!(
        told.is_empty() || told.starts_with(b"HTTP/1."),
        "{}",
        String::from_utf8_lossy(&told)
    );
    assert!(!told.windows(13).any(|some| some == b"HTTP/1.1 500 "));
}
