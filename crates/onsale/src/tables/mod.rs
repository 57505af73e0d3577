//! `docs/BENCHMARKS.md` from the JSON of measurements: its tables, each with what
//! it stands on, and its pictures. Its prose is written by hand.
//!
//! The JSON is read into the types that wrote it. Fields that these do not have
//! are passed over: a result that can tell more is no fault.

mod footing;
mod markers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use strum::IntoStaticStr;

use self::footing::footing;
use self::markers::replaced;
use crate::benchmarks::{memory, services};
use crate::files;
use crate::plot::{Plot, picture};
use crate::provenance::Provenance;
use crate::report::result::Report;
use crate::report::{plots, tables};

/// A file of results, `NAME.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Source {
    /// The tables of `onsale bench`.
    Memory,
    /// The tables of `onsale bench-services`.
    Services,
    /// The table of scenarios/flash-sale.toml.
    FlashSale,
    /// The table of scenarios/flash-sale-open-gate.toml.
    FlashSaleOpenGate,
    /// The table of scenarios/stadium.toml; skipped if it was not run.
    Stadium,
    /// The table of scenarios/chaos.toml; skipped if it was not run.
    Chaos,
    /// The table of scenarios/chaos-cluster.toml; skipped if it was not run.
    ChaosCluster,
}

/// What is read and written.
#[derive(Debug, Clone, Args)]
pub(crate) struct TablesArgs {
    /// The directory of the results.
    #[arg(long, default_value = "target/bench")]
    pub(crate) from: PathBuf,
    /// The document whose tables are replaced; plots are written beside it.
    #[arg(long, default_value = "docs/BENCHMARKS.md")]
    pub(crate) into: PathBuf,
    /// Writes only the tables of these results [default: all that were run].
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Source>,
}

/// Everything that results come to.
#[derive(Debug, Default)]
struct Written {
    /// By marker.
    tables: BTreeMap<&'static str, String>,
    /// By file.
    pictures: BTreeMap<&'static str, String>,
    /// What was required and not reached, and what could not be read, in words.
    missed: Vec<String>,
}

impl Source {
    /// Its file.
    fn name(self) -> &'static str {
        self.into()
    }

    /// The places of its tables; that of a scenario is called like its file.
    fn markers(self) -> Vec<&'static str> {
        match self {
            Self::Memory => vec![memory::MARKER],
            Self::Services => services::Report::markers().collect(),
            _ => vec![self.name()],
        }
    }

    /// The places of all tables.
    fn all_markers() -> Vec<&'static str> {
        let sources = Self::value_variants().iter();
        sources.flat_map(|source| source.markers()).collect()
    }

    const fn may_be_missing(self) -> bool {
        matches!(self, Self::Stadium | Self::Chaos | Self::ChaosCluster)
    }
}

/// Reads results and writes tables and pictures. Those of one result are written
/// whatever is wrong with another.
pub(crate) fn run(args: TablesArgs) -> anyhow::Result<()> {
    let document = fs::read_to_string(&args.into)
        .with_context(|| format!("reading {}", args.into.display()))?;
    let mut written = Written::default();
    for source in Source::value_variants() {
        let path = args.from.join(source.name()).with_extension("json");
        let is_asked_for = if args.only.is_empty() {
            !source.may_be_missing() || path.exists()
        } else {
            args.only.contains(source)
        };
        if is_asked_for && let Err(error) = written.add(*source, &path) {
            written.missed.push(format!("{error:#}"));
        }
    }
    let new = replaced(&document, &written.tables, &Source::all_markers())
        .with_context(|| args.into.display().to_string())?;
    files::write(&args.into, &new)?;
    for (name, picture) in &written.pictures {
        files::write(&args.into.with_file_name(name), picture)?;
    }
    let names: Vec<_> = written.tables.keys().copied().collect();
    writeln!(
        io::stdout(),
        "{}: wrote {}",
        args.into.display(),
        names.join(", ")
    )?;
    if !written.missed.is_empty() {
        bail!("{}", written.missed.join("\n"));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("reading {}, which `make bench` writes", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

impl Written {
    fn add(&mut self, source: Source, path: &Path) -> anyhow::Result<()> {
        match source {
            Source::Memory => {
                let report: memory::Report = read(path)?;
                self.add_table(memory::MARKER, report.table(), &report.setting);
                self.add_missed(source, report.missed);
            }
            Source::Services => {
                let report: services::Report = read(path)?;
                for (marker, table) in report.tables() {
                    self.add_table(marker, table, &report.setting);
                }
                self.add_picture("benchmarks.svg", &report.plots());
                self.add_missed(source, report.missed);
            }
            _ => {
                let report: Report = read(path)?;
                let provenance = &report.setting.provenance;
                self.add_table(source.name(), tables::of_document(&report), provenance);
                if source == Source::FlashSale {
                    self.add_picture("benchmarks-flash-sale.svg", &plots::sale(&report));
                }
                self.add_missed(source, report.failures());
            }
        }
        Ok(())
    }

    fn add_table(&mut self, marker: &'static str, table: impl Display, provenance: &Provenance) {
        let footing = footing(provenance);
        self.tables.insert(marker, format!("{table}\n{footing}"));
    }

    fn add_picture(&mut self, file: &'static str, plots: &[Plot]) {
        if !plots.is_empty() {
            self.pictures.insert(file, picture(plots));
        }
    }

    fn add_missed(&mut self, source: Source, missed: Vec<String>) {
        let of_source = |missed| format!("{}: {missed}", source.name());
        self.missed.extend(missed.into_iter().map(of_source));
    }
}
