//! What operators read of a process, by the names that `docs/OPERATIONS.md` lists. What ports do is
//! measured in front of them; all else is counted where it happens, and asked for when it is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use anyhow::Context;
use caching::CacheReads;
use domain::order::Lane;
use domain::user::PriorityClass;
use domain::waiting_line::Waiting;
use http_api::{AcceptingState, Answered, Certificates, ProcessState};
use metrics::{
    Labels, MeasuredLaneClaims, MeasuredLedger, MeasuredPublisher, Metrics, Served, StoreSeconds,
    float,
};
use tokens::Verifier;
use tokio::runtime::{Handle, RuntimeMetrics};
use traces::Traces;
use worker::{HeldLanes, LaneWatch};

use super::Role;
use super::dead_letters::DeadLetterCount;
use crate::settings::Settings;
use crate::wiring::{PoolUse, QueuePorts, StoreFigures, StorePorts};

/// Puts what measures in front of the ports by which orders are accepted and decided.
pub(super) fn measure(store: &mut StorePorts, queue: &mut QueuePorts, metrics: &mut Metrics) {
    let publisher = Arc::clone(&queue.publisher);
    queue.publisher = Arc::new(MeasuredPublisher::new(publisher, metrics));
    let (ledger, claims) = (Arc::clone(&store.ledger), Arc::clone(&store.claims));
    let seconds = StoreSeconds::new(metrics);
    store.ledger = Arc::new(MeasuredLedger::new(ledger, seconds.clone(), metrics));
    store.claims = Arc::new(MeasuredLaneClaims::new(claims, seconds));
    store_figures(std::mem::take(&mut store.figures), metrics);
}

/// Counts the spans that are dropped.
pub(super) fn span_losses(traces: &Arc<Traces>, metrics: &mut Metrics) {
    let traces = Arc::clone(traces);
    metrics.counters(
        "tickets_trace_spans_dropped_total",
        "Spans that the collector did not take, or not in time",
        move || vec![(Labels::new(), float(traces.dropped()))],
    );
}

/// One label.
fn label(name: &'static str, value: impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

fn two(first: (&'static str, impl ToString), second: (&'static str, impl ToString)) -> Labels {
    vec![
        (first.0, first.1.to_string()),
        (second.0, second.1.to_string()),
    ]
}

fn number(count: usize) -> f64 {
    float(count as u64)
}

fn store_figures(figures: StoreFigures, metrics: &mut Metrics) {
    let StoreFigures {
        caches,
        pools,
        clock_ahead_micros,
    } = figures;
    let missed = caches.clone();
    metrics.timings(
        "tickets_cache_miss_seconds",
        "Time that the store took for what was not at hand",
        move || {
            let missed = missed.iter();
            missed
                .map(|(cache, reads)| (label("cache", cache), reads.miss_seconds()))
                .collect()
        },
    );
    metrics.counters(
        "tickets_cache_reads_total",
        "Reads of what is kept at hand for orders",
        move || {
            let of = |(cache, reads): &(&'static str, Arc<CacheReads>)| {
                let results = [("hit", reads.hits()), ("miss", reads.misses())];
                results.map(|(result, count)| {
                    (two(("cache", cache), ("result", result)), float(count))
                })
            };
            caches.iter().flat_map(of).collect()
        },
    );
    if let Some(ahead) = clock_ahead_micros {
        metrics.gauge(
            "tickets_clock_skew_seconds",
            "By how much the clock of the store is ahead of this one at least",
            move || {
                let ahead = ahead()?;
                let skew = Duration::from_micros(ahead.unsigned_abs()).as_secs_f64();
                Some(if ahead < 0 { -skew } else { skew })
            },
        );
    }
    if let Some(pools) = pools {
        pool_figures(pools.into(), metrics);
    }
}

fn pool_figures(pools: Arc<dyn Fn() -> Vec<PoolUse> + Send + Sync>, metrics: &mut Metrics) {
    let read = Arc::clone(&pools);
    metrics.gauges(
        "tickets_store_connections",
        "Connections to the store",
        move || {
            let of = |pool: PoolUse| {
                let states = [("used", pool.used), ("idle", pool.idle)];
                states.map(|(state, count)| {
                    (two(("pool", pool.purpose), ("state", state)), number(count))
                })
            };
            read().into_iter().flat_map(of).collect()
        },
    );
    let mut gauge = |name, help, value: fn(&PoolUse) -> usize| {
        let read = Arc::clone(&pools);
        metrics.gauges(name, help, move || {
            let pools = read().into_iter();
            let of = |pool: PoolUse| (label("pool", pool.purpose), number(value(&pool)));
            pools.map(of).collect()
        });
    };
    gauge(
        "tickets_store_connections_max",
        "The most connections to the store",
        |pool| pool.max,
    );
    gauge(
        "tickets_store_connection_waiters",
        "Callers that wait for a connection to the store",
        |pool| pool.waiting,
    );
    metrics.timings(
        "tickets_store_connection_wait_seconds",
        "Time that callers waited for a connection to the store",
        move || {
            let of = |pool: PoolUse| (label("pool", pool.purpose), pool.waited);
            pools().into_iter().map(of).collect()
        },
    );
}

/// A process that is built, whose figures are to be read.
pub(super) struct Metered<'a> {
    pub(super) role: Role,
    pub(super) process: &'a Arc<ProcessState>,
    /// If it accepts orders.
    pub(super) accepting: Option<&'a Arc<AcceptingState>>,
    /// If callers have tokens.
    pub(super) verifier: Option<Arc<Verifier>>,
    /// If it speaks HTTPS.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) watch: &'a Arc<LaneWatch>,
    /// If it decides orders.
    pub(super) held: Option<&'a Arc<HeldLanes>>,
    pub(super) dead_letters: &'a Arc<DeadLetterCount>,
    pub(super) settings: &'a Settings,
}

