//! The command line.

use clap::{Parser, Subcommand};

use crate::benchmarks::memory::{self, BenchArgs};
use crate::benchmarks::services::{self, ServicesArgs};
use crate::benchmarks::soak::{self, SoakArgs};
use crate::run::{self, RunArgs};
use crate::tables::{self, TablesArgs};

/// Puts the service under load and checks the result to the last ticket.
#[derive(Debug, Parser)]
#[command(name = "onsale", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the service in memory: accepted orders per second beside a bare handler.
    Bench(BenchArgs),
    /// Measures the service on RabbitMQ and MySQL, each benchmark beside its baseline.
    BenchServices(Box<ServicesArgs>),
    /// Runs a scenario and reconciles what its clients heard with the store, to the last ticket.
    ///
    /// Clients arrive at the scenario's rate, however slowly the service answers.
    Run(Box<RunArgs>),
    /// Sends requests that store nothing, and fails if the memory of the service grows.
    Soak(SoakArgs),
    /// Writes the tables of docs/BENCHMARKS.md from the JSON of the other commands.
    ///
    /// `make bench` runs them all, then this.
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
