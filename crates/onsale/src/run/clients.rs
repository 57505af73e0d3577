//! What the clients of a sale know and what they are about to do. Every latency counts
//! from the instant at which a request was due: what waits in the client, because it
//! cannot keep up, is late and reported so.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

use black_box::names::Names;
use black_box::proof::order::PlannedOrder;
use black_box::proof::told::Told;
use black_box::target::Target;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::desks::Desks;
use super::tokens::Tokens;
use crate::outcome::tally::{Step, Tally};
use crate::scenario::sale::Scenario;

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    /// When, in µs from the start.
    pub(super) due: u64,
    /// Number of the order that it is about.
    pub(super) order: usize,
    pub(super) step: Step,
    /// How often it was sent before.
    pub(super) sent_before: u8,
}

/// Everything that they share.
pub(super) struct Clients {
    pub(super) scenario: Scenario,
    pub(super) plan: Vec<PlannedOrder>,
    pub(super) names: Names,
    pub(super) target: Target,
    pub(super) tokens: Rc<Tokens>,
    /// The start; everyone waits for it.
    pub(super) started: Cell<Instant>,
    /// By number of the order.
    pub(super) told: RefCell<Vec<Told>>,
    pub(super) tally: RefCell<Tally>,
    pub(super) desks: Desks,
    due: RefCell<BinaryHeap<Reverse<Job>>>,
    /// Something is due earlier than what is waited for.
    pub(super) earlier: Notify,
    pub(super) waits_until: Cell<u64>,
    /// When something last happened.
    pub(super) latest: Cell<u64>,
}

impl Clients {
    /// Of a sale that starts later.
    pub(super) fn new(
        scenario: Scenario,
        plan: Vec<PlannedOrder>,
        names: Names,
        target: Target,
        tokens: Rc<Tokens>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            told: RefCell::new(vec![Told::default(); plan.len()]),
            tally: RefCell::new(Tally::new()?),
            desks: Desks::default(),
            due: RefCell::new(BinaryHeap::new()),
            earlier: Notify::new(),
            waits_until: Cell::new(0),
            latest: Cell::new(0),
            started: Cell::new(Instant::now()),
            scenario,
            plan,
            names,
            target,
            tokens,
        })
    }

    /// µs from the start.
    pub(super) fn now(&self) -> u64 {
        whole_micros(Instant::now().saturating_duration_since(self.started.get()))
    }

    /// Something happened that a client waited for.
    pub(super) fn happened(&self, now: u64) {
        self.latest.set(self.latest.get().max(now));
    }

    /// Changes what the client of an order knows. Nothing else may be asked of
    /// it meanwhile.
    pub(super) fn remember<R>(&self, order: usize, change: impl FnOnce(&mut Told) -> R) -> R {
        change(&mut self.told.borrow_mut()[order])
    }

    /// Has a request sent when it is due.
    pub(super) fn schedule(&self, job: Job) {
        self.due.borrow_mut().push(Reverse(job));
        if job.due < self.waits_until.get() {
            self.earlier.notify_one();
        }
    }

    /// Takes the next request that is due by now.
    pub(super) fn take_due(&self, now: u64) -> Option<Job> {
        let mut due = self.due.borrow_mut();
        due.peek().filter(|Reverse(job)| job.due <= now)?;
        due.pop().map(|Reverse(job)| job)
    }

    /// When the next request is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.borrow().peek().map(|Reverse(job)| job.due)
    }
}

/// µs of a run.
pub(super) fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
