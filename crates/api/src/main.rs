//! The binary `tickets`.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Orders are made in one thread and dropped in another, hundreds at a time,
/// which the system's allocator serves slowly (ADR 12).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    api::cli::Cli::parse().run().await
}
