//! Connections on loan.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use parking_lot::Mutex;
use runtime::{Timed, Timing};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::engine::Engine;
use crate::error::{Fault, SqlError};
use crate::statements::SqlSession;

/// How long a connection may be idle and still be taken for alive.
const MAY_BE_DEAD_AFTER: Duration = Duration::from_secs(1);
/// How long a server is taken for the one that takes changes. A primary that was demoted goes on
/// answering, and what it answers gets older and older.
const EXAMINE_AFTER: Duration = Duration::from_secs(2);
/// How long a connection may take to show that it is alive.
const PING_LIMIT: Duration = Duration::from_millis(500);
/// How long a connection is kept that nobody needs; the server would end it after 15 s.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
const LOOK_FOR_IDLE: Duration = Duration::from_secs(2);

/// What is done with a connection.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Up to so many connections. What is lent again within a moment costs no round trip, and what
/// hangs takes no place: it is closed after it has left.
pub(crate) struct Connections<E: Engine> {
    pool: Pool<Connector<E>>,
    /// As many as connections.
    turns: Arc<Semaphore>,
    /// How long a caller waits for what is done with one.
    limit: Duration,
    /// How long a caller waits for one, so that time is left for the statements.
    lease_limit: Duration,
    leased: Timing,
}

/// How the connections for a purpose are used.
#[derive(Debug, Clone)]
pub struct PoolUse {
    /// What they are for: `reading`, `selling`, `changing` or `claiming`.
    pub purpose: &'static str,
    /// How many there may be.
    pub max: usize,
    /// How many there are.
    pub open: usize,
    /// How many of those nobody uses.
    pub idle: usize,
    /// How many callers wait for one.
    pub waiting: usize,
    /// How long callers had to wait for one, connecting included.
    pub waited: Timed,
}

impl<E: Engine> Connections<E> {
    /// Connects when a connection is needed. Must be called inside of a tokio runtime.
    #[expect(
        clippy::expect_used,
        reason = "it fails only for limits without a runtime, and has none"
    )]
    pub(crate) fn new(max: u32, engine: Arc<E>, limit: Duration) -> Self {
        let connector = Connector {
            engine,
            suspected: Mutex::default(),
            failed: Mutex::default(),
        };
        let max = usize::try_from(max).unwrap_or(Semaphore::MAX_PERMITS);
        let pool = Pool::builder(connector)
            .max_size(max)
            // The same ones again and again, so that these are known to be alive.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without limits");
        close_idle_ones(&pool);
        Self {
            pool,
            turns: Arc::new(Semaphore::new(max)),
            limit,
            lease_limit: limit / 2,
            leased: Timing::of_calls(),
        }
    }

    /// Does `work` with a connection, within the limit. After a failure the connection is closed.
    pub(crate) async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut E::Session) -> Result<T, E::Error>,
    ) -> Result<T, E::Error> {
        let running = async {
            let mut lease = self.lease().await?;
            let done = work(lease.session()).await?;
            lease.give_back();
            Ok(done)
        };
        within(self.limit, running).await
    }

    /// The same. Work that has begun ends also when the caller is dropped, and the connection is
    /// given back. Else it would be closed, and a client that asks and hangs up, again and again,
    /// would cost a login each time.
    pub(crate) async fn run_to_the_end<T, W>(self: &Arc<Self>, work: W) -> Result<T, E::Error>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut E::Session) -> Work<'a, Result<T, E::Error>> + Send + 'static,
    {
        let turn = self.turn().await?;
        let connections = Arc::clone(self);
        let working = tokio::spawn(async move {
            let work = async |session: &mut E::Session| work(session).await;
            let done = connections.run(work).await;
            drop(turn);
            done
        });
        working.await.map_err(|_| Fault::Closed)?
    }

    /// For work that continues when its caller is dropped: there is no more of it at once than
    /// there are connections. Who waits for a turn can be dropped.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, E::Error> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        match timeout(self.lease_limit, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(Fault::Closed.into()),
            Err(_) => Err(self.late()),
        }
    }

    pub(crate) async fn lease(&self) -> Result<Lease<E>, E::Error> {
        let leasing = timeout(self.lease_limit, self.pool.get());
        match self.leased.of(leasing).await {
            Ok(Ok(session)) => Ok(Lease(Some(session))),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(_)) => Err(Fault::Closed.into()),
            Err(_) => Err(self.late()),
        }
    }

    /// How they are used, which are for this `purpose`.
    pub(crate) fn usage(&self, purpose: &'static str) -> PoolUse {
        let status = self.pool.status();
        PoolUse {
            purpose,
            max: status.max_size,
            open: status.size,
            idle: status.available,
            waiting: status.waiting,
            waited: self.leased.read(),
        }
    }

    fn late(&self) -> E::Error {
        if let Some(refused) = self.pool.manager().engine.refusal() {
            return refused;
        }
        let limit = self.lease_limit;
        let status = self.pool.status();
        if status.available == 0 && status.size >= status.max_size {
            return Fault::AllBusy {
                connections: status.size,
                limit,
                setting: E::Error::MAX_CONNECTIONS,
            }
            .into();
        }
        Fault::TimedOut { limit }.into()
    }
}

