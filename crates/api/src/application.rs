//! The running process: builds everything from settings, runs it, stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_server::{Server, ServerHandle};
use anyhow::{Context, bail};
use domain::gate::SoldOutGate;
use domain::ports::{Clock, Dependency, ShowRepository, TicketConsumer, UserRepository};
use domain::receipt::{ProcessId, Receipts};
use domain::use_cases::{BoxOffice, BoxOfficeParts, DecidingDesk};
use domain::waiting_line::{AcceptTally, WaitingLine};
use http_api::{Health, HttpState, Live, Serving, serve};
use runtime::error_chain;
use secrecy::ExposeSecret;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use worker::{DecisionLog, Heard, LaneWatch, Worker};

use crate::clock::WatchedClock;
use crate::examiner::{Examined, Examiner};
use crate::open_files::OpenFiles;
use crate::settings::{Settings, StoreSettings, TicketSettings};
use crate::wiring::{self, Migration, QueuePorts, QueueUse, StorePorts, StoreUse};
use crate::{seed, telemetry};

/// Which sides of the service a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Both sides.
    All,
    /// Takes orders and requests.
    Api,
    /// Decides orders; serves health only.
    Worker,
}

impl Role {
    fn accepts(self) -> bool {
        self != Self::Worker
    }

    fn decides(self) -> bool {
        self != Self::Api
    }

    /// Memory adapters are seen by one process only, so that process has to do everything.
    ///
    /// # Errors
    /// Names the settings that do not fit.
    pub fn fits(self, settings: &Settings) -> anyhow::Result<()> {
        let are_shared = settings.queue.adapter.is_shared() && settings.store.adapter.is_shared();
        if self != Self::All && !are_shared {
            bail!(
                "--role {}: with queue.adapter or store.adapter `memory` only --role all \
                 works, because other processes cannot see this one's memory",
                if self == Self::Api { "api" } else { "worker" }
            );
        }
        Ok(())
    }
}

/// Everything built, not yet running.
pub struct Application {
    address: SocketAddr,
    server: Server,
    state: Arc<HttpState>,
    consumer: Arc<dyn TicketConsumer>,
    worker: Option<Worker>,
    watch: Arc<LaneWatch>,
    /// Where orders are taken and a store knows the time.
    watched_clock: Option<Arc<WatchedClock>>,
    examiner: Arc<Examiner>,
    /// Goes on after the start if the store did not answer.
    preparing: JoinHandle<()>,
    lanes: u8,
    accepts: bool,
    lame_duck: Duration,
    shutdown_deadline: Duration,
}