/// The listener of metrics, and what it needs beside it.
pub(super) struct Metering {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
}

impl Metered<'_> {
    /// Answers `GET /metrics`, with what was measured so far and what is known of the process.
    ///
    /// # Errors
    /// When it cannot listen where it should.
    pub(super) fn serve(self, mut metrics: Metrics) -> anyhow::Result<Metering> {
        self.build_and_threads(&mut metrics);
        requests(self.process, &mut metrics);
        if let Some(accepting) = self.accepting {
            self.lines(accepting, &mut metrics);
            accepting_figures(accepting, self.process, &mut metrics);
        }
        if let Some(verifier) = self.verifier.clone() {
            token_checks(verifier, &mut metrics);
        }
        if let Some(certificates) = self.certificates.clone() {
            metrics.gauge(
                "tickets_certificate_not_after_timestamp_seconds",
                "When the certificate that new connections get ends, in Unix time",
                move || certificates.not_after().map(float),
            );
        }
        self.lanes(&mut metrics);
        let letters = Arc::clone(self.dead_letters);
        metrics.gauge(
            "tickets_dead_letters",
            "Orders that could not be decided and were put aside",
            move || letters.latest().map(number),
        );
        let address = self.settings.metrics;
        let address = address.context("metrics.port is not set")?;
        let Served { server, address } = metrics::serve(address, metrics).with_context(|| {
            format!(
                "metrics.host, metrics.port: cannot listen on {address}; set metrics.host to an \
                 address of this machine, and metrics.port to a free port, to 0 for any, or to \
                 \"\" for none"
            )
        })?;
        Ok(Metering { server, address })
    }

    fn build_and_threads(&self, metrics: &mut Metrics) {
        let role = self.role.name();
        metrics.gauges("tickets_build_info", "What runs; always 1", move || {
            let version = env!("CARGO_PKG_VERSION");
            vec![(two(("version", version), ("role", role)), 1.0)]
        });
        let main = Handle::current().metrics();
        let process = Arc::clone(self.process);
        let runtimes =
            Arc::new(move || [("main", vec![main.clone()]), ("http", process.threads())]);
        let read = Arc::clone(&runtimes);
        metrics.counters(
            "tickets_runtime_busy_seconds_total",
            "Time that the threads of a runtime worked",
            move || sums(&read(), |thread| busy(thread).as_secs_f64()),
        );
        let read = Arc::clone(&runtimes);
        metrics.gauges(
            "tickets_runtime_threads",
            "Threads of a runtime",
            move || sums(&read(), |thread| number(thread.num_workers())),
        );
        metrics.gauges(
            "tickets_runtime_tasks",
            "Tasks of a runtime that have not ended",
            move || sums(&runtimes(), |thread| number(thread.num_alive_tasks())),
        );
    }

    /// What waits for a verdict, as far as this process has heard.
    fn lines(&self, accepting: &AcceptingState, metrics: &mut Metrics) {
        let lanes = self.settings.queue.lanes;
        let mut gauge = |name, help, value: fn(Waiting) -> Option<f64>| {
            let office = Arc::clone(&accepting.office);
            metrics.gauges(name, help, move || {
                let of = |lane: Lane| {
                    PriorityClass::ALL.map(|class| {
                        let value = value(office.waiting(lane, class))?;
                        Some((two(("lane", lane), ("class", class.as_str())), value))
                    })
                };
                lanes.iter().flat_map(of).flatten().collect()
            });
        };
        gauge(
            "tickets_waiting_orders",
            "Accepted orders that wait for a verdict",
            |waiting| waiting.orders.map(float),
        );
        gauge(
            "tickets_oldest_undecided_seconds",
            "For how long the oldest accepted order waits for its verdict; 0 if none does",
            |waiting| Some(waiting.oldest_for.as_secs_f64()),
        );
    }

    /// Who decides.
    fn lanes(&self, metrics: &mut Metrics) {
        let watch = Arc::clone(self.watch);
        metrics.gauges(
            "tickets_lane_owned",
            "Whether a living worker of any process has the lane",
            move || {
                let of = |(lane, is_owned)| (label("lane", lane), f64::from(u8::from(is_owned)));
                watch.owned().into_iter().map(of).collect()
            },
        );
        if let Some(held) = self.held.cloned() {
            metrics.gauge(
                "tickets_held_lanes",
                "Lanes that this process has claimed",
                move || Some(f64::from(held.lanes().len())),
            );
        }
    }
}

