//! The running process: builds everything from settings, runs it, stops it.

mod dead_letters;
mod ground;
mod guarding;
mod metering;
mod preparation;
mod redis_in_use;
mod role;
mod running;
mod sides;
mod spans;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_server::Server;
use anyhow::Context;
use domain::ports::{Clock, Dependency};
use domain::waiting_line::WaitingLine;
use http_api::{
    Certificates, ClientLimits, Health, Https, ProcessState, Served, Serving, Tracing, WebPolicy,
    serve,
};
use limits::SharedTokens;
use metrics::Metrics;
use tokio::time::timeout;
use tracing::{info, warn};
use worker::{Heard, LaneWatch, Worker};

use self::dead_letters::DeadLetterCount;
pub use self::role::Role;

use self::ground::Ground;
use self::metering::{Metered, Metering};
use self::preparation::Preparation;
use self::redis_in_use::RedisInUse;
use self::sides::Accepting;
use self::spans::HttpSpans;
use crate::examiner::{Examined, Examiner};
use crate::open_files::OpenFiles;
use crate::settings::{AuthSettings, LimitStore, Settings};
use crate::{telemetry, wiring};

/// No call for what processes share takes longer. Redis answers in less than a tenth of it.
const PATIENCE: Duration = Duration::from_millis(40);

/// Everything built, not yet running.
pub struct Application {
    address: SocketAddr,
    https: Option<SocketAddr>,
    server: Server,
    certificates: Option<Arc<Certificates>>,
    process: Arc<ProcessState>,
    accepting: Option<Accepting>,
    worker: Option<Worker>,
    watch: Arc<LaneWatch>,
    dead_letters: Arc<DeadLetterCount>,
    examiner: Arc<Examiner>,
    metering: Option<Metering>,
    ground: Ground,
}

