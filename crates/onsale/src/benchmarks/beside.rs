//! Programs that the service is measured beside, in turns of one run.

use std::iter::Cycle;
use std::ops::Range;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use black_box::load::{Measured, drive};
use black_box::process::{Process, sibling};
use black_box::usage::Watched;

use super::cpu::Meter;
use super::orders::Orders;
use super::rounds::Round;

/// The ceiling: a handler with the service's JSON in and out, and nothing behind it.
pub(super) const BARE: &str = "bare";
/// Before the first turn.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

/// Starts a binary beside this one.
pub(super) async fn start(
    name: &str,
    set_up: impl FnOnce(&mut Command),
) -> anyhow::Result<Process> {
    let with_port = |command: &mut Command, port: u16| {
        command.args(["--port", &port.to_string()]);
        set_up(command);
    };
    Process::start(&sibling(name)?, with_port, "/health").await
}

/// A program with its turns, in which users order one after the other again and again.
pub(super) struct Beside {
    process: Process,
    name: &'static str,
    orders: Orders<Cycle<Range<u32>>>,
    turns: Vec<Round>,
}

impl Beside {
    /// [`BARE`]
    pub(super) async fn bare(users: u32) -> anyhow::Result<Self> {
        Ok(Self::of(BARE, start(BARE, |_| {}).await?, users))
    }

    /// A program that was started, by the name that figures shall have.
    pub(super) fn of(name: &'static str, process: Process, users: u32) -> Self {
        Self {
            process,
            name,
            orders: Orders::new((0..users).cycle()),
            turns: Vec::new(),
        }
    }

    pub(super) async fn warm_up(&mut self, connections: usize) -> anyhow::Result<()> {
        self.drive(connections, WARM_UP).await?;
        Ok(())
    }

    /// Its turn; what these servers spend meanwhile is counted, too.
    pub(super) async fn turn(
        &mut self,
        (connections, time): (usize, Duration),
        servers: &[Watched],
    ) -> anyhow::Result<()> {
        let itself = self.process.watched(self.name);
        let meter = Meter::start(servers.iter().cloned().chain([itself]))?;
        let measured = self.drive(connections, time).await?;
        measured.expect_only(202).context(self.name)?;
        let round = Round::of(&measured, meter.per(measured.count(202))?);
        self.turns.push(round);
        Ok(())
    }

    /// Ids of a program that keeps nothing are of no interest.
    async fn drive(&mut self, connections: usize, time: Duration) -> anyhow::Result<Measured> {
        let address = self.process.address;
        let measured = drive(address, connections, Some(time), &mut self.orders).await?;
        self.orders.accepted = Vec::new();
        Ok(measured)
    }

    /// Ends it.
    pub(super) async fn stop(mut self) -> anyhow::Result<Vec<Round>> {
        self.process.stop().await?;
        Ok(self.turns)
    }
}