/// Bounds what a caller may wait.
///
/// # Errors
/// [`Fault::TimedOut`], and those of `work`.
pub async fn within<T, E: From<Fault>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let in_time = timeout(limit, work).await;
    in_time.unwrap_or_else(|_| Err(Fault::TimedOut { limit }.into()))
}

fn close_idle_ones<E: Engine>(pool: &Pool<Connector<E>>) {
    let pool = pool.weak();
    tokio::spawn(async move {
        loop {
            sleep(LOOK_FOR_IDLE).await;
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let idle = pool.retain(|_, metrics| metrics.last_used() < IDLE_LIMIT);
            drop(pool);
            for session in idle.removed {
                E::close(session).await;
            }
        }
    });
}

/// A connection on loan. A caller that does not give it back, because a statement
/// failed or its future was dropped half-way, has it closed: the server then
/// ends what was under way, and a connection that hangs is not waited for.
pub(crate) struct Lease<E: Engine>(Option<Object<Connector<E>>>);

impl<E: Engine> Lease<E> {
    #[expect(clippy::expect_used, reason = "it is taken out when the lease ends")]
    pub(crate) fn session(&mut self) -> &mut E::Session {
        self.0.as_mut().expect("a lease has its session")
    }

    /// For the next one.
    pub(crate) fn give_back(mut self) {
        if let Some(session) = self.0.take()
            && let Some(pool) = Object::pool(&session)
        {
            pool.manager().engine.hear_of(&session);
        }
    }
}

impl<E: Engine> Drop for Lease<E> {
    fn drop(&mut self) {
        let Some(session) = self.0.take() else {
            return;
        };
        // Perhaps the server is no longer the one that takes changes: all others look again.
        if let Some(pool) = Object::pool(&session) {
            *pool.manager().failed.lock() = Some(Instant::now());
        }
        // Where no runtime is left, the process ends, and with it the connection.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(E::close(Object::take(session)));
        }
    }
}

struct Connector<E> {
    engine: Arc<E>,
    /// When a connection did not show that it is alive: what has not been used since may be
    /// dead for the same reason, and asking each would take too long.
    suspected: Mutex<Option<Instant>>,
    /// When work with a connection failed last.
    failed: Mutex<Option<Instant>>,
}

impl<E: Engine> Connector<E> {
    /// Whether it is known to be alive, on a server that takes changes.
    fn is_known(&self, session: &E::Session, unused: Duration) -> bool {
        let has_failed_since =
            (*self.failed.lock()).is_some_and(|failed| failed > session.examined());
        unused < MAY_BE_DEAD_AFTER
            && session.examined().elapsed() < EXAMINE_AFTER
            && !has_failed_since
    }
}

impl<E: Engine> Manager for Connector<E> {
    type Type = E::Session;
    type Error = E::Error;

    async fn create(&self) -> Result<E::Session, E::Error> {
        self.engine.connect().await
    }

    async fn recycle(
        &self,
        session: &mut E::Session,
        metrics: &Metrics,
    ) -> RecycleResult<E::Error> {
        let unused = metrics.last_used();
        if self.is_known(session, unused) {
            return Ok(());
        }
        let is_suspected = self
            .suspected
            .lock()
            .is_some_and(|suspected| suspected.elapsed() < unused);
        if is_suspected {
            return Err(RecycleError::message("others do not answer"));
        }
        match timeout(PING_LIMIT, self.engine.examine(session)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(RecycleError::message(
                "its server takes no changes any more",
            )),
            Ok(Err(_)) | Err(_) => {
                *self.suspected.lock() = Some(Instant::now());
                Err(RecycleError::message("it does not answer"))
            }
        }
    }
}
