//! What processes spend while something is measured: a rate on a shared machine
//! says little without it.

use std::collections::BTreeMap;
use std::fmt;

use black_box::deployment::Deployment;
use black_box::load::ratio;
use black_box::usage::{Watched, cpu_micros};
use serde::{Deserialize, Serialize};

use crate::labels::CLIENT;

/// CPU time of some processes from now on.
#[derive(Debug)]
pub(crate) struct Meter {
    before: Vec<(Watched, u64)>,
}

/// This process.
pub(super) fn client() -> Watched {
    Watched {
        name: CLIENT,
        id: std::process::id(),
    }
}

impl Meter {
    /// Reads what they, the servers of a deployment and this process have spent so far.
    pub(super) fn on(
        deployment: &Deployment,
        watched: impl IntoIterator<Item = Watched>,
    ) -> anyhow::Result<Self> {
        Self::start(watched.into_iter().chain(deployment.local_servers.clone()))
    }

    /// Reads what they and this process have spent so far.
    pub(crate) fn start(watched: impl IntoIterator<Item = Watched>) -> anyhow::Result<Self> {
        let before = watched
            .into_iter()
            .chain([client()])
            .map(|watched| {
                let spent = cpu_micros(watched.id)?;
                Ok((watched, spent))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { before })
    }

    /// Counts all that a process spends which was started since.
    pub(crate) fn add(&mut self, started: Watched) {
        self.before.push((started, 0));
    }

    /// What each has spent since, in µs, by `count`.
    pub(crate) fn per(&self, count: u64) -> anyhow::Result<CpuMicros> {
        let count = ratio(count, 1.0);
        self.before
            .iter()
            .map(|(watched, before)| {
                let spent = cpu_micros(watched.id)?.saturating_sub(*before);
                Ok((watched.name.to_owned(), ratio(spent, count)))
            })
            .collect::<anyhow::Result<_>>()
            .map(CpuMicros)
    }
}

/// CPU time by process, in µs per order or whatever was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CpuMicros(BTreeMap<String, f64>);

impl CpuMicros {
    /// That of one process; 0 for one that was not watched.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// This, but with that of another reading for the processes of `names`.
    pub(crate) fn with(mut self, names: &[&str], other: &Self) -> Self {
        for name in names {
            self.0.insert((*name).to_owned(), other.of(name));
        }
        self
    }
}

/// `api 20.1, client 11.9`
impl fmt::Display for CpuMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, micros)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {micros:.1}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_always_counted() {
        let meter = Meter::start([]).unwrap();
        let per_order = meter.per(1).unwrap();
        assert!(per_order.of(CLIENT) >= 0.0);
        assert_eq!(per_order.0.len(), 1);
    }

    #[test]
    fn a_process_started_since_is_counted_from_its_start() {
        let mut meter = Meter { before: Vec::new() };
        let itself = client();
        meter.add(itself.clone());
        let spent = cpu_micros(itself.id).unwrap();
        assert!(meter.per(1).unwrap().of(CLIENT) >= ratio(spent, 1.0));
    }

    #[test]
    fn figures_are_listed_by_name() {
        let of = |figures: [(&str, f64); 2]| {
            CpuMicros(
                figures
                    .map(|(name, micros)| (name.to_owned(), micros))
                    .into(),
            )
        };
        let figures = of([("b", 2.0), ("a", 1.26)]);
        assert_eq!(figures.to_string(), "a 1.3, b 2.0");
        let other = of([("b", 3.0), ("c", 4.0)]);
        assert_eq!(figures.with(&["b"], &other).to_string(), "a 1.3, b 3.0");
    }
}
