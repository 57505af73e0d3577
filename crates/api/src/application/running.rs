//! Running what is built, and stopping it in order.

use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use anyhow::bail;
use domain::ports::TicketConsumer;
use http_api::{Live, ProcessState};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Application;

/// Tasks, of which none ends before the stop; each with its name and how it ended.
type Tasks = JoinSet<(&'static str, anyhow::Result<()>)>;

fn spawn(tasks: &mut Tasks, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        (name, Ok(()))
    });
}

impl Application {
    /// Runs until `stop` is cancelled, then stops in order: readiness fails, and after
    /// `server.lame_duck_seconds` no connection or order is taken any more; requests in flight get their
    /// answers; orders that only this process has are decided; live connections
    /// have heard of that and are closed; tasks end; the last spans are handed over.
    ///
    /// # Errors
    /// When a task ended by itself, or when the deadline came before the end
    /// of that sequence; says how many accepted orders were left undecided.
    #[expect(
        clippy::too_many_lines,
        reason = "the sequence of the stop, to be read in one piece"
    )]
    pub async fn run_until_stopped(self, stop: CancellationToken) -> anyhow::Result<()> {
        let server = self.server.handle();
        let mut tasks = Tasks::new();
        let http = self.server;
        tasks.spawn(async move { ("HTTP server", http.await.map_err(anyhow::Error::from)) });
        let settings = &self.ground.settings;
        let worker_stop = self
            .worker
            .as_ref()
            .map_or_else(CancellationToken::new, |worker| worker.stop.clone());
        if let Some(worker) = self.worker {
            let worker = Arc::new(worker);
            for _ in 0..settings.queue.lanes.count() {
                let worker = Arc::clone(&worker);
                let serves = async move { worker.serve_lanes().await };
                spawn(&mut tasks, "lane worker", serves);
            }
            let keeper = Arc::clone(&worker);
            let keeps = async move { keeper.keep_claims().await };
            spawn(&mut tasks, "keeper of claims", keeps);
            let sweeps = async move { worker.sweep_holds().await };
            spawn(&mut tasks, "hold sweeper", sweeps);
        }
        // Of everything that goes on until all orders are decided and told.
        let last_stop = CancellationToken::new();
        let (watch, stopped) = (self.watch, last_stop.clone());
        let watches = async move { watch.watch(&stopped).await };
        spawn(&mut tasks, "watch over the lanes", watches);
        if let Some(clock) = self.ground.watched_clock {
            let stopped = last_stop.clone();
            let watches = async move { clock.watch(&stopped).await };
            spawn(&mut tasks, "watch over the clock", watches);
        }
        if let Some(certificates) = self.certificates {
            let stopped = last_stop.clone();
            let watches = async move {
                stopped
                    .run_until_cancelled_owned(certificates.watch())
                    .await;
            };
            spawn(&mut tasks, "watch over the certificate", watches);
        }
        let metrics = self.metering.map(|metering| {
            let handle = metering.server.handle();
            let server = metering.server;
            tasks.spawn(async move { ("server of metrics", server.await.map_err(Into::into)) });
            handle
        });
        let (letters, stopped) = (self.dead_letters, last_stop.clone());
        let counts = async move {
            stopped.run_until_cancelled(letters.keep_current()).await;
        };
        spawn(&mut tasks, "counter of dead letters", counts);
        let (examiner, stopped) = (self.examiner, last_stop.clone());
        let examines = async move { examiner.watch(&stopped).await };
        spawn(&mut tasks, "examiner of the servers", examines);
        let (limits, stopped) = (Arc::clone(&self.process.limits), last_stop.clone());
        let forgets = async move {
            let until_stopped = stopped.run_until_cancelled(limits.keep_small());
            until_stopped.await;
        };
        spawn(&mut tasks, "sweeper of limits", forgets);
        let (process, stopped) = (Arc::clone(&self.process), last_stop.clone());
        let logs = async move {
            let until_stopped = stopped.run_until_cancelled(process.log_refusals());
            until_stopped.await;
        };
        spawn(&mut tasks, "log of refusals", logs);
        if let Some(accepting) = &self.accepting {
            let hears = accepting.side.tasks();
            for (name, task) in hears.into_iter().chain(accepting.state.live.tasks()) {
                let stopped = last_stop.clone();
                let until_stopped = async move {
                    stopped.run_until_cancelled_owned(task).await;
                };
                spawn(&mut tasks, name, until_stopped);
            }
        }
        let (lame_duck, deadline) = (settings.server.lame_duck, settings.server.shutdown_deadline);
        let leave = async {
            stop.cancelled().await;
            self.process.traffic.leave_service();
            if !lame_duck.is_zero() {
                info!(
                    seconds = lame_duck.as_secs(),
                    "readiness now answers 503; requests are still served"
                );
                sleep(lame_duck).await;
            }
        };
        let died = tokio::select! {
            () = leave => None,
            ended = tasks.join_next() => Some(ended),
        };
        let consumer = &*self.ground.queue.consumer;
        info!(orders.undecided = consumer.volatile_orders(), "stopping");
        let accepting = self.accepting.as_ref();
        let stopping = Stopping {
            process: &self.process,
            live: accepting.map(|accepting| &*accepting.state.live),
            server: &server,
            metrics: metrics.as_ref(),
            consumer,
            worker: &worker_stop,
            last: &last_stop,
        };
        let stopping = stopping.shut_down(tasks, deadline);
        let in_time = timeout(deadline, stopping).await.is_ok();
        self.ground.preparing.abort();
        worker_stop.cancel();
        last_stop.cancel();
        server.stop(false).await;
        if let Some(metrics) = &metrics {
            metrics.stop(false).await;
        }
        if let Some(traces) = self.ground.traces {
            traces.shut_down().await;
        }
        let left = consumer.volatile_orders();
        match died {
            Some(Some(Ok((task, result)))) => {
                let error = result
                    .err()
                    .unwrap_or_else(|| anyhow::anyhow!("it returned without an error"));
                Err(error.context(format!(
                    "the {task} ended by itself; {left} accepted orders are left undecided"
                )))
            }
            Some(Some(Err(panicked))) => Err(anyhow::Error::from(panicked).context(format!(
                "a task panicked; {left} accepted orders are left undecided"
            ))),
            Some(None) | None if in_time && left == 0 => {
                info!("stopped");
                Ok(())
            }
            Some(None) | None => bail!(
                "server.shutdown_deadline_seconds is over after {deadline:?}: \
                 {left} accepted orders are left undecided"
            ),
        }
    }
}

