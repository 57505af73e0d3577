//! The seeds of each target, and what comes of them by changing some bytes at random, for a few
//! seconds each: `FUZZ_SECONDS`, 3 unless set. `make fuzz` goes on from there for longer, and sees
//! which code an input reaches.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::print_stdout, reason = "says how many inputs were tried")]

use std::path::Path;
use std::time::{Duration, Instant};

use fuzz_targets::{
    connections, documents, key_sets, limits, receipts, requests, scenarios, settings, tokens,
    values, websockets, wire,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// Inputs between two looks at the clock.
const AT_ONCE: u32 = 16;

/// One change of an input.
#[derive(Debug, Clone)]
enum Change {
    /// A byte is another one.
    Replace(Index, u8),
    /// Bytes are put in.
    Insert(Index, Vec<u8>),
    /// Bytes are taken out, or are there twice.
    Remove(Index, Index),
    Repeat(Index, Index),
}

impl Change {
    fn any(words: Vec<Vec<u8>>) -> impl Strategy<Value = Self> {
        let place = any::<Index>;
        prop_oneof![
            (place(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            (place(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (place(), select(words)).prop_map(|(at, word)| Self::Insert(at, word)),
            (place(), place()).prop_map(|(from, to)| Self::Remove(from, to)),
            (place(), place()).prop_map(|(from, to)| Self::Repeat(from, to)),
        ]
    }

    fn make(&self, input: &mut Vec<u8>) {
        let part = |from: &Index, to: &Index| {
            let (from, to) = (from.index(input.len() + 1), to.index(input.len() + 1));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Replace(at, byte) => {
                if !input.is_empty() {
                    let at = at.index(input.len());
                    input[at] = *byte;
                }
            }
            Self::Insert(at, bytes) => {
                let at = at.index(input.len() + 1);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(from, to) => drop(input.drain(part(from, to))),
            Self::Repeat(from, to) => {
                let part = part(from, to);
                let again = input[part.clone()].to_vec();
                input.splice(part.end..part.end, again);
            }
        }
    }
}

/// What the files of a folder have in them.
fn seeds(of: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let files = std::fs::read_dir(folder.join(of)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn try_changed(target: &str, run: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in &seeds {
        run(seed);
    }
    // Lines of seeds are the words of their language.
    let words = seeds
        .iter()
        .flat_map(|seed| seed.split(|byte| *byte == b'\n'));
    let words = words.map(<[u8]>::to_vec).collect();
    let changed =
        (select(seeds), vec(Change::any(words), 1..6)).prop_map(|(mut input, changes)| {
            for change in changes {
                change.make(&mut input);
            }
            input
        });
    let seconds = std::env::var("FUZZ_SECONDS").map_or(3, |seconds| seconds.parse().unwrap());
    let (started, time) = (Instant::now(), Duration::from_secs(seconds));
    let mut inputs = 0;
    while started.elapsed() < time {
        let config = Config {
            cases: AT_ONCE,
            failure_persistence: None,
            ..Config::default()
        };
        let tried = TestRunner::new(config).run(&changed, |input| {
            run(&input);
            Ok(())
        });
        if let Err(failure) = tried {
            panic!("{target}: {failure}");
        }
        inputs += AT_ONCE;
    }
    println!("{target}: {inputs} inputs");
}

macro_rules! tests {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            try_changed(stringify!($target), $target::run);
        }
    )*};
}

tests! {
    connections documents key_sets limits receipts requests scenarios settings tokens values
    websockets wire
}

/// A target whose seeds nobody tries.
#[test]
fn every_folder_of_seeds_is_a_targets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let folders = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<_> = folders.map(|folder| folder.unwrap().file_name()).collect();
    folders.sort();
    let tests = include_str!("changed_seeds.rs");
    let (_, listed) = tests.split_once("\ntests! {\n").unwrap();
    let (listed, _) = listed.split_once('}').unwrap();
    assert_eq!(folders, listed.split_whitespace().collect::<Vec<_>>());
}
