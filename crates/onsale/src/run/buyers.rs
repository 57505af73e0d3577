//! The clients of a sale. Orders are sent at their planned instants, whether
//! earlier ones are answered or not, and every latency counts from the instant
//! at which a request was due: what waits in the client, because it cannot keep
//! up, is late and reported so.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::try_join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::pool::Pool;
use super::target::{Names, Target};
use super::told::{Step, Tally, Told};
use super::watchers::Watchers;
use crate::client::{Connection, Head};
use crate::scenario::Scenario;
use crate::scenario::plan::PlannedOrder;

/// A connection that was idle for longer is not used again: servers close those
/// (this service after 5 s), and an order that meets the end of its connection
/// has no answer.
const MAX_IDLE: Duration = Duration::from_secs(3);
/// How often the end of the sale is looked for, at least.
const TICK: Duration = Duration::from_millis(100);

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

/// Why the sale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All that clients wanted has happened.
    Complete,
    /// Nothing has happened for as long as the clients are patient.
    OutOfPatience,
    /// It took longer than it may.
    OutOfTime,
}

/// Everything that the clients of a sale share.
pub struct Buyers {
    pub(super) scenario: Scenario,
    pub(super) plan: Vec<PlannedOrder>,
    pub(super) names: Names,
    pub(super) target: Target,
    /// The start; everyone waits for it.
    started: Cell<Instant>,
    /// By number of the order.
    pub(super) told: RefCell<Vec<Told>>,
    pub(super) tally: RefCell<Tally>,
    pub(super) watchers: Watchers,
    pool: Pool<Job>,
    due: RefCell<BinaryHeap<Reverse<Job>>>,
    /// Something is due earlier than what the dispatcher waits for.
    earlier: Notify,
    waits_until: Cell<u64>,
    /// When something last happened.
    latest: Cell<u64>,
}

