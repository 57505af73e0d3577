//! What processes use, as the system says.

use std::fs;

use anyhow::Context;

/// Linux counts CPU time of processes in hundredths of a second (`sysconf(_SC_CLK_TCK)`).
const MICROS_PER_TICK: u64 = 10_000;

/// A process whose CPU time and memory are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The name of the process in reports.
    pub name: &'static str,
    /// The system's number of it.
    pub id: u32,
}

/// Resident memory of a process now, in KiB.
pub fn resident_kib(id: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{id}/status");
    fs::read_to_string(&path)?
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .with_context(|| format!("no VmRSS in {path}"))
}

/// CPU time of all threads of a process, user and system, in µs.
pub fn cpu_micros(id: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path)?;
    cpu_ticks(&stat)
        .map(|ticks| ticks * MICROS_PER_TICK)
        .with_context(|| format!("{path} does not have the format of proc(5)"))
}

/// `utime + stime`, the fields 14 and 15 of proc(5)'s stat. The second field,
/// the name, may contain spaces and ends with the last bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 1 0 9 0 0";
        assert_eq!(cpu_ticks(stat), Some(175));
    }
}
