//! The clients of a sale at work. Orders are sent at their planned instants, whether
//! earlier ones are answered or not.

use std::fmt::Write;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use black_box::http::{Connection, Head};
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::clients::{Clients, Job, whole_micros};
use super::pool::Pool;
use super::subscribers;
use crate::outcome::Ending;
use crate::outcome::tally::{Step, Why};
use crate::scenario::sale::Scenario;

/// A connection that was idle for longer is not used again: servers close those
/// (this service after 5 s), and an order that meets the end of its connection
/// has no answer.
const MAX_IDLE: Duration = Duration::from_secs(3);
/// How often the end of the sale is looked for, at least.
const TICK: Duration = Duration::from_millis(100);
const LOOK_FOR_NEWS: Duration = Duration::from_millis(50);

/// Clients with their connections.
pub(super) struct Buyers {
    pub(super) clients: Rc<Clients>,
    pool: Pool<Job>,
}

impl Buyers {
    /// Of a sale that starts later.
    pub(super) fn new(clients: Rc<Clients>) -> Rc<Self> {
        let pool = Pool::new(clients.scenario.client.max_connections);
        Rc::new(Self { clients, pool })
    }

    /// Opens the connections that wait for the start. Must be called within a
    /// [`tokio::task::LocalSet`], like [`Self::sell`].
    pub(crate) async fn open_connections(self: &Rc<Self>) -> anyhow::Result<()> {
        let Clients {
            target, scenario, ..
        } = &*self.clients;
        let opening =
            (0..scenario.client.connections).map(|_| Connection::open(target.endpoint.clone()));
        let opened = try_join_all(opening)
            .await
            .with_context(|| format!("connecting to {}", target.host))?;
        for connection in opened {
            self.start_connection(Some(connection));
        }
        if scenario.readers.websocket > 0.0 {
            let number = scenario.readers.websocket_connections;
            subscribers::open(&self.clients, number).await?;
        }
        Ok(())
    }

    /// Sells from `start` on until nobody waits for anything, or gives up.
    pub(crate) async fn sell(self: &Rc<Self>, start: Instant) -> Ending {
        let clients = &self.clients;
        clients.started.set(start);
        sleep_until(start).await;
        let limits = &clients.scenario.limits;
        let hold_seconds = u64::from(clients.scenario.shows.hold_seconds);
        let patience = Duration::from_secs(limits.patience_seconds + hold_seconds);
        let patience = whole_micros(patience);
        let most = whole_micros(Duration::from_secs(limits.run_seconds));
        let mut next = 0;
        loop {
            let now = clients.now();
            while let Some(order) = clients
                .plan
                .get(next)
                .filter(|order| order.at_micros <= now)
            {
                self.dispatch(Job {
                    due: order.at_micros,
                    order: next,
                    step: Step::Order,
                    sent_before: 0,
                });
                next += 1;
            }
            while let Some(job) = clients.take_due(now) {
                self.dispatch(job);
            }
            let scheduled = clients.next_due();
            if next == clients.plan.len() {
                let is_quiet = self.pool.unfinished() == 0 && clients.desks.awaited() == 0;
                if is_quiet && scheduled.is_none() {
                    return Ending::Complete;
                }
                if now.saturating_sub(clients.latest.get()) > patience {
                    return Ending::OutOfPatience;
                }
            }
            if now > most {
                return Ending::OutOfTime;
            }
            let arrival = clients.plan.get(next).map(|order| order.at_micros);
            let earliest = arrival.into_iter().chain(scheduled).min();
            let until = earliest.unwrap_or(u64::MAX).min(now + whole_micros(TICK));
            clients.waits_until.set(until);
            tokio::select! {
                () = sleep_until(start + Duration::from_micros(until)) => {}
                () = clients.earlier.notified() => {}
            }
        }
    }

    /// Waits a while for subscriptions to be told of what has happened by now.
    pub(super) async fn wait_for_news(&self, at_most: Duration) {
        let told = async {
            while self.clients.desks.awaited() > 0 {
                sleep(LOOK_FOR_NEWS).await;
            }
        };
        // What was not told by then is found missing.
        let _told_in_time = timeout(at_most, told).await;
    }

    /// Connections there are.
    pub(crate) const fn connections(&self) -> usize {
        self.pool.connections()
    }

    /// Requests that wait for a connection or their answer.
    pub(crate) const fn unfinished(&self) -> usize {
        self.pool.unfinished()
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
        let clients = &self.clients;
        let patience = self.patience(job);
        let now = Instant::now();
        let deadline = now + patience;
        let is_fresh = |used: Instant| now.saturating_duration_since(used) < MAX_IDLE;
        let kept = connection.take().filter(|(_, used)| is_fresh(*used));
        let opened = match kept.and_then(|(open, _)| open.still_open()) {
            Some(open) => Ok(open),
            None => {
                let opening = Connection::open(clients.target.endpoint.clone());
                match timeout_at(deadline, opening).await {
                    Ok(opened) => opened,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                }
            }
        };
        let Ok(mut open) = opened else {
            clients.send_failed(job);
            return;
        };
        request.clear();
        self.write(job, request);
        let sent = clients.now();
        clients.sends(job, sent);
        match timeout(patience, open.exchange(request)).await {
            Ok(Ok(response)) => {
                clients.answered(job, sent, response);
                *connection = Some((open, Instant::now()));
            }
            // The answer may come after all: the connection is of no use any more.
            Ok(Err(_)) => clients.answer_failed(job, Why::Broken),
            Err(_) => clients.answer_failed(job, Why::TimedOut),
        }
    }

    /// How long a client waits for the answer.
    fn patience(&self, job: Job) -> Duration {
        let Scenario {
            retries, client, ..
        } = &self.clients.scenario;
        let can_repeat = job.step == Step::Order
            && self.clients.plan[job.order].keyed
            && job.sent_before < retries.at_most;
        Duration::from_millis(if can_repeat {
            retries.timeout_ms
        } else {
            client.timeout_ms
        })
    }

    fn write(&self, job: Job, request: &mut Vec<u8>) {
        let Clients {
            plan,
            names,
            target,
            tokens,
            told,
            ..
        } = &*self.clients;
        let order = plan[job.order];
        let bearer = tokens.of_user(order.user);
        if job.step == Step::Order {
            let key = format!("{}-{}", names.run(), job.order);
            let head = Head {
                bearer,
                idempotency_key: order.keyed.then_some(&key),
                ..target.head("POST", "/tickets")
            };
            let mut body = String::with_capacity(96);
            // Writing into a text does not fail.
            let _written = write!(
                body,
                r#"{{"show_id":"{}","user_id":"{}","quantity":{}}}"#,
                names.show(order.show),
                names.user(order.user),
                order.quantity
            );
            head.write(request, &body);
            return;
        }
        // Only tickets that were named are asked for.
        let id = told.borrow()[job.order].ticket.unwrap_or_default();
        let (method, action) = match job.step {
            Step::Confirm => ("POST", "/confirm"),
            Step::Cancel => ("POST", "/cancel"),
            Step::Order | Step::Poll => ("GET", ""),
        };
        let path = format!("/tickets/{id}{action}");
        let head = Head {
            bearer,
            ..target.head(method, &path)
        };
        head.write(request, "");
    }
}