fn busy(runtime: &RuntimeMetrics) -> Duration {
    let threads = 0..runtime.num_workers();
    threads
        .map(|thread| runtime.worker_total_busy_duration(thread))
        .sum()
}

fn sums(
    runtimes: &[(&'static str, Vec<RuntimeMetrics>)],
    value: impl Fn(&RuntimeMetrics) -> f64,
) -> Vec<(Labels, f64)> {
    let sum = |runtimes: &Vec<RuntimeMetrics>| runtimes.iter().map(&value).sum();
    let runtimes = runtimes.iter();
    runtimes
        .map(|(name, those)| (label("runtime", name), sum(those)))
        .collect()
}

fn requests(process: &Arc<ProcessState>, metrics: &mut Metrics) {
    let state = Arc::clone(process);
    metrics.counters(
        "tickets_limits_hit_total",
        "Requests, connections and streams that a limit of one client refused",
        move || {
            let of = |(limit, count)| (label("limit", limit), float(count));
            state.limits.refusals().into_iter().map(of).collect()
        },
    );
    let state = Arc::clone(process);
    metrics.counters(
        "tickets_http_requests_total",
        "Requests that were answered",
        move || {
            let of = |answered: Answered| {
                let statuses = answered.statuses.into_iter();
                statuses.map(move |(status, count)| {
                    let mut labels = two(("route", answered.route), ("method", answered.method));
                    labels.extend(label("status", status));
                    (labels, float(count))
                })
            };
            state.requests.answered().into_iter().flat_map(of).collect()
        },
    );
    let state = Arc::clone(process);
    metrics.timings(
        "tickets_http_request_seconds",
        "Time from a request to the head of its answer",
        move || {
            let of = |answered: Answered| {
                let labels = two(("route", answered.route), ("method", answered.method));
                (labels, answered.seconds)
            };
            state.requests.answered().into_iter().map(of).collect()
        },
    );
}

/// What is known where orders are accepted.
fn accepting_figures(
    accepting: &AcceptingState,
    process: &Arc<ProcessState>,
    metrics: &mut Metrics,
) {
    let state = Arc::clone(process);
    metrics.counters(
        "tickets_orders_total",
        "Orders by what was answered",
        move || {
            let orders = state.requests.orders().into_iter();
            orders
                .map(|(result, count)| (label("result", result), float(count)))
                .collect()
        },
    );
    let office = Arc::clone(&accepting.office);
    metrics.gauge(
        "tickets_closed_gates",
        "Shows that are sold out as far as this process has heard",
        move || Some(number(office.closed_gates())),
    );
    let live = Arc::clone(&accepting.live);
    metrics.gauges(
        "tickets_live_connections",
        "Open WebSockets and event streams",
        move || {
            let open = live.open().into_iter();
            open.map(|(kind, count)| (label("kind", kind), number(count)))
                .collect()
        },
    );
    let live = Arc::clone(&accepting.live);
    metrics.counters(
        "tickets_live_connections_closed_total",
        "WebSockets and event streams that this process closed, by why",
        move || {
            let closed = live.closed();
            closed
                .map(|(code, count)| (label("code", code), float(count)))
                .collect()
        },
    );
}

fn token_checks(verifier: Arc<Verifier>, metrics: &mut Metrics) {
    metrics.counters(
        "tickets_token_checks_total",
        "Tokens of callers, by what came of the check",
        move || {
            let of = |(result, count)| (label("result", result), float(count));
            verifier.checks().map(of).collect()
        },
    );
}
