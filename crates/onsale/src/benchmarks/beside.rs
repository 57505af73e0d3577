//! What answers orders in turns of one run: the service, and programs that it is
//! measured beside.

use std::iter::Cycle;
use std::ops::Range;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use black_box::endpoint::Endpoint;
use black_box::load::{Measured, drive};
use black_box::process::{Process, sibling};
use black_box::program::Service;
use black_box::usage::Watched;
use test_servers::ports;

use super::cpu::Meter;
use super::orders::Orders;
use super::rounds::Round;

/// The ceiling: a handler with the service's JSON in and out, and nothing behind it.
pub(super) const BARE: &str = "bare";
/// Before the first turn.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

/// Starts a baseline.
pub(super) async fn start(way: &str, set_up: impl FnOnce(&mut Command)) -> anyhow::Result<Process> {
    let port = ports::free()?;
    let mut command = Command::new(sibling("baseline")?);
    command.args(["--port", &port.to_string(), way]);
    set_up(&mut command);
    Process::start(command, port, "/health").await
}

/// How each turn goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) connections: usize,
    pub(super) time: Duration,
    /// What they spend is counted, too.
    pub(super) servers: &'a [Watched],
}

/// A process with its turns, in which users order one after the other again and again.
pub(super) struct Side {
    watched: Watched,
    endpoint: Endpoint,
    /// Of every answer.
    status: u16,
    /// Whether the ids of accepted orders are of interest.
    is_proven: bool,
    pub(super) orders: Orders<Cycle<Range<u32>>>,
    pub(super) turns: Vec<Round>,
    /// In all turns.
    pub(super) answers: u64,
}

impl Side {
    /// The service, which answers orders with this status, by the name that figures shall have.
    pub(super) fn service(name: &'static str, service: &Service, users: u32, status: u16) -> Self {
        Self::new(
            service.watched(name),
            service.target.endpoint.clone(),
            users,
            status,
        )
    }

    fn new(watched: Watched, endpoint: Endpoint, users: u32, status: u16) -> Self {
        Self {
            watched,
            endpoint,
            status,
            is_proven: true,
            orders: Orders::new((0..users).cycle()),
            turns: Vec::new(),
            answers: 0,
        }
    }

    /// A program that accepts every order and keeps nothing.
    pub(super) fn baseline(name: &'static str, process: &Process, users: u32) -> Self {
        Self {
            is_proven: false,
            ..Self::new(process.watched(name), process.address.into(), users, 202)
        }
    }

    pub(super) async fn warm_up(&mut self, connections: usize) -> anyhow::Result<()> {
        self.drive(connections, Some(WARM_UP)).await?;
        Ok(())
    }

    /// Sends all orders that there are.
    pub(super) async fn run_out(&mut self, connections: usize) -> anyhow::Result<()> {
        let measured = self.drive(connections, None).await?;
        measured.expect_only(self.status)
    }

    pub(super) async fn turn(&mut self, load: &Load<'_>) -> anyhow::Result<()> {
        let watched = load.servers.iter().chain([&self.watched]);
        let meter = Meter::start(watched.cloned())?;
        let measured = self.drive(load.connections, Some(load.time)).await?;
        measured
            .expect_only(self.status)
            .context(self.watched.name)?;
        let answers = measured.count(self.status);
        let round = Round::answered(self.status, &measured, meter.per(answers)?);
        self.turns.push(round);
        self.answers += answers;
        Ok(())
    }

    async fn drive(
        &mut self,
        connections: usize,
        time: Option<Duration>,
    ) -> anyhow::Result<Measured> {
        let measured = drive(self.endpoint.clone(), connections, time, &mut self.orders).await?;
        if !self.is_proven {
            self.orders.accepted = Vec::new();
        }
        Ok(measured)
    }
}
