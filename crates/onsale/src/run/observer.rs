//! What is looked at while a sale runs: memory of every process, seats, how many
//! orders are decided, and a line that tells how it goes.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use black_box::store::Store;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::buyers::Buyers;
use super::usage::{Watch, Watching};
use crate::outcome::{SeatsSample, Usage};

/// Between two looks at memory.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines.
const LINE: Duration = Duration::from_secs(1);
/// Between two questions to the store, at least and at most.
const QUESTION: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));
/// Questions to the store by now, about: twice as many as a plot has intervals.
const QUESTIONS: u32 = 300;
/// Questions to the store may take this part of the time, at most.
const STORE_SHARE: u32 = 20;
/// A question to the store is given up after so long.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// Clears the rest of a terminal's line.
const CLEAR: &str = "\x1b[K";

/// Looks on.
pub(crate) struct Observer {
    buyers: Rc<Buyers>,
    watching: RefCell<Vec<Watching>>,
    seats: RefCell<Vec<SeatsSample>>,
    decided: Cell<Option<u64>>,
    /// How long the question before the sale took.
    cost: Cell<Duration>,
    started: Cell<Instant>,
    lines: Lines,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// One that is written again and again.
    Terminal,
    /// One after the other.
    Log,
    None,
}

impl Observer {
    /// Of the clients and some processes. Lines are written to a terminal, or
    /// wherever stderr leads if they are asked for.
    pub(crate) fn new(buyers: Rc<Buyers>, watched: Vec<Watch>, asked: bool) -> Self {
        let lines = match (io::stderr().is_terminal(), asked) {
            (true, _) => Lines::Terminal,
            (false, true) => Lines::Log,
            (false, false) => Lines::None,
        };
        let watching = watched.into_iter().map(Watching::of);
        Self {
            buyers,
            watching: RefCell::new(watching.collect()),
            seats: RefCell::default(),
            decided: Cell::new(None),
            cost: Cell::new(Duration::ZERO),
            started: Cell::new(Instant::now()),
            lines,
        }
    }

    /// Sees how the shows stand before the sale.
    pub(crate) async fn see_before(&self, store: &Store) -> anyhow::Result<()> {
        let asked = Instant::now();
        self.see_seats(store, 0)
            .await
            .context("how the shows stand before the sale")?;
        self.cost.set(asked.elapsed());
        Ok(())
    }

    /// Sees how the shows stand when the sale is over.
    pub(crate) async fn see_after(&self, store: &Store) {
        // A store that does not answer now is the audit's to tell.
        let _in_time = timeout(STORE_PATIENCE, self.ask(store)).await;
    }

    /// Counts from the start of the sale, which is to come.
    pub(crate) fn start(&self, start: Instant) {
        self.started.set(start);
        for watching in self.watching.borrow_mut().iter_mut() {
            watching.start();
        }
        self.look();
    }

    /// Looks on for ever, once it has been told the start.
    pub(crate) async fn watch(&self, store: &Store) {
        let looks = every(LOOK, || self.look());
        let lines = every(LINE, || self.line());
        // One that is down must not keep it from looking.
        let question = async || {
            let _in_time = timeout(STORE_PATIENCE, self.ask(store)).await;
        };
        let pace = Pace {
            is_replayed: store.is_replayed(),
            cost: self.cost.get(),
        };
        let questions = ask_on(self.started.get(), pace, question);
        tokio::join!(looks, lines, questions);
    }

    fn look(&self) {
        let now = self.now();
        for watching in self.watching.borrow_mut().iter_mut() {
            watching.look(now);
        }
    }

    /// µs from the start, below zero before it.
    fn now(&self) -> i64 {
        let started = self.started.get();
        let now = Instant::now();
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or_default();
        if now < started {
            -micros(started - now)
        } else {
            micros(now - started)
        }
    }

    async fn see_seats(&self, store: &Store, at: u64) -> anyhow::Result<()> {
        let clients = &self.buyers.clients;
        let seats = store.seats(&clients.target, &clients.names).await?;
        let sample = SeatsSample { at, seats };
        let mut seen = self.seats.borrow_mut();
        // Answers may overtake each other at the end.
        let place = seen.partition_point(|earlier| earlier.at <= at);
        seen.insert(place, sample);
        Ok(())
    }

    async fn ask(&self, store: &Store) {
        let Ok(at) = u64::try_from(self.now()) else {
            return;
        };
        // One that fails is asked again.
        let _seen = self.see_seats(store, at).await;
        if let Ok(decided) = store.decided().await {
            self.decided.set(decided);
        }
    }

    fn line(&self) {
        if let Ok(now) = u64::try_from(self.now()) {
            self.write(&self.text(now), "");
        }
    }

    /// A line that stays, where lines are written.
    pub(crate) fn tell(&self, line: &str) {
        self.write(line, "\n");
    }

