//! One run's world: its time, its trace, its processes, and what all of them share.

use std::fmt::{self, Write};
use std::sync::Arc;

use domain::time::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::chance::{Chance, Weather};
use crate::mistake::Mistake;
use crate::plan::Plan;
use crate::processes::Slot;
use crate::store::Tables;
use crate::told::Told;

/// The first instant of every run: 2026-05-01T18:00:00Z.
const BEGINNING_MICROS: i64 = 1_777_658_400_000_000;

/// What all processes and clients of a run share.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) mistake: Option<Mistake>,
    chance: Mutex<Chance>,
    weather: Mutex<Weather>,
    /// Kept only for a run that is looked at: writing it takes longer than the run.
    trace: Option<Mutex<String>>,
    started: Instant,
    pub(crate) broker: Mutex<Broker>,
    pub(crate) tables: Mutex<Tables>,
    pub(crate) told: Mutex<Told>,
    pub(crate) slots: Mutex<Vec<Slot>>,
    /// By then every step that was begun is done, also of who stands still.
    pub(crate) quiet_from: Mutex<Instant>,
    violation: Mutex<Option<String>>,
    /// Cancelled by the first violation.
    pub(crate) broken: CancellationToken,
}

impl World {
    /// Must be called inside of a runtime whose time is paused.
    pub(crate) fn new(seed: u64, mistake: Option<Mistake>, traced: bool) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let start = Timestamp::from_micros(BEGINNING_MICROS).unwrap();
        let plan = Plan::draw(&mut chance, start);
        let weather = Weather::draw(&mut chance);
        let world = Self {
            broker: Mutex::new(Broker::new(plan.lanes)),
            tables: Mutex::new(Tables::new(&plan, start)),
            told: Mutex::default(),
            slots: Mutex::new(Slot::all(&plan)),
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
        world.note("world", format_args!("seed {seed}, {weather:?}"));
        Arc::new(world)
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
