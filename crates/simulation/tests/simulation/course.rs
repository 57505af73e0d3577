//! The course of one run: its time, what goes wrong in it, its trace, and what it broke.

use std::fmt::{self, Write};

use domain::time::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chance::{Chance, Weather};
use crate::mistake::Mistake;
use crate::plan::Plan;

/// The first instant of every run: 2026-05-01T18:00:00Z.
const BEGINNING_MICROS: i64 = 1_777_658_400_000_000;

pub(crate) fn beginning() -> Timestamp {
    Timestamp::from_micros(BEGINNING_MICROS).unwrap()
}

/// What the seed says, and what came of it.
pub(crate) struct Course {
    pub(crate) plan: Plan,
    pub(crate) mistake: Option<Mistake>,
    chance: Mutex<Chance>,
    weather: Mutex<Weather>,
    /// Kept only for a run that is looked at: writing it takes longer than the run.
    trace: Option<Mutex<String>>,
    started: Instant,
    /// By then every step that was begun is done, also of who stands still.
    pub(crate) quiet_from: Mutex<Instant>,
    violation: Mutex<Option<String>>,
    /// Cancelled by the first violation.
    pub(crate) broken: CancellationToken,
}

impl Course {
    /// Must be called inside of a runtime whose time is paused.
    pub(crate) fn new(seed: u64, mistake: Option<Mistake>, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance, beginning());
        let weather = Weather::draw(&mut chance);
        let course = Self {
            plan,
            mistake,
            chance: Mutex::new(chance),
            weather: Mutex::new(weather.clone()),
            trace: traced.then(Mutex::default),
            started: Instant::now(),
            quiet_from: Mutex::new(Instant::now()),
            violation: Mutex::default(),
            broken: CancellationToken::new(),
        };
        course.note("world", format_args!("seed {seed}, {weather:?}"));
        course
    }

    /// The true time, which no process knows.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.started.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(BEGINNING_MICROS + passed).unwrap()
    }

    pub(crate) fn draw<T>(&self, from: impl FnOnce(&mut Chance) -> T) -> T {
        from(&mut self.chance.lock())
    }

    /// Whether something goes wrong now that does so at this rate.
    pub(crate) fn happens(&self, rate: impl FnOnce(&Weather) -> u64) -> bool {
        let rate = rate(&self.weather.lock());
        self.chance.lock().happens(rate)
    }

    pub(crate) fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn clear_up(&self) {
        *self.weather.lock() = Weather::default();
        self.note("world", format_args!("everything is healed"));
    }

    pub(crate) fn is_quiet_from(&self, instant: Instant) {
        let quiet_from = &mut *self.quiet_from.lock();
        *quiet_from = instant.max(*quiet_from);
    }

    pub(crate) fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        if let Some(trace) = &self.trace {
            let micros = self.started.elapsed().as_micros();
            let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
            writeln!(trace.lock(), "{seconds:>3}.{rest:06} {who:<10} {what}").unwrap();
        }
    }

    /// A promise is broken. The first one ends the run.
    pub(crate) fn violated(&self, what: fmt::Arguments<'_>) {
        self.note("VIOLATION", what);
        let mut violation = self.violation.lock();
        if violation.is_none() {
            *violation = Some(what.to_string());
            self.broken.cancel();
        }
    }

    pub(crate) fn check(&self, holds: bool, what: fmt::Arguments<'_>) {
        if !holds {
            self.violated(what);
        }
    }

    pub(crate) fn violation(&self) -> Option<String> {
        self.violation.lock().clone()
    }

    pub(crate) fn trace(&self) -> String {
        self.trace
            .as_ref()
            .map(|trace| trace.lock().clone())
            .unwrap_or_default()
    }
}
