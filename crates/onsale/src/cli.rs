//! The command line.

use clap::{Parser, Subcommand};

use crate::benchmarks::memory::{self, BenchArgs};
use crate::benchmarks::services::{self, ServicesArgs};
use crate::benchmarks::soak::{self, SoakArgs};
use crate::run::{self, RunArgs};
use crate::tables::{self, TablesArgs};

/// Puts the service under load and checks what came of it.
#[derive(Debug, Parser)]
#[command(name = "onsale", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// In memory: accept throughput beside a bare handler, then the audit.
    Bench(BenchArgs),
    /// On RabbitMQ and MySQL: accepting, deciding, confirming, a flash sale and
    /// growth, each beside its baseline.
    BenchServices(Box<ServicesArgs>),
    /// A scenario: clients that arrive whatever is answered, reconciled to the last ticket.
    Run(Box<RunArgs>),
    /// Requests that store nothing: memory must not grow.
    Soak(SoakArgs),
    /// Writes docs/BENCHMARKS.md from the JSON of the above; `make bench` does all of it.
    Tables(TablesArgs),
}

/// Does what the command line says.
///
/// # Errors
/// What is wrong with a run, or with what it was to be run on.
pub async fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Bench(args) => memory::run(args).await,
        Command::BenchServices(args) => Box::pin(services::run(*args)).await,
        Command::Run(args) => Box::pin(run::run(*args)).await,
        Command::Soak(args) => Box::pin(soak::run(args)).await,
        Command::Tables(args) => tables::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Flags of all measurements share one command line.
    #[test]
    fn no_flag_is_there_twice() {
        Cli::command().debug_assert();
    }
}