impl Application {
    /// Connects the adapters, binds the port and adds what `seed_demo` asks
    /// for. The process's time is `clock`'s. Does not check [`Role::fits`].
    ///
    /// # Errors
    /// Says which setting or address is at fault.
    pub async fn build(
        settings: Settings,
        role: Role,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        telemetry::start(&settings.log).context("starting the log")?;
        if !settings.ignored_variables.is_empty() {
            warn!(
                variables = settings.ignored_variables.join(","),
                "these begin with APP_ and are no settings, which begin with APP__"
            );
        }
        let files = OpenFiles::of_this_process(&settings)?;
        let process = ProcessId::new(rand::random());
        let receipts = Arc::new(receipts(&settings.tickets, process)?);
        let usage = if role.accepts() {
            StoreUse::TakesOrders
        } else {
            StoreUse::Changes
        };
        let store = settings
            .store
            .adapter
            .connect(&settings, Arc::clone(&clock), usage)?;
        // Before the queue, which asks the store which deployment this is.
        let preparing = Preparation::new(&store, &settings.store).start().await;
        let is_watched = settings.store.adapter.is_shared() && role.accepts();
        let watched = is_watched.then(|| {
            let store = Arc::clone(&store.dependency);
            let watched = WatchedClock::new(Arc::clone(&clock), store, settings.max_clock_skew);
            Arc::new(watched)
        });
        if let Some(watched) = &watched
            && preparing.is_finished()
        {
            // So that the first order is taken. It is compared again and again.
            let _at_once = timeout(Preparation::AT_ONCE, watched.check()).await;
        }
        // What dates orders. The store compares the clock itself with its own.
        let dating: Arc<dyn Clock> = match &watched {
            Some(watched) => watched.clone(),
            None => Arc::clone(&clock),
        };
        let identity = store.identity.clone();
        let queue = &settings.queue.adapter;
        let queue = queue
            .connect(
                &settings,
                Arc::clone(&dating),
                process,
                identity,
                QueueUse::Serves,
            )
            .await?;
        let worker = role
            .decides()
            .then(|| worker(&settings, &store, &queue, &clock, process, &receipts));
        let (lanes, started) = (settings.queue.lanes, clock.now());
        let line = Arc::new(WaitingLine::new(lanes, settings.stalled_after, started));
        let heard = role.accepts().then(|| Heard {
            line: Arc::clone(&line),
            clock: Arc::clone(&clock),
        });
        let held = worker
            .as_ref()
            .map_or_else(Arc::default, |worker| Arc::clone(&worker.held));
        let claims = Arc::clone(&store.claims);
        let watch = Arc::new(LaneWatch::new(claims, lanes, heard, held));
        let tally = Arc::new(AcceptTally::new(process, lanes, started));
        queue.publisher.count_unheard(Arc::clone(&tally));
        let office = Arc::new(BoxOffice::new(BoxOfficeParts {
            users: Arc::clone(&store.users),
            shows: Arc::clone(&store.shows),
            publisher: queue.publisher,
            ledger: Arc::clone(&store.ledger),
            events: queue.events,
            clock: dating,
            receipts,
            lanes,
            max_quantity: settings.tickets.max_quantity,
            gate: if settings.tickets.sold_out_gate {
                SoldOutGate::default()
            } else {
                SoldOutGate::always_open()
            },
            line: Arc::clone(&line),
            tally,
        }));
        let heartbeat = settings.live.heartbeat;
        let live = Arc::new(Live::new(Arc::clone(&office), settings.live));
        let examined = [
            ("queue", queue.examinations.clone()),
            ("store", store.examinations.clone()),
        ];
        let examiner = Arc::new(Examiner::new(Examined::all(examined)));
        let store_dependency = match &watched {
            Some(watched) => watched.clone(),
            None => Arc::clone(&store.dependency),
        };
        let mut needed = vec![queue.dependency, store_dependency, Arc::new(files)];
        // It concerns all processes, and stopping all of them would help nobody.
        let mut of_others: Vec<Arc<dyn Dependency>> = vec![examiner.clone()];
        // Who only takes orders can go on with that while others do not decide.
        if role.decides() {
            needed.push(watch.clone());
        } else {
            of_others.push(watch.clone());
        }
        let state = Arc::new(HttpState::new(
            office,
            live,
            Health::new(needed, of_others),
            settings.admin_token.as_ref(),
        ));
        let address = SocketAddr::new(settings.server.host, settings.server.port);
        let serving = Serving {
            accepts: role.accepts(),
            // By then a heartbeat and its successor are not taken.
            peer_timeout: heartbeat * 2,
            request_timeout: settings.server.request_timeout,
            keep_alive: settings.server.keep_alive,
            connections: files.connections(),
        };
        let (server, address) = serve(address, Arc::clone(&state), serving)
            .with_context(|| format!("server.host, server.port: cannot listen on {address}"))?;
        info!(
            environment = settings.environment,
            %address,
            role = ?role,
            process.id = process.get(),
            queue.adapter = settings.queue.adapter.name(),
            store.adapter = settings.store.adapter.name(),
            adapters.compiled = wiring::COMPILED_ADAPTERS.join(","),
            connections.max = files.connections().served,
            version = env!("CARGO_PKG_VERSION"),
            "tickets is built"
        );
        Ok(Self {
            address,
            server,
            state,
            consumer: queue.consumer,
            worker,
            watch,
            watched_clock: watched,
            examiner,
            preparing,
            lanes: lanes.count(),
            accepts: role.accepts(),
            lame_duck: settings.server.lame_duck,
            shutdown_deadline: settings.server.shutdown_deadline,
        })
    }

