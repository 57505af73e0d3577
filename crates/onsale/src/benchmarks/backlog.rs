//! How fast a backlog was decided, read from the tickets themselves: the ledger
//! stamps all orders of a batch with the instant at which it had the show's lock.

use anyhow::Context;
use black_box::database::now_micros;
use black_box::deployment::Deployment;
use black_box::load::ratio;
use black_box::program::Program;
use black_box::usage::Watched;
use serde::{Deserialize, Serialize};

use super::cpu::{CpuMicros, Meter};
use crate::labels::WORKER;

/// A backlog's decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// Orders.
    pub(crate) orders: u64,
    /// Transactions that decided them, as far as they differ in their instant.
    pub(crate) batches: u64,
    /// From the first batch's lock to the last batch's lock.
    pub(crate) seconds: f64,
    /// Orders of all batches but the last one, which was decided after the
    /// interval, by its length.
    pub(crate) per_second: f64,
}

impl Decided {
    /// Of the orders decided at each instant, in sequence; `None` of fewer than two.
    pub(crate) fn of(by_instant: &[(i64, u64)]) -> Option<Self> {
        let [(first, _), .., (last, decided_last)] = by_instant else {
            return None;
        };
        let micros = u64::try_from(last - first)
            .ok()
            .filter(|micros| *micros > 0)?;
        let orders: u64 = by_instant.iter().map(|(_, orders)| orders).sum();
        let seconds = ratio(micros, 1e6);
        Some(Self {
            orders,
            batches: by_instant.len() as u64,
            seconds,
            per_second: ratio(orders - decided_last, seconds),
        })
    }

    /// Of what was decided since an instant of [`now_micros`].
    pub(crate) async fn since(deployment: &Deployment, since_micros: i64) -> anyhow::Result<Self> {
        let by_instant = deployment.database.decided_at(since_micros).await?;
        Self::of(&by_instant).context("all orders were decided in one batch: raise their number")
    }
}

/// Starts a worker on a backlog of `orders`, the only ones that are undecided,
/// and waits until it is decided. `beside` are processes to be watched too.
pub(crate) async fn decide_backlog(
    deployment: &Deployment,
    orders: u64,
    beside: impl IntoIterator<Item = Watched>,
) -> anyhow::Result<(Decided, CpuMicros)> {
    decide_backlog_by(&deployment.program, deployment, orders, beside).await
}

/// The same by a worker with settings of its own.
pub(crate) async fn decide_backlog_by(
    program: &Program,
    deployment: &Deployment,
    orders: u64,
    beside: impl IntoIterator<Item = Watched>,
) -> anyhow::Result<(Decided, CpuMicros)> {
    let since = now_micros()?;
    let mut meter = Meter::on(deployment, beside)?;
    let before = deployment.database.changes().await?;
    let worker = program.serve("worker").await?;
    meter.add(worker.watched(WORKER));
    deployment.wait_for_changes(before + orders).await?;
    let cpu = meter.per(orders)?;
    worker.stop().await?;
    Ok((Decided::since(deployment, since).await?, cpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_batch_is_no_part_of_the_interval() {
        let decided = Decided::of(&[(0, 100), (1_000_000, 200), (2_000_000, 50)]).unwrap();
        assert_eq!((decided.orders, decided.batches), (350, 3));
        assert!((decided.seconds - 2.0).abs() < 1e-9);
        assert!((decided.per_second - 150.0).abs() < 1e-9);
    }

    #[test]
    fn one_batch_tells_no_rate() {
        assert_eq!(Decided::of(&[(5, 100)]), None);
        assert_eq!(Decided::of(&[]), None);
    }
}
