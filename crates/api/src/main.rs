//! The binary `tickets`.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;

/// Orders are made in one thread and dropped in another, hundreds at a time,
/// which the system's allocator serves slowly (ADR 12).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = api::cli::Cli::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    // A file or a name that is still looked up, on a mount or by a server that hangs, has no say in
    // when the process ends.
    runtime.shutdown_background();
    code
}
