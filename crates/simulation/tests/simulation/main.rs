//! The core in a simulated world: the real use cases, accepting side, worker loop and rule over
//! a broker and a store that a seed makes late, forgetful and broken, among
//! processes that crash, freeze and start again. A seed is a run, always the same.
//!
//! `TICKETS_SIMULATION_SEEDS` chooses the seeds: `4711`, or `0..1000000`.
//! A seed that breaks a promise prints the end of its trace; a seed that is run
//! alone prints all of it with `--nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

mod broker;
mod chance;
mod checks;
mod clients;
mod course;
mod mistake;
mod node;
mod plan;
mod processes;
mod run;
mod store;
mod told;
mod troubles;
mod truth;
mod world;

use std::env;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;
use tokio::runtime::Builder;

use crate::mistake::Mistake;
use crate::processes::RunningWorld;

const SEEDS: &str = "TICKETS_SIMULATION_SEEDS";
/// Enough to find what happens once in a thousand runs, in about a minute.
const USUAL_SEEDS: Range<u64> = 0..5_000;
/// A planted mistake is found within these.
const MISTAKE_SEEDS: Range<u64> = 0..10_000;
/// Lines of a trace that are shown of a run that broke a promise.
const TRACE_END: usize = 80;

/// How a run ended.
struct Ended {
    violation: Option<String>,
    /// Empty unless it was asked for.
    trace: String,
}

fn run(seed: u64, mistake: Option<Mistake>, traced: bool) -> Ended {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let world = runtime.block_on(async {
        let world = RunningWorld::new(seed, mistake, traced);
        tokio::select! {
            biased;
            () = world.broken.cancelled() => {}
            () = run::until_quiet(&world) => {}
        }
        world
    });
    world.end();
    let ended = Ended {
        violation: world.violation(),
        trace: world.trace(),
    };
    drop(runtime);
    ended
}

/// The first of the seeds that breaks a promise, with what it broke.
fn first_broken(seeds: Range<u64>, mistake: Option<Mistake>) -> Option<(u64, String)> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(seeds.start);
    let broken: Mutex<Option<(u64, String)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Some(violation) = run(seed, mistake, false).violation {
                        next.store(seeds.end, Ordering::Relaxed);
                        let mut broken = broken.lock();
                        if broken.as_ref().is_none_or(|(other, _)| seed < *other) {
                            *broken = Some((seed, violation));
                        }
                    }
                }
            });
        }
    });
    broken.into_inner()
}

fn seeds() -> Range<u64> {
    let Ok(text) = env::var(SEEDS) else {
        return USUAL_SEEDS;
    };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{SEEDS}: {text}"));
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&text)..number(&text) + 1,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "shown with --nocapture")]
fn keeps_every_promise_whatever_the_seed() {
    let seeds = seeds();
    if seeds.end - seeds.start == 1 {
        println!("{}", run(seeds.start, None, true).trace);
    }
    let Some((seed, violation)) = first_broken(seeds, None) else {
        return;
    };
    let again = run(seed, None, true);
    assert_eq!(again.violation.as_ref(), Some(&violation), "seed {seed}");
    let lines: Vec<_> = again.trace.lines().collect();
    let end = lines[lines.len().saturating_sub(TRACE_END)..].join("\n");
    panic!(
        "seed {seed}: {violation}\n\n{end}\n\n\
         This was the end of {} lines. For all of them, run the seed alone:\n\
         {SEEDS}={seed} cargo test -p simulation keeps -- --nocapture",
        lines.len()
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..100 {
        let first = run(seed, None, true);
        assert!(first.trace.lines().count() > 100, "{}", first.trace);
        assert!(first.trace == run(seed, None, true).trace, "seed {seed}");
    }
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture")]
fn finds(mistake: Mistake) {
    let (seed, violation) = first_broken(MISTAKE_SEEDS, Some(mistake))
        .unwrap_or_else(|| panic!("{mistake:?} is not found in {MISTAKE_SEEDS:?}"));
    println!("{mistake:?}, seed {seed}: {violation}");
}

macro_rules! finds {
    ($($name:ident: $mistake:ident;)*) => {
        $(#[test]
        fn $name() {
            finds(Mistake::$mistake);
        })*
    };
}

finds! {
    finds_a_lost_ack: AckLost;
    finds_an_ack_before_the_commit: AckBeforeCommit;
    finds_a_missing_replay_check: NoReplayCheck;
    finds_a_clock_read_before_the_lock: ClockReadBeforeTheLock;
    finds_a_new_id_after_a_lost_answer: NewIdAfterALostAnswer;
    finds_a_retry_out_of_sequence: RetriesOutOfSequence;
    finds_an_announcement_before_the_commit: AnnouncesBeforeCommit;
    finds_a_replay_that_is_not_announced: ReplaysNotAnnounced;
    finds_a_decision_without_a_lock: DecidesWithoutLock;
    finds_a_redelivery_at_the_end: RedeliversAtTheEnd;
    finds_an_unknown_outcome_said_not_queued: UnknownSaidNotQueued;
    finds_a_decision_that_releases_no_holds: DecidesWithoutReleasing;
    finds_a_decision_under_a_lost_claim: DecidesUnderAnyClaim;
    finds_a_claim_that_two_have_taken: TakesWithoutComparing;
    finds_a_claims_number_that_comes_back: NumbersComeBack;
}
