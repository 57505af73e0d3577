//! What is looked at while a sale runs: memory of every process, seats, how many
//! orders are decided, and a line that tells how it goes.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::buyers::Buyers;
use super::target::Names;
use crate::process::{cpu_micros, resident_kib};
use crate::proof::store::Store;

/// Between two looks at memory.
const LOOK: Duration = Duration::from_millis(500);
/// Looks per line, and per question to the store.
const LOOKS_PER_LINE: u32 = 2;
/// Questions to the store may take this part of the time, at most.
const STORE_SHARE: u32 = 20;
/// Clears the rest of a terminal's line.
const CLEAR: &str = "\x1b[K";

/// A process whose memory and CPU time are reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// What reports call it.
    pub name: String,
    /// The system's number of it.
    pub id: u32,
}

/// What a process used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What reports call it.
    pub name: String,
    /// Resident memory by instant in µs from the start, in KiB.
    pub resident_kib: Vec<(i64, u64)>,
    /// CPU time from the start to the end, in µs.
    pub cpu_micros: u64,
}

/// Seats of all shows of the run at an instant, in µs from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatsSample {
    /// When.
    pub at: u64,
    /// Seats left.
    pub available: u64,
    /// Seats of reserved tickets.
    pub held: u64,
    /// Seats of confirmed tickets.
    pub sold: u64,
}

struct Watching {
    watch: Watch,
    cpu_before: u64,
    resident_kib: Vec<(i64, u64)>,
}

/// Looks on.
pub struct Observer {
    buyers: Rc<Buyers>,
    names: Names,
    watching: RefCell<Vec<Watching>>,
    seats: RefCell<Vec<SeatsSample>>,
    decided: Cell<Option<u64>>,
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
    #[must_use]
    pub fn new(buyers: Rc<Buyers>, names: Names, watched: Vec<Watch>, asked: bool) -> Self {
        let lines = match (io::stderr().is_terminal(), asked) {
            (true, _) => Lines::Terminal,
            (false, true) => Lines::Log,
            (false, false) => Lines::None,
        };
        let watching = watched.into_iter().map(|watch| Watching {
            cpu_before: 0,
            resident_kib: Vec::new(),
            watch,
        });
        Self {
            buyers,
            names,
            watching: RefCell::new(watching.collect()),
            seats: RefCell::default(),
            decided: Cell::new(None),
            started: Cell::new(Instant::now()),
            lines,
        }
    }

    /// Counts from the start of the sale, which is to come.
    pub fn start(&self, start: Instant) {
        self.started.set(start);
        for watching in self.watching.borrow_mut().iter_mut() {
            // One that is gone has used nothing.
            watching.cpu_before = cpu_micros(watching.watch.id).unwrap_or_default();
        }
        self.look();
    }

    /// Looks on for ever.
    pub async fn watch(&self, store: &Store) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut number = 0_u32;
        let mut next_question = Instant::now();
        loop {
            looks.tick().await;
            self.look();
            number = number.wrapping_add(1);
            if !number.is_multiple_of(LOOKS_PER_LINE) {
                continue;
            }
            let asked = Instant::now();
            if asked >= next_question {
                self.ask(store).await;
                next_question = asked + asked.elapsed() * STORE_SHARE;
            }
            self.line();
        }
    }

    fn look(&self) {
        let now = self.now();
        for watching in self.watching.borrow_mut().iter_mut() {
            if let Ok(kib) = resident_kib(watching.watch.id) {
                watching.resident_kib.push((now, kib));
            }
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

    /// Asks the store; what fails is asked again.
    async fn ask(&self, store: &Store) {
        let Ok(at) = u64::try_from(self.now()) else {
            return;
        };
        if let Ok(seats) = store.seats(&self.buyers.target, &self.names).await {
            let total = |of: fn(&super::administration::Seats) -> u64| seats.iter().map(of).sum();
            self.seats.borrow_mut().push(SeatsSample {
                at,
                available: total(|seats| seats.available),
                held: total(|seats| seats.held),
                sold: total(|seats| seats.sold),
            });
        }
        if let Ok(decided) = store.decided().await {
            self.decided.set(decided);
        }
    }

    fn line(&self) {
        if self.lines == Lines::None {
            return;
        }
        let Ok(now) = u64::try_from(self.now()) else {
            return;
        };
        let line = self.text(now);
        let mut err = io::stderr();
        // A line that nobody reads is no fault.
        let _written = match self.lines {
            Lines::Terminal => write!(err, "\r{line}{CLEAR}"),
            _ => writeln!(err, "{line}"),
        };
    }

    fn text(&self, now: u64) -> String {
        let tally = self.buyers.tally.borrow();
        let orders = self.buyers.plan.len();
        let due = self
            .buyers
            .plan
            .partition_point(|order| order.at_micros <= now);
        let seconds = Duration::from_micros(now).as_secs();
        let decided = self.decided.get().map_or_else(String::new, |decided| {
            let backlog = tally.accepted.saturating_sub(decided);
            format!(", decided {decided}, backlog {backlog}")
        });
        let seats = self
            .seats
            .borrow()
            .last()
            .map_or_else(String::new, |seats| {
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
    pub fn end_line(&self) {
        if self.lines == Lines::Terminal {
            let _written = writeln!(io::stderr());
        }
    }

    /// What was seen of the processes so far.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        let watching = self.watching.borrow();
        let usage = watching.iter().map(|watching| Usage {
            name: watching.watch.name.clone(),
            resident_kib: watching.resident_kib.clone(),
            cpu_micros: cpu_micros(watching.watch.id)
                .unwrap_or_default()
                .saturating_sub(watching.cpu_before),
        });
        usage.collect()
    }

    /// Seats that were seen.
    #[must_use]
    pub fn seats(&self) -> Vec<SeatsSample> {
        self.seats.borrow().clone()
    }
}
