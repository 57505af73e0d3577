//! The binary `onsale`.

use std::io::{self, Write};
use std::process::ExitCode;

/// One thread: the client shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match onsale::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _written = writeln!(io::stderr(), "onsale: {error:#}");
            ExitCode::FAILURE
        }
    }
}