    /// Where it listens; with port 0 in the settings, the port that it got.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until `stop` is cancelled, then stops in order: readiness fails, and after
    /// `server.lame_duck_seconds` no connection or order is taken any more; requests in flight get their
    /// answers; orders that only this process has are decided; live connections
    /// have heard of that and are closed; tasks end.
    ///
    /// # Errors
    /// When a task ended by itself, or when the deadline came before the end
    /// of that sequence; says how many accepted orders were left undecided.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> anyhow::Result<()> {
        let server = self.server.handle();
        let mut tasks = JoinSet::new();
        let http = self.server;
        tasks.spawn(async move { ("HTTP server", http.await.map_err(anyhow::Error::from)) });
        let worker_stop = self
            .worker
            .as_ref()
            .map_or_else(CancellationToken::new, |worker| worker.stop.clone());
        if let Some(worker) = self.worker {
            let worker = Arc::new(worker);
            for _ in 0..self.lanes {
                let worker = Arc::clone(&worker);
                tasks.spawn(async move {
                    worker.serve_lanes().await;
                    ("lane worker", Ok(()))
                });
            }
            let keeper = Arc::clone(&worker);
            tasks.spawn(async move {
                keeper.keep_claims().await;
                ("keeper of claims", Ok(()))
            });
            tasks.spawn(async move {
                worker.sweep_holds().await;
                ("hold sweeper", Ok(()))
            });
        }
        let live_stop = CancellationToken::new();
        let watch_stop = live_stop.clone();
        let watch = self.watch;
        tasks.spawn(async move {
            watch.watch(&watch_stop).await;
            ("watch over the lanes", Ok(()))
        });
        if let Some(clock) = self.watched_clock {
            let stop = live_stop.clone();
            tasks.spawn(async move {
                clock.watch(&stop).await;
                ("watch over the clock", Ok(()))
            });
        }
        let (examiner, examiner_stop) = (self.examiner, live_stop.clone());
        tasks.spawn(async move {
            examiner.watch(&examiner_stop).await;
            ("examiner of the servers", Ok(()))
        });
        if self.accepts {
            for (name, task) in Live::tasks(&self.state.live, &live_stop) {
                tasks.spawn(async move {
                    task.await;
                    (name, Ok(()))
                });
            }
        }
        let traffic = &self.state.traffic;
        let leave = async {
            stop.cancelled().await;
            traffic.leave_service();
            if !self.lame_duck.is_zero() {
                info!(
                    seconds = self.lame_duck.as_secs(),
                    "readiness says that this process stops; all is served as before"
                );
                sleep(self.lame_duck).await;
            }
        };
        let died = tokio::select! {
            () = leave => None,
            ended = tasks.join_next() => Some(ended),
        };
        info!(
            orders.undecided = self.consumer.volatile_orders(),
            "stopping"
        );
        let stopping = Stopping {
            state: &self.state,
            server: &server,
            consumer: &*self.consumer,
            worker: &worker_stop,
            live: &live_stop,
        };
        let stopping = stopping.shut_down(tasks, self.shutdown_deadline);
        let in_time = timeout(self.shutdown_deadline, stopping).await.is_ok();
        self.preparing.abort();
        worker_stop.cancel();
        live_stop.cancel();
        server.stop(false).await;
        let left = self.consumer.volatile_orders();
        match died {
            Some(Some(Ok((task, result)))) => {
                let error = result
                    .err()
                    .unwrap_or_else(|| anyhow::anyhow!("it returned"));
                Err(error.context(format!(
                    "the {task} ended by itself; {left} accepted orders are left undecided"
                )))
            }
            Some(Some(Err(panicked))) => Err(anyhow::Error::from(panicked).context(format!(
                "a task died; {left} accepted orders are left undecided"
            ))),
            Some(None) | None if in_time && left == 0 => {
                info!("stopped");
                Ok(())
            }
            Some(None) | None => bail!(
                "server.shutdown_deadline_seconds is over after {:?}: \
                 {left} accepted orders are left undecided",
                self.shutdown_deadline
            ),
        }
    }
}

/// What a store needs before it is of use: its schema, and the demo data where
/// the configuration wants them.
struct Preparation {
    migrate: Migration,
    users: Arc<dyn UserRepository>,
    shows: Arc<dyn ShowRepository>,
    migrates: bool,
    seeds_demo: bool,
}

impl Preparation {
    /// A store that answers is done by then.
    const AT_ONCE: Duration = Duration::from_secs(3);
    const TRY_AGAIN: Duration = Duration::from_secs(1);

    fn new(store: &StorePorts, settings: &StoreSettings) -> Self {
        Self {
            migrate: Arc::clone(&store.migrate),
            users: Arc::clone(&store.users),
            shows: Arc::clone(&store.shows),
            migrates: settings.adapter.migrates_at_start(),
            seeds_demo: settings.seed_demo,
        }
    }

    /// A store that is down is no reason to end, nor to keep health unserved:
    /// it may be started later.
    async fn start(self) -> JoinHandle<()> {
        let mut preparing = tokio::spawn(self.until_done());
        // Either way the task goes on; it is its own success that counts.
        let _at_once = timeout(Self::AT_ONCE, &mut preparing).await;
        preparing
    }

    async fn until_done(self) {
        let mut failures = 0_u64;
        while let Err(error) = self.attempt().await {
            if failures == 0 {
                warn!(
                    error = error_chain(error.as_ref()),
                    "the store could not be prepared; trying again until it works"
                );
            }
            failures += 1;
            sleep(Self::TRY_AGAIN).await;
        }
        if failures > 0 {
            info!(failures, "the store is prepared");
        }
    }

