//! Ports of this machine for servers and processes.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::Context;

/// Below those that Linux takes for outgoing connections.
const LASTING: Range<u16> = 20_000..32_768;
const MAX_TRIES: usize = 100;

/// A port that is free now.
pub fn free() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// A free port that the system gives to no outgoing connection, so that it is
/// still free when a process that listened on it is started again: Linux takes
/// those from 32768 on.
pub fn lasting() -> anyhow::Result<u16> {
    (0..MAX_TRIES)
        .map(|_| rand::random_range(LASTING))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port below those of outgoing connections")
}
