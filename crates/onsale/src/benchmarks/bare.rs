//! The ceiling: a handler with the service's JSON in and out, and nothing behind it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use black_box::load::{Measured, drive};
use black_box::process::{Process, sibling};

use super::orders::Orders;

/// What figures call it.
pub(super) const BARE: &str = "bare";

/// Starts the binary beside this one.
pub(super) async fn start() -> anyhow::Result<Process> {
    let with_port = |command: &mut Command, port: u16| {
        command.args(["--port", &port.to_string()]);
    };
    Process::start(&sibling(BARE)?, with_port, "/health").await
}

/// Ids of a handler that stores nothing are of no interest once the turn is over.
pub(super) async fn drive_untold<U: Iterator<Item = u32>>(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    orders: &mut Orders<U>,
) -> anyhow::Result<Measured> {
    let measured = drive(address, connections, Some(time), orders).await?;
    orders.accepted = Vec::new();
    Ok(measured)
}