    async fn attempt(&self) -> anyhow::Result<()> {
        if self.migrates {
            (self.migrate)().await?;
        }
        if self.seeds_demo {
            seed::demo(&*self.users, &*self.shows).await?;
        }
        Ok(())
    }
}

/// What takes part in the orderly stop.
struct Stopping<'a> {
    state: &'a HttpState,
    server: &'a ServerHandle,
    consumer: &'a dyn TicketConsumer,
    worker: &'a CancellationToken,
    live: &'a CancellationToken,
}

impl Stopping<'_> {
    async fn shut_down<T: 'static>(self, mut tasks: JoinSet<T>, deadline: Duration) {
        /// Short beside any deadline, long beside what a check costs.
        const CHECK_AGAIN: Duration = Duration::from_millis(5);

        self.state.traffic.stop();
        self.server.pause().await;
        let decided = async {
            while self.state.traffic.in_flight() > 0 || self.consumer.volatile_orders() > 0 {
                sleep(CHECK_AGAIN).await;
            }
        };
        tokio::pin!(decided);
        // Buyers hear of what is still decided, but are not cut off without a
        // word by a deadline that comes first.
        let in_time = timeout(deadline / 2, &mut decided).await.is_ok();
        self.state.live.shut_down(deadline / 4).await;
        if !in_time {
            decided.await;
        }
        self.worker.cancel();
        self.live.cancel();
        self.server.stop(true).await;
        while tasks.join_next().await.is_some() {}
    }
}

fn worker(
    settings: &Settings,
    store: &StorePorts,
    queue: &QueuePorts,
    clock: &Arc<dyn Clock>,
    process: ProcessId,
    receipts: &Arc<Receipts>,
) -> Worker {
    Worker {
        desk: DecidingDesk {
            ledger: Arc::clone(&store.ledger),
            events: Arc::clone(&queue.events),
            dead_letters: Arc::clone(&queue.dead_letters),
            clock: Arc::clone(clock),
            receipts: Arc::clone(receipts),
        },
        consumer: Arc::clone(&queue.consumer),
        claims: Arc::clone(&store.claims),
        process,
        lanes: settings.queue.lanes,
        settings: settings.worker.clone(),
        jitter: Box::new(rand::random_range),
        stop: CancellationToken::new(),
        held: Arc::default(),
        log: DecisionLog::default(),
    }
}

fn receipts(settings: &TicketSettings, process: ProcessId) -> anyhow::Result<Receipts> {
    /// The same for all processes, so that they know each other's ids, and for
    /// everybody who reads this: only production has anything to protect.
    const DEVELOPMENT_SECRET: &str = "tickets development secret, known to everybody";

    if settings.id_secrets.is_empty() {
        warn!("tickets.id_secrets is not set: ids can be forged by whoever reads the source");
        return Ok(Receipts::new([DEVELOPMENT_SECRET], process)?);
    }
    let secrets = settings.id_secrets.iter().map(ExposeSecret::expose_secret);
    Receipts::new(secrets, process).context("tickets.id_secrets")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use domain::ids::{ShowId, UserId};
    use domain::order::Quantity;
    use domain::use_cases::{OrderRequest, PlacedOrder};

    use super::*;
    use crate::clock::SystemClock;

    /// Only from inside can the store be asked after the process side has ended.
    #[tokio::test]
    async fn what_was_accepted_before_the_stop_is_decided_after_it() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let variables = HashMap::from([("APP__SERVER__PORT".to_owned(), "0".to_owned())]);
        let settings = Settings::load(&directory, variables).unwrap();
        let clock = Arc::new(SystemClock);
        let application = Application::build(settings, Role::All, clock)
            .await
            .unwrap();
        let state = Arc::clone(&application.state);
        let order = OrderRequest {
            show_id: ShowId::from(230_920),
            user_id: UserId::from(1),
            quantity: Quantity::ONE,
            key: None,
        };
        let mut ids = Vec::new();
        for _ in 0..20_000 {
            match state.office.place_order(order.clone()).await.unwrap() {
                PlacedOrder::Queued(order) => ids.push(order.ticket_id),
                PlacedOrder::Replayed(ticket) => panic!("{ticket:?}"),
            }
        }
        let stop = CancellationToken::new();
        stop.cancel();
        application.run_until_stopped(stop).await.unwrap();
        let decided = state.office.read_tickets(&ids).await.unwrap();
        assert_eq!(decided.len(), ids.len());
    }
}