    fn write(&self, line: &str, end: &str) {
        let mut err = io::stderr();
        // A line that nobody reads is no fault.
        let _written = match self.lines {
            Lines::Terminal => write!(err, "\r{line}{CLEAR}{end}"),
            Lines::Log => writeln!(err, "{line}"),
            Lines::None => Ok(()),
        };
    }

    fn text(&self, now: u64) -> String {
        let clients = &self.buyers.clients;
        let tally = clients.tally.borrow();
        let orders = clients.plan.len();
        let due = clients.plan.partition_point(|order| order.at_micros <= now);
        let seconds = Duration::from_micros(now).as_secs();
        let decided = self.decided.get().map_or_else(String::new, |decided| {
            let backlog = tally.accepted.saturating_sub(decided);
            format!(", decided {decided}, backlog {backlog}")
        });
        let seats = self
            .seats
            .borrow()
            .last()
            .map_or_else(String::new, |sample| {
                let seats = sample.seats;
                format!(
                    ", seats {} left {} held {} sold",
                    seats.available, seats.held, seats.sold
                )
            });
        format!(
            "{seconds:>4} s  orders {due}/{orders}, accepted {}{decided}, heard {}{seats}; \
             {} connections, {} in flight",
            tally.accepted,
            tally.heard,
            self.buyers.connections(),
            self.buyers.unfinished()
        )
    }

    /// Ends the line, if there is one.
    pub(crate) fn end_line(&self) {
        if self.lines == Lines::Terminal {
            let _written = writeln!(io::stderr());
        }
    }

    /// What was seen of the processes up to now.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        self.look();
        let watching = self.watching.borrow();
        watching.iter().map(Watching::usage).collect()
    }

    /// Seats that were seen.
    pub(crate) fn seats(&self) -> Vec<SeatsSample> {
        self.seats.borrow().clone()
    }
}

/// Does something at equal intervals, for ever.
async fn every(pause: Duration, act: impl Fn()) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        act();
    }
}

/// Asks from the start on, for ever.
async fn ask_on(start: Instant, pace: Pace, question: impl AsyncFn()) {
    let mut next = start;
    loop {
        sleep_until(next).await;
        let asked = Instant::now();
        question().await;
        next = asked + pace.pause(asked.saturating_duration_since(start), asked.elapsed());
    }
}

/// How often the store is asked.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Its history is read afterwards: only lines need answers.
    is_replayed: bool,
    /// How long a question takes while nothing else happens.
    cost: Duration,
}

impl Pace {
    /// From a question to the next: short while the sale is young, because it may
    /// be over soon.
    fn pause(self, since_start: Duration, took: Duration) -> Duration {
        let (least, most) = QUESTION;
        if self.is_replayed {
            return most.max(took * STORE_SHARE);
        }
        // In a rush answers come late because others wait too, which is when seats
        // are sold. That costs nothing, unlike the question itself.
        let pause = (since_start / QUESTIONS).clamp(least, most);
        pause.max(self.cost.min(took) * STORE_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// Questions that cost some time when nothing else happens, and take some.
    async fn questions_within(sale: Duration, pace: Pace, takes: Duration) -> usize {
        let start = Instant::now() + Duration::from_millis(500);
        let asked = RefCell::new(Vec::new());
        let question = async || {
            asked.borrow_mut().push(Instant::now());
            sleep_until(Instant::now() + takes).await;
        };
        let over = Duration::from_millis(500) + sale;
        let _over = timeout(over, ask_on(start, pace, question)).await;
        let asked = asked.into_inner();
        assert!(asked.iter().all(|at| *at >= start));
        asked.len()
    }

    /// Time that only the test moves.
    #[tokio::test(start_paused = true)]
    async fn seats_are_asked_for_often_at_first_and_every_second_later() {
        let pace = Pace {
            is_replayed: false,
            cost: MILLI,
        };
        let quick = questions_within(300 * MILLI, pace, MILLI).await;
        assert!(quick >= 10, "{quick}");
        // All the more in a rush.
        let rush = questions_within(300 * MILLI, pace, 20 * MILLI).await;
        assert!(rush >= 10, "{rush}");
        let long = questions_within(3_600_000 * MILLI, pace, MILLI).await;
        assert!((3_600..4_800).contains(&long), "{long}");
        let replayed = Pace {
            is_replayed: true,
            ..pace
        };
        let replayed = questions_within(10_000 * MILLI, replayed, MILLI).await;
        assert!(replayed <= 11, "{replayed}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_costs_much_is_asked_less() {
        for is_replayed in [false, true] {
            let pace = Pace {
                is_replayed,
                cost: 200 * MILLI,
            };
            let asked = questions_within(20_000 * MILLI, pace, 200 * MILLI).await;
            assert!((5..=6).contains(&asked), "{asked}");
        }
    }
}
