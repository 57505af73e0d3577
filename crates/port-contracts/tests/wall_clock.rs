//! No test fails because the machine is busy: how long something took is printed by
//! `port_contracts::measured`, and judged by `make bench` and `make chaos`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The one limit that an assertion may have. Only what hangs reaches it.
const ALLOWED: &str = "DEADLINE";
/// Where it is.
const HOME: &str = "port-contracts/src/support.rs";
/// What measures a time, and what it is often called.
const MEASURED: &str = "elapsed()";
const TOOK: &str = "took";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The assertions that a time stays below a limit, with their lines.
fn limits(source: &str) -> Vec<(usize, &str)> {
    let times = times(source);
    let starts = source.match_indices("assert!(");
    let assertions = starts.map(|(at, _)| {
        let line = source[..at].matches('\n').count() + 1;
        (line, statement_at(source, at))
    });
    assertions
        .filter(|(_, statement)| has_limit(statement, &times))
        .collect()
}

fn statement_at(source: &str, at: usize) -> &str {
    source[at..].split(';').next().unwrap_or_default()
}

/// What stands for a measured time: `let took = started.elapsed()` names one.
fn times(source: &str) -> Vec<&str> {
    let starts = source.match_indices("let ");
    let named = starts.filter_map(|(at, found)| {
        let (name, value) = statement_at(source, at + found.len()).split_once('=')?;
        value.ends_with(MEASURED).then(|| name.trim())
    });
    named.chain([MEASURED, TOOK]).collect()
}

fn has_limit(statement: &str, times: &[&str]) -> bool {
    let text: String = statement.split_whitespace().collect();
    let is_named = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == '.';
    times.iter().any(|time| {
        text.match_indices(time).any(|(at, _)| {
            let limit = text[at + time.len()..].strip_prefix('<');
            let is_below = limit.is_some_and(|limit| {
                let rest = limit.trim_start_matches('=').strip_prefix(ALLOWED);
                // `DEADLINE / 2` is another limit.
                rest.is_none_or(|rest| !rest.starts_with([',', ')']))
            });
            // `limit > started.elapsed()`
            let before = text[..at].trim_end_matches(is_named);
            is_below || before.trim_end_matches('=').ends_with('>')
        })
    })
}

#[test]
fn no_assertion_limits_how_long_something_takes() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    sources(&crates, &mut files);
    assert!(files.len() > 100, "only {} files", files.len());
    let mut faults = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&crates).unwrap().display().to_string();
        // Its time is simulated.
        if source.contains("start_paused") {
            continue;
        }
        for (line, statement) in limits(&source) {
            faults.push(format!("{name}:{line}: {statement}"));
        }
        let is_test = name.contains("/tests/") || name.starts_with("port-contracts/");
        if is_test && name != HOME && source.contains(&format!("const {ALLOWED}:")) {
            faults.push(format!("{name}: use port_contracts::{ALLOWED}"));
        }
    }
    assert!(
        faults.is_empty(),
        "a busy machine fails these; print the time by port_contracts::measured:\n{}",
        faults.join("\n")
    );
}

#[test]
fn limits_are_found_and_waits_are_not() {
    let is_found = |condition: &str| {
        // In parts, so that this file has none itself.
        let source = format!(
            "let shared = started.elapsed();\nassert{}({condition}, \"late\");\ny;",
            '!'
        );
        limits(&source).len() == 1
    };
    for limit in [
        "started.elapsed() < LIMIT",
        "started\n    .elapsed()\n    <= Duration::from_secs(2)",
        "took < DEADLINE / 2",
        "took >= distance && took < distance * 5",
        "LIMIT > started.elapsed()",
        "shared < LIMIT",
    ] {
        assert!(is_found(limit), "{limit}");
    }
    for other in [
        "started.elapsed() < DEADLINE",
        "started.elapsed() >= LATENCY",
        "took > LIMIT",
        "count < 5",
    ] {
        assert!(!is_found(other), "{other}");
    }
}
