//! What figures stand on: without it nobody can tell what they are figures of.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// When, from which sources, how and on what something was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// The time in UTC.
    pub(crate) measured_at: String,
    /// The commit of the folder in which it ran; `-dirty` if anything but
    /// documents was changed since.
    pub(crate) commit: String,
    /// The command line.
    pub(crate) command: String,
    /// What ran, by name; the store with what decides how durable it is.
    pub(crate) versions: BTreeMap<String, String>,
    /// What it ran on.
    pub(crate) machine: Machine,
}

impl Provenance {
    /// Of what this process measures now, on services of these versions.
    pub(crate) fn of(mut versions: BTreeMap<String, String>) -> Self {
        let client = format!("onsale {}", env!("CARGO_PKG_VERSION"));
        versions.insert("client".to_owned(), client);
        versions.insert("compiler".to_owned(), env!("ONSALE_RUSTC").to_owned());
        Self {
            measured_at: Timestamp::now().strftime("%FT%TZ").to_string(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            command: command(env::args()),
            versions,
            machine: Machine::here(),
        }
    }
}

/// The program by its name, wherever it is.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = arguments.collect();
    if let Some(program) = words.first_mut() {
        let name = Path::new(program).file_name().unwrap_or_default();
        *program = name.to_string_lossy().into_owned();
    }
    words.join(" ")
}

/// `None` where git knows nothing of this folder.
fn commit() -> Option<String> {
    let head = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()?;
    let commit = String::from_utf8(head.stdout).ok()?;
    // Tables that were written meanwhile are no change of what is measured.
    let changed = Command::new("git")
        .args(["diff", "--quiet", "HEAD", "--", ":/"])
        .args([":(top,exclude)docs", ":(top,exclude)*.md"])
        // Where there is no repository it explains itself at length.
        .output()
        .ok()?
        .status;
    let commit =
        Some(commit.trim()).filter(|commit| head.status.success() && !commit.is_empty())?;
    let dirty = if changed.success() { "" } else { "-dirty" };
    Some(format!("{commit}{dirty}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_no_folder_of_the_program() {
        let words = ["/some/where/onsale", "bench", "--rounds", "2"].map(str::to_owned);
        assert_eq!(command(words.into_iter()), "onsale bench --rounds 2");
        assert_eq!(command(std::iter::empty()), "");
    }

    #[test]
    fn a_measurement_names_its_compiler_and_day() {
        let provenance = Provenance::of(BTreeMap::new());
        assert!(provenance.versions["compiler"].starts_with("rustc 1."));
        let at: Timestamp = provenance.measured_at.parse().unwrap();
        assert!(at <= Timestamp::now());
    }
}
