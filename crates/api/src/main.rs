//! The binary `tickets`.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Answers are made in one thread and dropped in another, which the system's
/// allocator serves slowly, and keeps.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    api::cli::Cli::parse().run().await
}