impl Buyers {
    /// Of a sale that starts later.
    ///
    /// # Errors
    /// Never.
    pub fn new(
        scenario: Scenario,
        plan: Vec<PlannedOrder>,
        names: Names,
        target: Target,
    ) -> anyhow::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            told: RefCell::new(vec![Told::default(); plan.len()]),
            tally: RefCell::new(Tally::new()?),
            watchers: Watchers::new(scenario.readers.websocket_connections),
            pool: Pool::new(scenario.client.max_connections),
            due: RefCell::new(BinaryHeap::new()),
            earlier: Notify::new(),
            waits_until: Cell::new(0),
            latest: Cell::new(0),
            started: Cell::new(Instant::now()),
            scenario,
            plan,
            names,
            target,
        }))
    }

    /// Opens the connections that wait for the start. Must be called within a
    /// [`tokio::task::LocalSet`], like [`Self::sell`].
    ///
    /// # Errors
    /// When one of them is refused.
    pub async fn open_connections(self: &Rc<Self>) -> anyhow::Result<()> {
        let address = self.target.address;
        let opening = (0..self.scenario.client.connections).map(|_| Connection::open(address));
        let opened = try_join_all(opening)
            .await
            .with_context(|| format!("connecting to {}", self.target.host))?;
        for connection in opened {
            self.start_connection(Some(connection));
        }
        if self.scenario.readers.websocket > 0.0 {
            self.watchers.open(self).await?;
        }
        Ok(())
    }

    /// Sells from `start` on until nobody waits for anything, or gives up.
    pub async fn sell(self: &Rc<Self>, start: Instant) -> Ending {
        self.started.set(start);
        sleep_until(start).await;
        let patience = Duration::from_secs(self.scenario.limits.patience_seconds)
            + Duration::from_secs(u64::from(self.scenario.shows.hold_seconds));
        let patience = whole_micros(patience);
        let most = whole_micros(Duration::from_secs(self.scenario.limits.run_seconds));
        let mut next = 0;
        loop {
            let now = self.now();
            while let Some(order) = self.plan.get(next).filter(|order| order.at_micros <= now) {
                self.dispatch(Job {
                    due: order.at_micros,
                    order: next,
                    step: Step::Order,
                    sent_before: 0,
                });
                next += 1;
            }
            while let Some(job) = self.due_by(now) {
                self.dispatch(job);
            }
            let scheduled = self.due.borrow().peek().map(|Reverse(job)| job.due);
            if next == self.plan.len() {
                let is_quiet = self.pool.unfinished() == 0 && self.watchers.awaited() == 0;
                if is_quiet && scheduled.is_none() {
                    return Ending::Complete;
                }
                if now.saturating_sub(self.latest.get()) > patience {
                    return Ending::OutOfPatience;
                }
            }
            if now > most {
                return Ending::OutOfTime;
            }
            let arrival = self.plan.get(next).map(|order| order.at_micros);
            let earliest = arrival.into_iter().chain(scheduled).min();
            let until = earliest.unwrap_or(u64::MAX).min(now + whole_micros(TICK));
            self.waits_until.set(until);
            tokio::select! {
                () = sleep_until(self.instant(until)) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// µs from the start.
    pub(super) fn now(&self) -> u64 {
        whole_micros(Instant::now().saturating_duration_since(self.started.get()))
    }

    fn instant(&self, micros: u64) -> Instant {
        self.started.get() + Duration::from_micros(micros)
    }

    /// Connections there are.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.pool.connections()
    }

    /// Requests that wait for a connection or their answer.
    #[must_use]
    pub const fn unfinished(&self) -> usize {
        self.pool.unfinished()
    }

    /// Something happened that a client waited for.
    pub(super) fn happened(&self, now: u64) {
        self.latest.set(self.latest.get().max(now));
    }

    /// Has a request sent when it is due.
    pub(super) fn schedule(&self, job: Job) {
        self.due.borrow_mut().push(Reverse(job));
        if job.due < self.waits_until.get() {
            self.earlier.notify_one();
        }
    }

    fn due_by(&self, now: u64) -> Option<Job> {
        let mut due = self.due.borrow_mut();
        due.peek().filter(|Reverse(job)| job.due <= now)?;
        due.pop().map(|Reverse(job)| job)
    }

    fn dispatch(self: &Rc<Self>, job: Job) {
        if self.pool.give(job) {
            self.start_connection(None);
        }
    }

    fn start_connection(self: &Rc<Self>, opened: Option<Connection>) {
        let slot = self.pool.join();
        let buyers = Rc::clone(self);
        // Ends with the local set that it runs in.
        let _connection = tokio::task::spawn_local(async move {
            let mut connection = opened.map(|open| (open, Instant::now()));
            let mut request = Vec::with_capacity(512);
            loop {
                let job = buyers.pool.take(&slot).await;
                buyers.perform(job, &mut connection, &mut request).await;
                buyers.pool.finish();
            }
        });
    }

    /// Sends one request and takes in what came of it.
    async fn perform(
        &self,
        job: Job,
        connection: &mut Option<(Connection, Instant)>,
        request: &mut Vec<u8>,
    ) {
        let patience = self.patience(job);
        let now = Instant::now();
        let deadline = now + patience;
        let is_fresh = |(open, used): &(Connection, Instant)| {
            now.saturating_duration_since(*used) < MAX_IDLE && !open.is_closed()
        };
        let opened = match connection.take().filter(is_fresh) {
            Some((open, _)) => Ok(open),
            None => match timeout_at(deadline, Connection::open(self.target.address)).await {
                Ok(opened) => opened,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        let Ok(mut open) = opened else {
            self.was_not_sent(job);
            return;
        };
        request.clear();
        self.write(job, request);
        let sent = self.now();
        self.sends(job, sent);
        match timeout(patience, open.exchange(request)).await {
            Ok(Ok(response)) => {
                self.answered(job, sent, response);
                *connection = Some((open, Instant::now()));
            }
            // The answer may come after all: the connection is of no use any more.
            Ok(Err(_)) => self.was_not_answered(job, false),
            Err(_) => self.was_not_answered(job, true),
        }
    }

    /// How long a client waits for the answer.
    fn patience(&self, job: Job) -> Duration {
        let Scenario {
            retries, client, ..
        } = &self.scenario;
        let can_repeat = job.step == Step::Order
            && self.plan[job.order].keyed
            && job.sent_before < retries.at_most;
        Duration::from_millis(if can_repeat {
            retries.timeout_ms
        } else {
            client.timeout_ms
        })
    }

    fn write(&self, job: Job, request: &mut Vec<u8>) {
        let order = self.plan[job.order];
        if job.step == Step::Order {
            let key = format!("{}-{}", self.names.run(), job.order);
            let head = Head {
                idempotency_key: order.keyed.then_some(&key),
                ..self.target.head("POST", "/tickets")
            };
            let mut body = String::with_capacity(96);
            // Writing into a text does not fail.
            let _written = write!(
                body,
                r#"{{"show_id":"{}","user_id":"{}","quantity":{}}}"#,
                self.names.show(order.show),
                self.names.user(order.user),
                order.quantity
            );
            head.write(request, &body);
            return;
        }
        // Only tickets that were named are asked for.
        let id = self.told.borrow()[job.order].ticket.unwrap_or_default();
        let (method, action) = match job.step {
            Step::Confirm => ("POST", "/confirm"),
            Step::Cancel => ("POST", "/cancel"),
            Step::Order | Step::Poll => ("GET", ""),
        };
        let path = format!("/tickets/{id}{action}");
        self.target.head(method, &path).write(request, "");
    }
}

/// µs of a run.
pub(super) fn whole_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
