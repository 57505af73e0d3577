//! Tells the program which compiler made it: figures name it.

use std::env;
use std::io::{self, Write};
use std::process::Command;

fn main() -> io::Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version);
    // Cargo runs this again when the compiler changes.
    writeln!(
        io::stdout(),
        "cargo::rerun-if-changed=build.rs\ncargo::rustc-env=ONSALE_RUSTC={}",
        version.trim()
    )
}
