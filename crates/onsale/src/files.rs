//! Files that a run leaves.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// Writes a text.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Writes figures as JSON, if they are wanted.
pub(crate) fn write_json(path: Option<&Path>, figures: &impl Serialize) -> anyhow::Result<()> {
    match path {
        Some(path) => write(path, &serde_json::to_string_pretty(figures)?),
        None => Ok(()),
    }
}