/// What takes part in the orderly stop.
struct Stopping<'a> {
    process: &'a ProcessState,
    live: Option<&'a Live>,
    server: &'a ServerHandle,
    metrics: Option<&'a ServerHandle>,
    consumer: &'a dyn TicketConsumer,
    worker: &'a CancellationToken,
    last: &'a CancellationToken,
}

impl Stopping<'_> {
    async fn shut_down(self, mut tasks: Tasks, deadline: Duration) {
        /// Short beside any deadline, long beside what a check costs.
        const CHECK_AGAIN: Duration = Duration::from_millis(5);

        let traffic = &self.process.traffic;
        traffic.stop();
        self.server.pause().await;
        let decided = async {
            while traffic.in_flight() > 0 || self.consumer.volatile_orders() > 0 {
                sleep(CHECK_AGAIN).await;
            }
        };
        tokio::pin!(decided);
        // Buyers hear of what is still decided, but are not cut off without a
        // word by a deadline that comes first.
        let in_time = timeout(deadline / 2, &mut decided).await.is_ok();
        if let Some(live) = self.live {
            live.shut_down(deadline / 4).await;
        }
        if !in_time {
            decided.await;
        }
        self.worker.cancel();
        self.last.cancel();
        self.server.stop(true).await;
        if let Some(metrics) = self.metrics {
            metrics.stop(false).await;
        }
        while tasks.join_next().await.is_some() {}
    }
}
