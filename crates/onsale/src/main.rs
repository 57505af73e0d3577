//! The binary `onsale`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use onsale::bench::{self, BenchArgs};
use onsale::run::{self, RunArgs};
use onsale::services::{self, ServicesArgs};
use onsale::soak::{self, SoakArgs};
use onsale::tables::{self, TablesArgs};

/// Puts the service under load and checks what came of it.
#[derive(Debug, Parser)]
#[command(version)]
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

/// One thread: the client shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Bench(args) => bench::run(args).await,
        Command::BenchServices(args) => Box::pin(services::run(*args)).await,
        Command::Run(args) => Box::pin(run::run(*args)).await,
        Command::Soak(args) => soak::run(args).await,
        Command::Tables(args) => tables::run(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _written = writeln!(io::stderr(), "onsale: {error:#}");
            ExitCode::FAILURE
        }
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