impl Application {
    /// Connects the adapters, binds the port and adds what `seed_demo` asks
    /// for. The process's time is `clock`'s. Does not check [`Role::fits`].
    ///
    /// # Errors
    /// Says which setting or address is at fault.
    #[expect(
        clippy::too_many_lines,
        reason = "the sequence of the start, to be read in one piece"
    )]
    pub async fn build(
        settings: Settings,
        role: Role,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        telemetry::start(&settings.log).context("starting the log")?;
        if !settings.ignored_variables.is_empty() {
            warn!(
                variables = settings.ignored_variables.join(","),
                "ignored environment variables that begin with APP_; settings begin with APP__"
            );
        }
        if settings.has_unused_certificate {
            warn!("tls.mode is off, so the certificate of tls.* is not used; set it to on");
        }
        let certificates = settings.tls.as_ref().map(|tls| tls.files.clone());
        let certificates = certificates.map(Certificates::load).transpose()?;
        let certificates = certificates.map(Arc::new);
        if settings.server.trusted_proxies.are_everybody() {
            warn!(
                "server.trusted_proxies has a network of all addresses: any client can pretend to \
                 be any other, and limits by address stop nobody; name your proxies alone"
            );
        }
        let files = OpenFiles::of_this_process(&settings)?;
        let mut metrics = settings.metrics.is_some().then(Metrics::new);
        let ground = Ground::connect(settings, role, clock, metrics.as_mut()).await?;
        let spans = ground.traces.clone();
        let spans = spans.map(|traces| -> Arc<dyn Tracing> { Arc::new(HttpSpans(traces)) });
        let Ground {
            settings, clock, ..
        } = &ground;
        let worker = role.decides().then(|| ground.deciding());
        let lanes = settings.queue.lanes;
        let line = role.accepts().then(|| {
            let line = WaitingLine::new(lanes, settings.stalled_after, clock.now());
            Arc::new(line)
        });
        let heard = line.as_ref().map(|line| Heard {
            line: Arc::clone(line),
            clock: Arc::clone(clock),
        });
        let held = worker
            .as_ref()
            .map_or_else(Arc::default, |worker| Arc::clone(&worker.held));
        let claims = Arc::clone(&ground.store.claims);
        let watch = Arc::new(LaneWatch::new(claims, lanes, heard, held));
        let examined = [
            ("queue", ground.queue.examinations.clone()),
            ("store", ground.store.examinations.clone()),
        ];
        let examiner = Arc::new(Examiner::new(Examined::all(examined)));
        let queue = Arc::clone(&ground.queue.dependency);
        let mut needed = vec![queue, ground.store_dependency(), Arc::new(files)];
        // It concerns all processes, and stopping all of them would help nobody.
        let dead_letters = Arc::new(DeadLetterCount::new(Arc::clone(&ground.queue.dead_letters)));
        let mut of_others: Vec<Arc<dyn Dependency>> = vec![examiner.clone(), dead_letters.clone()];
        let redis = match &settings.redis {
            Some(redis) if role.accepts() => {
                let identity = ground.store.identity.clone();
                Some(redis.connect(settings.cache.timeout, identity)?)
            }
            _ => None,
        };
        if let Some(redis) = &redis {
            // So that it is connected, and the deployment known, when the first request comes.
            let _at_once = timeout(Preparation::AT_ONCE, redis.dependency.check()).await;
        }
        let tokens = match &redis {
            Some(redis) if settings.limit_store == LimitStore::Redis => Some(Arc::new(
                SharedTokens::start(Arc::clone(&redis.tokens), PATIENCE).await,
            )),
            _ => None,
        };
        // Every order is taken and decided without it.
        of_others.extend(redis.as_ref().map(|redis| -> Arc<dyn Dependency> {
            let (server, tokens) = (Arc::clone(&redis.dependency), tokens.clone());
            Arc::new(RedisInUse { server, tokens })
        }));
        // Who only takes orders can go on with that while others do not decide.
        if role.decides() {
            needed.push(watch.clone());
        } else {
            of_others.push(watch.clone());
        }
        let guarding = match &line {
            Some(_) => Some(guarding::guard(settings, clock).await?),
            None => None,
        };
        let verifier = guarding
            .as_ref()
            .and_then(|guarding| guarding.verifier.clone());
        if let Some(verifier) = &verifier {
            needed.push(verifier.clone());
        }
        let proxies = settings.server.trusted_proxies.clone();
        let limits = Arc::new(ClientLimits::new(
            &settings.limits,
            proxies,
            tokens.as_ref(),
        ));
        let health = Health::new(needed, of_others);
        let process = Arc::new(ProcessState::new(health, limits, spans.clone()));
        let accepting = line.zip(guarding).map(|(line, guarding)| {
            let process = Arc::clone(&process);
            let state = ground.state(redis.as_ref(), metrics.as_mut());
            ground.accepting(line, state, process, spans, guarding.guard, guarding.keys)
        });
        let address = SocketAddr::new(settings.server.host, settings.server.port);
        let serving = Serving {
            // By then a heartbeat and its successor are not taken.
            peer_timeout: settings.live.heartbeat * 2,
            request_timeout: settings.server.request_timeout,
            keep_alive: settings.server.keep_alive,
            connections: files.connections(),
        };
        let state = accepting
            .as_ref()
            .map(|accepting| Arc::clone(&accepting.state));
        let https = settings.tls.as_ref().zip(certificates.clone());
        let https = https.map(|(tls, certificates)| Https {
            address: SocketAddr::new(settings.server.host, tls.port),
            http2: tls.http2,
            certificates,
        });
        let hosts = settings.server.allowed_hosts.clone();
        let is_open =
            settings.admin_token.is_none() && matches!(settings.auth, AuthSettings::Off { .. });
        let policy = Arc::new(WebPolicy {
            allowed_origins: settings.allowed_origins.clone(),
            // Where a token is needed a page of another site gets nowhere by another name.
            allowed_hosts: (!hosts.is_empty() || is_open).then_some(hosts),
            required_https: settings.tls.as_ref().and_then(|tls| tls.required),
        });
        let Served {
            server,
            http: address,
            https,
        } = serve(
            address,
            https.as_ref(),
            Arc::clone(&process),
            state,
            &policy,
            serving,
        )?;
        let metered = Metered {
            role,
            process: &process,
            accepting: accepting.as_ref().map(|accepting| &accepting.state),
            verifier,
            certificates: certificates.clone(),
            watch: &watch,
            held: worker.as_ref().map(|worker| &worker.held),
            dead_letters: &dead_letters,
            settings,
        };
        let metering = metrics.map(|metrics| metered.serve(metrics)).transpose()?;
        info!(
            environment = settings.environment,
            %address,
            https.address = https.map(display),
            metrics.address = metering.as_ref().map(|metering| display(metering.address)),
            role = ?role,
            auth.mode = settings.auth.name(),
            process.id = ground.process.get(),
            queue.adapter = settings.queue.adapter().name(),
            store.adapter = settings.store.adapter().name(),
            adapters.compiled = wiring::COMPILED_ADAPTERS.join(","),
            connections.max = files.connections().served,
            version = env!("CARGO_PKG_VERSION"),
            "tickets starts"
        );
        Ok(Self {
            address,
            https,
            server,
            certificates,
            process,
            accepting,
            worker,
            watch,
            dead_letters,
            examiner,
            metering,
            ground,
        })
    }

    /// Where it listens for plain HTTP; with port 0 in the settings, the port that it got.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for HTTPS, if it does.
    #[must_use]
    pub const fn https_address(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Where its metrics are read, if anywhere.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        let metering = self.metering.as_ref();
        metering.map(|metering| metering.address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use domain::ids::{ShowId, UserId};
    use domain::order::Quantity;
    use domain::principal::Principal;
    use domain::use_cases::{OrderRequest, PlacedOrder};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock::SystemClock;

    async fn built(role: Role) -> Application {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let variables = HashMap::from([("APP__SERVER__PORT".to_owned(), "0".to_owned())]);
        let settings = Settings::load(&directory, variables).unwrap();
        let clock = Arc::new(SystemClock);
        Application::build(settings, role, clock).await.unwrap()
    }

    fn stopped() -> CancellationToken {
        let stop = CancellationToken::new();
        stop.cancel();
        stop
    }

    #[tokio::test]
    async fn a_process_has_the_sides_of_its_role_only() {
        for role in [Role::All, Role::Api, Role::Worker] {
            let application = built(role).await;
            let sides = (
                application.accepting.is_some(),
                application.worker.is_some(),
            );
            assert_eq!(sides, (role.accepts(), role.decides()));
            application.run_until_stopped(stopped()).await.unwrap();
        }
    }

    /// Only from inside can the store be asked after the process side has ended.
    #[tokio::test]
    async fn what_was_accepted_before_the_stop_is_decided_after_it() {
        let application = built(Role::All).await;
        let office = Arc::clone(&application.accepting.as_ref().unwrap().state.office);
        let order = OrderRequest {
            show_id: ShowId::from(230_920),
            user_id: UserId::from(1),
            quantity: Quantity::ONE,
            key: None,
            trace: None,
        };
        let mut ids = Vec::new();
        for _ in 0..20_000 {
            match office
                .place_order(&Principal::agent(), order.clone())
                .await
                .unwrap()
            {
                PlacedOrder::Queued(order) => ids.push(order.ticket_id),
                PlacedOrder::Replayed(ticket) => panic!("{ticket:?}"),
            }
        }
        application.run_until_stopped(stopped()).await.unwrap();
        let decided = office.read_tickets(&ids).await.unwrap();
        assert_eq!(decided.len(), ids.len());
    }
}
