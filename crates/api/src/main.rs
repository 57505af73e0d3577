//! The binary `tickets`.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    api::cli::Cli::parse().run().await
}
