//! What a run ran on.

use std::fs;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// A machine, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Memory in MiB.
    pub(crate) memory_mib: u64,
    /// The kernel.
    pub(crate) system: String,
}

impl Machine {
    /// This one; what cannot be read is `unknown` or 0.
    pub(crate) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let memory = read("/proc/meminfo");
        let release = read("/proc/sys/kernel/osrelease");
        let kernel = read("/proc/sys/kernel/ostype");
        let memory_kib: u64 = value(&memory, "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        Self {
            processor: value(&cpu, "model name").unwrap_or("unknown").to_owned(),
            cores: available_parallelism().map_or(0, usize::from),
            memory_mib: memory_kib / 1_024,
            system: format!("{} {}", kernel.trim(), release.trim()),
        }
    }
}

/// The value of the first line `name : value`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nMemTotal:  10 kB\n";
        assert_eq!(value(text, "model name"), Some("Some CPU @ 2.00GHz"));
        assert_eq!(value(text, "MemTotal"), Some("10 kB"));
        assert_eq!(value(text, "model"), None);
    }
}
